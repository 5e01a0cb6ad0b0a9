#include "admin/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/child.h"
#include "admin/talk.h"
#include "admin/token.h"
#include "proto/text.h"
#include "proto/writer.h"

#define DETAIL_MAX 320

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
    case ADMIN_RELEASE_ROTATE:
        return "device.released";
    case ADMIN_REVOKE:
    case ADMIN_FAMILY_REVOKE:
        return "token.revoked";
    case ADMIN_IMPORT:
        return "device.imported";
    case ADMIN_FORGET:
        return "child.forgotten";
    case ADMIN_CHILD_REVOKE:
        return "child.revoked";
    case ADMIN_CHILD_EXPORT:
        return "child.exported";
    case ADMIN_PROFILE_SET:
        return "child.profile_set";
    case ADMIN_PROCESSOR:
        return "device.processor_set";
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
           c->verb == ADMIN_REVOKE || c->verb == ADMIN_SEND || c->verb == ADMIN_CLEAR ||
           c->verb == ADMIN_RELEASE_ROTATE || c->verb == ADMIN_FAMILY_REVOKE ||
           c->verb == ADMIN_PROCESSOR;
}

/* Of the words in here none needs escaping: ids, roles and prefixes have been checked. */
static void token_detail(const struct admin_token_row *t, char *out, size_t cap)
{
    (void)snprintf(out, cap, "{\"token\":\"%s\",\"role\":\"%s\",\"prefix\":\"%s\"}", t->id, t->role,
                   t->prefix);
}

static void batch_detail(const struct batch_row *b, char *out, size_t cap)
{
    (void)snprintf(out, cap, "{\"batch\":\"%s\",\"prefix\":\"%s\",\"first\":%llu,\"count\":%llu}",
                   b->id, b->prefix, (unsigned long long)b->first, (unsigned long long)b->count);
}

static void key_detail(const struct master_found *f, char *out, size_t cap)
{
    struct writer w = writer_on(out, cap);

    writer_text(&w, "{\"key\":\"");
    writer_hex(&w, f->sealed_id, sizeof f->sealed_id);
    writer_text(&w, "\"}");
    if (writer_end(&w) != TEDDY_OK)
        out[0] = '\0';
}

static void detail_of(const struct admin_command *c, char *out, size_t cap)
{
    out[0] = '\0';
    if (c->verb == ADMIN_IMPORT)
        (void)snprintf(out, cap, "{\"devices\":%zu}", c->import->count);
    else if (admin_command_of_child(c))
        child_detail(c, out, cap);
    else if (admin_command_of_talk(c))
        talk_detail(c, out, cap);
    else if (c->verb == ADMIN_RELEASE_ROTATE)
        (void)snprintf(out, cap, "{\"secret\":\"rotated\"}");
    else if (c->verb == ADMIN_CLEAR)
        (void)snprintf(out, cap, "{\"messages\":%llu}", (unsigned long long)c->gone);
    else if (c->verb == ADMIN_TOKEN_CREATE)
        token_detail(&c->tokens->made, out, cap);
    else if (c->verb == ADMIN_TOKEN_REVOKE)
        (void)snprintf(out, cap, "{\"token\":\"%s\"}", c->id);
    else if (c->verb == ADMIN_BATCH_ADD)
        batch_detail(&c->batch, out, cap);
    else if (c->verb == ADMIN_MASTER_ROTATE)
        key_detail(c->found, out, cap);
}

/* A rotation of the master key runs twice, or more often: it is the run that puts the data key
 * under another key. */
static bool tells(const struct admin_command *c)
{
    if (c->verb == ADMIN_MASTER_ROTATE)
        return !c->found->rewrapped && c->found->moved;
    return admin_command_writes(c);
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
    if (admin_command_of_child(c) || c->verb == ADMIN_PROFILE_SET)
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

static const char *device_of(const struct admin_command *c)
{
    if (c->verb == ADMIN_PROFILE_SET)
        return c->talk->device_id;
    return is_of_device(c) ? c->id : NULL;
}

int admin_trail_after(struct store_tx *tx, const struct admin_command *c,
                      const struct admin_trail *t)
{
    char detail[DETAIL_MAX];

    if (!tells(c))
        return TEDDY_OK;
    detail_of(c, detail, sizeof detail);
    return audit_add(tx, &(struct audit_event){.event = event_of(c),
                                               .device_id = device_of(c),
                                               .child = t->has_child ? t->child : NULL,
                                               .actor = c->actor[0] != '\0' ? c->actor : "teddyctl",
                                               .detail = detail});
}

static const char *event_of_key(enum key_state state)
{
    switch (state) {
    case KEY_PENDING:
        return "key.added";
    case KEY_SIGNING:
        return "key.signs";
    case KEY_VERIFYING:
        return "key.retired";
    default:
        return "key.removed";
    }
}

static int tell_key(struct store_tx *tx, const char *event, const char *actor,
                    const struct key_info *key, const char *successor)
{
    char detail[3 * JWT_KID_MAX + 128];

    (void)snprintf(detail, sizeof detail, "{\"kid\":\"%s\",\"alg\":\"%s\"%s%s%s}", key->kid,
                   alg_name(key->alg), successor[0] != '\0' ? ",\"successor\":\"" : "", successor,
                   successor[0] != '\0' ? "\"" : "");
    return audit_add(tx, &(struct audit_event){.event = event, .actor = actor, .detail = detail});
}

static const struct key_info *find_key(const struct admin_key_list *l, const char *kid)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->key[i].kid, kid) == 0)
            return &l->key[i];
    return NULL;
}

void admin_key_list_take(struct admin_key_list *l, const struct keys *keys)
{
    l->count = keys != NULL ? keyring_list(keys, l->key) : 0;
}

int admin_trail_keys(struct store_tx *tx, const struct keyring_op *op, const char *actor,
                     const struct admin_key_list *before, const struct admin_key_list *after)
{
    bool asked = op->verb == KEYRING_ADD || op->verb == KEYRING_RETIRE;
    int rc = TEDDY_OK;

    if (op->verb == KEYRING_ADD)
        rc = tell_key(tx, "key.added", actor, &op->key, "");
    if (op->verb == KEYRING_RETIRE)
        rc = tell_key(tx, op->key.state == KEY_RETIRED ? "key.removed" : "key.retired", actor,
                      &op->key, op->successor);
    for (size_t i = 0; rc == TEDDY_OK && i < after->count; i++) {
        const struct key_info *now = &after->key[i], *was = find_key(before, now->kid);
        if ((asked && strcmp(now->kid, op->key.kid) == 0) ||
            (was != NULL && was->state == now->state))
            continue;
        rc = tell_key(tx, was == NULL ? "key.added" : event_of_key(now->state), actor, now, "");
    }
    for (size_t i = 0; rc == TEDDY_OK && i < before->count; i++) {
        const struct key_info *was = &before->key[i];
        if ((!asked || strcmp(was->kid, op->key.kid) != 0) && find_key(after, was->kid) == NULL)
            rc = tell_key(tx, "key.removed", actor, was, "");
    }
    return rc;
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
