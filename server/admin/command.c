#include "admin/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/batch.h"
#include "admin/child.h"
#include "admin/family.h"
#include "admin/fleet.h"
#include "admin/talk.h"
#include "admin/token.h"
#include "admin/trail.h"
#include "identity/rules.h"
#include "proto/text.h"
#include "store/children.h"

static int run_add(struct store_tx *tx, struct admin_command *c)
{
    int rc = store_device_get(tx, c->id, &c->device);

    if (rc == TEDDY_OK) {
        c->code = "device_exists";
        return TEDDY_EDUP;
    }
    if (rc == TEDDY_ENOTFOUND)
        rc = store_device_add(tx, c->id, c->secret, c->now_s);
    if (rc == TEDDY_EDUP)
        c->code = "secret_in_use";
    return rc;
}

static int run_rotate(struct store_tx *tx, struct admin_command *c)
{
    int rc = store_device_secret(tx, c->id, c->secret);

    if (rc == TEDDY_EDUP)
        c->code = "secret_in_use";
    return rc;
}

/* Gone is also gone from the files. */
static int run_release(struct store_tx *tx, struct admin_command *c)
{
    store_scrub(tx);
    return store_device_release(tx, c->id);
}

/* Both or neither: there is no moment when a released toy has the secret that its owner may know.
 */
static int run_release_rotate(struct store_tx *tx, struct admin_command *c)
{
    int rc = run_release(tx, c);

    return rc == TEDDY_OK ? run_rotate(tx, c) : rc;
}

static int run_revoke(struct store_tx *tx, struct admin_command *c)
{
    int rc = store_device_get(tx, c->id, &c->device);

    return rc == TEDDY_OK ? store_family_revoke(tx, c->device.row) : rc;
}

static int run_send(struct store_tx *tx, struct admin_command *c)
{
    int rc = c->opens_epoch ? store_epoch_open(tx, c->now_s) : TEDDY_OK;

    if (rc == TEDDY_OK)
        rc = store_downlink_add(tx, c->id, &c->downlink, c->queue_max, &c->gone);
    return rc;
}

static void each_downlink(void *arg, const struct downlink_row *row)
{
    struct admin_command *c = arg;

    if (c->downlink_count == c->downlink_cap) {
        unsigned cap = c->downlink_cap > 0 ? 2 * c->downlink_cap : 16;
        void *more = realloc(c->downlinks, cap * sizeof *c->downlinks);
        if (more == NULL) {
            c->code = "out_of_memory";
            return;
        }
        c->downlinks = more;
        c->downlink_cap = cap;
    }
    c->downlinks[c->downlink_count++] = *row;
}

static int run_messages(struct store_tx *tx, struct admin_command *c)
{
    int rc;

    c->downlink_count = 0;
    rc = store_downlink_list(tx, c->id, c->now_s, each_downlink, c);
    return rc == TEDDY_OK && c->code != NULL ? TEDDY_ENOMEM : rc;
}

static int run_verb(struct store_tx *tx, struct admin_command *c)
{
    switch (c->verb) {
    case ADMIN_LIST:
    case ADMIN_SHOW:
    case ADMIN_TELEMETRY:
    case ADMIN_SESSIONS:
        return fleet_run(tx, c);
    case ADMIN_ADD:
        return run_add(tx, c);
    case ADMIN_REMOVE:
        return store_device_remove(tx, c->id);
    case ADMIN_ENABLE:
    case ADMIN_DISABLE:
        return store_device_enable(tx, c->id, c->verb == ADMIN_ENABLE);
    case ADMIN_ROTATE:
        return run_rotate(tx, c);
    case ADMIN_RELEASE:
        return run_release(tx, c);
    case ADMIN_REVOKE:
        return run_revoke(tx, c);
    case ADMIN_IMPORT:
        return import_run(tx, c->import, c->now_s);
    case ADMIN_FORGET:
    case ADMIN_CHILD_REVOKE:
    case ADMIN_CHILD_EXPORT:
        return child_run(tx, c);
    case ADMIN_SEND:
        return run_send(tx, c);
    case ADMIN_MESSAGES:
        return run_messages(tx, c);
    case ADMIN_CLEAR:
        return store_downlink_clear(tx, c->id, &c->gone);
    case ADMIN_TOKEN_CREATE:
    case ADMIN_TOKEN_LIST:
    case ADMIN_TOKEN_REVOKE:
        return admin_token_run(tx, c);
    case ADMIN_BATCH_ADD:
        return batch_run_add(tx, c);
    case ADMIN_BATCH_LIST:
        return batch_run_list(tx, c);
    case ADMIN_PROFILE_SET:
    case ADMIN_PROFILE_SHOW:
    case ADMIN_REPORT:
    case ADMIN_PROCESSOR:
        return talk_run(tx, c);
    case ADMIN_MASTER_STATUS:
        return master_status_run(tx, c);
    case ADMIN_MASTER_ROTATE:
        return master_rotate_run(tx, c);
    case ADMIN_RELEASE_ROTATE:
        return run_release_rotate(tx, c);
    case ADMIN_FAMILIES:
        return family_run_list(tx, c);
    case ADMIN_FAMILY_REVOKE:
        return family_run_revoke(tx, c);
    }
    return TEDDY_EINVAL;
}

static int run(struct store_tx *tx, struct store_job *job)
{
    struct admin_command *c = (struct admin_command *)job;
    struct admin_trail trail;
    int rc;

    c->code = NULL;
    rc = admin_trail_before(tx, c, &trail);
    if (rc == TEDDY_OK)
        rc = run_verb(tx, c);
    if (rc == TEDDY_OK)
        rc = admin_trail_after(tx, c, &trail);
    return rc == TEDDY_OK && c->verb == ADMIN_FORGET ? child_receipt(tx, c) : rc;
}

struct admin_command *admin_command_new(enum admin_verb verb, const char *id, struct span text)
{
    struct admin_command *c = calloc(1, sizeof *c);
    bool ok = c != NULL;

    if (!ok)
        return NULL;
    c->job.run = run;
    c->verb = verb;
    c->limit = ADMIN_LIST_DEFAULT;
    c->now_s = (uint64_t)time(NULL);
    if (id != NULL)
        (void)snprintf(c->id, sizeof c->id, "%s", id);
    if (verb == ADMIN_MASTER_STATUS || verb == ADMIN_MASTER_ROTATE) {
        c->found = calloc(1, sizeof *c->found);
        ok = c->found != NULL;
    }
    if (admin_shows_secret(verb) || verb == ADMIN_MASTER_ROTATE)
        ok = ok && identity_random(c->secret, sizeof c->secret) == TEDDY_OK;
    if (verb == ADMIN_IMPORT || verb == ADMIN_BATCH_ADD) {
        c->import = import_parse(text, verb == ADMIN_IMPORT ? c->id : "");
        ok = c->import != NULL;
    }
    if (verb == ADMIN_TOKEN_CREATE || verb == ADMIN_TOKEN_LIST || verb == ADMIN_TOKEN_REVOKE) {
        c->tokens = admin_token_work_new(verb == ADMIN_TOKEN_CREATE);
        ok = c->tokens != NULL;
    }
    if (admin_command_of_talk(c)) {
        c->talk = talk_work_new();
        ok = ok && c->talk != NULL;
    }
    if (admin_command_of_child(c)) {
        c->child = child_work_new();
        ok = ok && c->child != NULL;
    }
    if (fleet_verb(verb)) {
        c->fleet = fleet_work_new();
        ok = ok && c->fleet != NULL;
    }
    if (ok)
        return c;
    admin_command_free(c);
    return NULL;
}

void admin_command_free(struct admin_command *c)
{
    if (c == NULL)
        return;
    import_free(c->import);
    admin_token_work_free(c->tokens);
    fleet_work_free(c->fleet);
    child_work_free(c->child);
    talk_work_free(c->talk);
    free(c->downlinks);
    free(c->batches);
    free(c->found);
    if (c->body != NULL)
        wipe(c->body, strlen(c->body));
    free(c->body);
    wipe(c, sizeof *c);
    free(c);
}

bool admin_command_writes(const struct admin_command *c)
{
    return !fleet_verb(c->verb) && c->verb != ADMIN_MESSAGES && c->verb != ADMIN_TOKEN_LIST &&
           c->verb != ADMIN_BATCH_LIST && c->verb != ADMIN_MASTER_STATUS &&
           c->verb != ADMIN_FAMILIES && c->verb != ADMIN_PROFILE_SHOW && c->verb != ADMIN_REPORT &&
           (c->verb != ADMIN_CHILD_EXPORT || c->child->after[0] == '\0'); /* that it is, is told */
}

bool admin_command_of_child(const struct admin_command *c)
{
    return c->verb == ADMIN_FORGET || c->verb == ADMIN_CHILD_REVOKE ||
           c->verb == ADMIN_CHILD_EXPORT;
}

bool admin_command_more(struct admin_command *c)
{
    if (c->verb == ADMIN_LIST)
        return c->job.result == TEDDY_OK && c->fleet->again;
    return c->verb == ADMIN_MASTER_ROTATE && master_rotate_more(c);
}

void admin_command_wait(struct admin_command *c, struct store *store)
{
    do
        (void)(admin_command_writes(c) ? store_write_wait(store, &c->job)
                                       : store_read_wait(store, &c->job));
    while (admin_command_more(c));
}

const char *admin_command_closes(const struct admin_command *c)
{
    switch (c->verb) {
    case ADMIN_DISABLE:
        return "device_disabled";
    case ADMIN_REMOVE:
    case ADMIN_ROTATE:
    case ADMIN_RELEASE:
    case ADMIN_RELEASE_ROTATE:
    case ADMIN_REVOKE:
    case ADMIN_FAMILY_REVOKE:
    case ADMIN_FORGET:
    case ADMIN_CHILD_REVOKE:
        return "token_revoked";
    default:
        return NULL;
    }
}
