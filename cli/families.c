/* Token families: teddyctl family list, revoke. */
#include <stdio.h>
#include <string.h>

#include "cli/ctl.h"

int run_family_list(struct ctl *ctl, const char *device_id)
{
    static const struct print_column columns[] = {{"SID", "sid"},
                                                  {"ISSUED", "issued"},
                                                  {"ACCESS EXPIRES", "access_expires"},
                                                  {"REFRESH EXPIRES", "refresh_expires"}};
    struct ctl_call call = {.verb = ADMIN_FAMILIES, .id = device_id};
    json_t *reply = NULL;
    int rc = id_is_good(device_id) ? link_call(ctl, &call, "", &reply) : CTL_USAGE;

    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_rows(json_object_get(reply, "families"), columns,
                        sizeof columns / sizeof columns[0]);
    json_decref(reply);
    return rc;
}

int run_family_revoke(struct ctl *ctl, const char *device_id)
{
    const char *sid = ctl->words[3];
    struct ctl_call call = {.verb = ADMIN_FAMILY_REVOKE, .id = device_id, .sid = sid};
    json_t *reply = NULL;
    int rc;

    if (!id_is_good(device_id))
        return CTL_USAGE;
    if (strlen(sid) != 2 * STORE_JTI_LEN || strspn(sid, "0123456789abcdefABCDEF") != strlen(sid))
        return usage("'%.80s' is no sid: 32 hex digits, as a token or teddyctl family list has it",
                     sid);
    rc = link_call(ctl, &call, "", &reply);
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        (void)printf("%s %s revoked\n", device_id, sid);
    json_decref(reply);
    return rc;
}
