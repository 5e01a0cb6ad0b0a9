#include "admin/trail.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/text.h"

static const char *event_of(const struct admin_command *c)
{
    switch (c->verb) {
    case ADMIN_ADD:
        return "device.added";
    case ADMIN_REMOVE:
        return "device.removed";
    case ADMIN_ENABLE:
        return "device.enabled";
    case ADMIN_DISABLE:
        return "device.disabled";
    case ADMIN_ROTATE:
        return "device.secret_rotated";
    case ADMIN_RELEASE:
        return "device.released";
    case ADMIN_REVOKE:
        return "token.revoked";
    case ADMIN_IMPORT:
        return "device.imported";
    case ADMIN_FORGET:
        return "child.forgotten";
    case ADMIN_CHILD_REVOKE:
        return "child.revoked";
    case ADMIN_CHILD_EXPORT:
        return "child.exported";
    case ADMIN_SEND:
        return "message.queued";
    case ADMIN_CLEAR:
        return "message.withdrawn";
    case ADMIN_TOKEN_CREATE:
        return "admin_token.created";
    case ADMIN_TOKEN_REVOKE:
        return "admin_token.revoked";
    case ADMIN_BATCH_ADD:
        return "batch.created";
    case ADMIN_MASTER_ROTATE:
        return "master_key.rotated";
    default:
        return "admin.called"; /* none goes without an event */
    }
}

static bool is_of_device(const struct admin_command *c)
{
    return c->verb == ADMIN_ADD || c->verb == ADMIN_REMOVE || c->verb == ADMIN_ENABLE ||
           c->verb == ADMIN_DISABLE || c->verb == ADMIN_ROTATE || c->verb == ADMIN_RELEASE ||
           c->verb == ADMIN_REVOKE || c->verb == ADMIN_SEND || c->verb == ADMIN_CLEAR;
}

static void detail_of(const struct admin_command *c, char *out, size_t cap)
{
    out[0] = '\0';
    if (c->verb == ADMIN_IMPORT)
        (void)snprintf(out, cap, "{\"devices\":%zu}", c->import->count);
    else if (c->verb == ADMIN_FORGET)
        (void)snprintf(out, cap, "{\"devices\":%u}", c->concerned_count);
    else if (c->verb == ADMIN_CLEAR)
        (void)snprintf(out, cap, "{\"messages\":%llu}", (unsigned long long)c->gone);
}

/* A pseudonym that there is; none is made for a child that only an administrator names. */
static int find_child(struct store_tx *tx, const char *child_id, struct admin_trail *t)
{
    int rc = child_id[0] != '\0' ? audit_child(tx, child_id, false, t->child) : TEDDY_ENOTFOUND;

    t->has_child = rc == TEDDY_OK;
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

int admin_trail_before(struct store_tx *tx, const struct admin_command *c, struct admin_trail *t)
{
    *t = (struct admin_trail){0};
    if (c->verb == ADMIN_FORGET)
        return find_child(tx, c->id, t);
    if (!is_of_device(c) || c->verb == ADMIN_ADD)
        return TEDDY_OK;
    struct device_row device;
    int rc = store_device_get(tx, c->id, &device);
    if (rc == TEDDY_OK)
        rc = find_child(tx, device.child_id, t);
    wipe(&device, sizeof device);
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc; /* the command itself will say so */
}

int admin_trail_after(struct store_tx *tx, const struct admin_command *c,
                      const struct admin_trail *t)
{
    char detail[64];

    if (!admin_command_writes(c))
        return TEDDY_OK;
    detail_of(c, detail, sizeof detail);
    return audit_add(tx, &(struct audit_event){.event = event_of(c),
                                               .device_id = is_of_device(c) ? c->id : NULL,
                                               .child = t->has_child ? t->child : NULL,
                                               .actor = c->actor[0] != '\0' ? c->actor : "teddyctl",
                                               .detail = detail});
}

struct post {
    struct store_job job; /* first */
    const char *event;
    char actor[ADMIN_ACTOR_LEN + 1];
};

static int run_post(struct store_tx *tx, struct store_job *job)
{
    const struct post *p = (const struct post *)job;

    return audit_add(tx, &(struct audit_event){.event = p->event, .actor = p->actor});
}

static void free_post(struct store_job *job)
{
    free(job);
}

void admin_trail_post(struct store *store, const char *event, const char *actor)
{
    struct post *p = calloc(1, sizeof *p);

    if (p == NULL)
        return;
    *p = (struct post){.job = {.run = run_post, .done = free_post}, .event = event};
    (void)snprintf(p->actor, sizeof p->actor, "%s", actor);
    if (store_write(store, &p->job) != TEDDY_OK)
        free(p);
}
