/* Rotating the master key, and showing its state. */
#include <jansson.h>
#include <stdio.h>

#include "admin/command.h"
#include "admin/time_json.h"
#include "proto/text.h"
#include "proto/writer.h"

static int name_keys(struct master_found *f, const struct seal_master *keys)
{
    f->count = keys->count;
    for (unsigned i = 0; i < keys->count; i++)
        if (seal_id(keys->key[i], f->id[i]) != TEDDY_OK)
            return TEDDY_ESTORE;
    return TEDDY_OK;
}

int master_status_run(struct store_tx *tx, struct admin_command *c)
{
    struct master_found *f = c->found;
    struct seal_master keys = {0};
    int rc = store_seal_state(tx, f->sealed_id, &f->since_s);
    if (rc != TEDDY_OK)
        return rc;
    if (!master_key_in_file(c->master)) {
        memcpy(f->id, c->master->id, sizeof f->id);
        f->count = c->master->keys.count;
        return TEDDY_OK;
    }
    if (master_key_read(c->master, &keys, f->why, sizeof f->why) == TEDDY_OK)
        rc = name_keys(f, &keys);
    wipe(&keys, sizeof keys);
    return rc;
}

/* What the file is to hold: the new key, then the present one. A rotation that was cut short has
 * left its own there already. */
static void put_new_first(const struct admin_command *c, struct seal_master *keys)
{
    if (keys->count > 1)
        return;
    memcpy(keys->key[1], keys->key[0], SEAL_KEY_LEN);
    memcpy(keys->key[0], c->secret, SEAL_KEY_LEN);
    keys->count = 2;
}

static int check_fits(struct store_tx *tx, const struct admin_command *c,
                      const struct seal_master *keys)
{
    int rc = store_seal_fits(tx, keys);
    if (rc == TEDDY_EAUTH)
        snprintf(c->found->why, sizeof c->found->why,
                 "The key in %.150s is not the one that the database is under.", c->master->path);
    return rc;
}

static int move(struct store_tx *tx, const struct admin_command *c, const struct seal_master *keys)
{
    uint8_t before[SEAL_ID_LEN], after[SEAL_ID_LEN];
    uint64_t since_s;
    int rc = store_seal_state(tx, before, &since_s);
    if (rc == TEDDY_OK)
        rc = store_seal_rewrap(tx, keys, c->now_s);
    if (rc == TEDDY_OK)
        rc = store_seal_state(tx, after, &since_s);
    c->found->moved = rc == TEDDY_OK && memcmp(before, after, sizeof before) != 0;
    return rc;
}

/* The file first: the data key is never under a key that is not kept. Run again it finds its own
 * two keys. */
static int rewrap(struct store_tx *tx, const struct admin_command *c, struct seal_master *keys)
{
    struct master_found *f = c->found;
    int rc = check_fits(tx, c, keys);
    if (rc != TEDDY_OK)
        return rc;
    put_new_first(c, keys);
    rc = master_key_write(c->master, keys, f->why, sizeof f->why);
    return rc == TEDDY_OK ? move(tx, c, keys) : rc;
}

/* Somebody may have put another key there meanwhile: then nothing is taken out. */
static int drop_old(struct store_tx *tx, const struct admin_command *c, struct seal_master *keys)
{
    struct master_found *f = c->found;
    keys->count = 1;
    int rc = check_fits(tx, c, keys);
    return rc == TEDDY_OK ? master_key_write(c->master, keys, f->why, sizeof f->why) : rc;
}

int master_rotate_run(struct store_tx *tx, struct admin_command *c)
{
    struct master_found *f = c->found;
    struct seal_master keys = {0};
    f->why[0] = 0;
    if (!master_key_in_file(c->master))
        return TEDDY_EINVAL;
    int rc = master_key_read(c->master, &keys, f->why, sizeof f->why);
    if (rc == TEDDY_OK)
        rc = f->rewrapped ? drop_old(tx, c, &keys) : rewrap(tx, c, &keys);
    if (rc == TEDDY_OK)
        rc = name_keys(f, &keys);
    if (rc == TEDDY_OK)
        rc = store_seal_state(tx, f->sealed_id, &f->since_s);
    wipe(&keys, sizeof keys);
    return rc;
}

bool master_rotate_more(struct admin_command *c)
{
    struct master_found *f = c->found;
    if (c->job.result != TEDDY_OK || (f->rewrapped && f->moved))
        return false;
    f->rewrapped = !f->rewrapped;
    return true;
}

static json_t *id_json(const uint8_t id[SEAL_ID_LEN])
{
    char hex[2 * SEAL_ID_LEN + 1];
    struct writer w = writer_on(hex, sizeof hex);
    writer_hex(&w, id, SEAL_ID_LEN);
    return writer_end(&w) == TEDDY_OK ? json_string(hex) : NULL;
}

static char *state_text(const struct admin_command *c)
{
    const struct master_key *m = c->master;
    const struct master_found *f = c->found;
    bool newest = f->count > 0 && memcmp(f->id[0], f->sealed_id, SEAL_ID_LEN) == 0;
    json_t *keys = json_array();
    for (unsigned i = 0; i < f->count; i++)
        (void)json_array_append_new(keys, id_json(f->id[i]));
    /* old_key_may_go: the source still has it, and nothing needs it. */
    json_t *o =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o}", "source", master_key_source(m), "from",
                  m->from, "sealed_under", id_json(f->sealed_id), "since", time_or_null(f->since_s),
                  "keys", keys, "old_key_may_go", newest && f->count > 1, "problem",
                  f->why[0] != 0 ? json_string(f->why) : json_null());
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return text;
}

static void refuse(struct admin_answer *out, int status, const char *code, const char *detail)
{
    out->status = status;
    out->code = code;
    snprintf(out->detail, sizeof out->detail, "%.*s", (int)sizeof out->detail - 1, detail);
}

void master_answer(const struct admin_command *c, struct admin_answer *out)
{
    int rc = c->job.result;
    /* That the old key could not leave the file is no failure of the rotation. */
    if (rc == TEDDY_OK || (c->found->rewrapped && c->found->moved)) {
        out->status = 200;
        out->body = state_text(c);
        if (out->body == NULL)
            refuse(out, 500, "internal", "Out of memory; the command itself was done.");
    } else if (rc == TEDDY_EINVAL) {
        refuse(out, 409, "master_key_not_in_file",
               c->master->source == MASTER_CREDENTIAL
                   ? "The master key is a systemd credential: put the new key and the old one "
                     "there, one a line, and restart."
                   : "The master key is in TEDDY_MASTER_KEY: put NEW:OLD there and restart.");
    } else if (c->found->why[0] != 0) {
        refuse(out, 409, "master_key_file", c->found->why);
    } else {
        refuse(out, 503, "store_unavailable",
               "The store cannot do this now; try again, nothing is lost.");
    }
}
