#include "admin/family.h"

#include "admin/batch.h"
#include "admin/time_json.h"
#include "proto/writer.h"

int family_run_list(struct store_tx *tx, struct admin_command *c)
{
    return store_family_get(tx, c->id, NULL, &c->family);
}

int family_run_revoke(struct store_tx *tx, struct admin_command *c)
{
    int rc = store_device_get(tx, c->id, &c->device);

    if (rc != TEDDY_OK)
        return rc;
    rc = store_family_end(tx, c->device.row, c->sid);
    if (rc == TEDDY_ENOTFOUND)
        c->code = "family_not_found";
    return rc;
}

static json_t *sid_json(const uint8_t sid[STORE_JTI_LEN])
{
    char text[2 * STORE_JTI_LEN + 1];
    struct writer w = writer_on(text, sizeof text);

    writer_hex(&w, sid, STORE_JTI_LEN);
    return writer_end(&w) == TEDDY_OK ? json_string(text) : NULL;
}

json_t *family_json(const struct admin_command *c)
{
    const struct family_row *f = &c->family;
    json_t *families = NULL;

    if (c->verb == ADMIN_FAMILY_REVOKE)
        return json_pack("{s:s, s:o, s:b}", "device_id", c->id, "sid", sid_json(c->sid), "revoked",
                         1);
    families = json_array();
    if (!f->revoked &&
        json_array_append_new(families,
                              json_pack("{s:o, s:o, s:o, s:o}", "sid", sid_json(f->sid), "issued",
                                        time_or_null(f->pair.iat_s), "access_expires",
                                        time_or_null(f->pair.access_exp_s), "refresh_expires",
                                        time_or_null(f->pair.refresh_exp_s))) != 0) {
        json_decref(families);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "device_id", c->id, "families", families);
}
