/* Making, listing and revoking admin tokens, as commands. */
#include "admin/token.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "admin/reason.h"
#include "identity/rules.h"
#include "proto/ids.h"
#include "proto/json.h"
#include "proto/text.h"
#include "proto/writer.h"

#define PREFIX "tdy_"

bool admin_token_id_ok(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if (hex_value(id.p[i]) < 0 || (id.p[i] >= 'A' && id.p[i] <= 'F'))
            return false;
    return id.len == ADMIN_TOKEN_ID_LEN;
}

bool admin_token_parse(struct span text, char id[ADMIN_TOKEN_ID_LEN + 1], uint8_t sha256[32])
{
    size_t before = sizeof PREFIX - 1;

    if (text.len != ADMIN_TOKEN_TEXT || memcmp(text.p, PREFIX, before) != 0 ||
        !admin_token_id_ok((struct span){text.p + before, ADMIN_TOKEN_ID_LEN}) ||
        text.p[before + ADMIN_TOKEN_ID_LEN] != '_' ||
        !span_within((struct span){text.p + before + ADMIN_TOKEN_ID_LEN + 1, 43}, "-_"))
        return false;
    memcpy(id, text.p + before, ADMIN_TOKEN_ID_LEN);
    id[ADMIN_TOKEN_ID_LEN] = '\0';
    (void)SHA256((const uint8_t *)text.p, text.len, sha256);
    return true;
}

static bool draw(struct admin_token_work *w)
{
    uint8_t random[4 + 32];
    char tail[44];
    struct writer id = writer_on(w->made.id, sizeof w->made.id);

    if (identity_random(random, sizeof random) != TEDDY_OK)
        return false;
    writer_hex(&id, random, 4);
    (void)writer_end(&id);
    base64url_encode(random + 4, 32, tail);
    (void)snprintf(w->text, sizeof w->text, PREFIX "%s_%s", w->made.id, tail);
    (void)SHA256((const uint8_t *)w->text, strlen(w->text), w->made.sha256);
    wipe(random, sizeof random);
    wipe(tail, sizeof tail);
    return true;
}

static bool members_known(const struct json_object *o, struct reason r)
{
    static const char *const names[] = {"role", "expires_in", "prefix", "name"};
    size_t known = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        known += json_find(o, names[i]) != NULL;
    if (o->count != known)
        return refuse(r, "Members are role and, optionally, expires_in, prefix and name.");
    return true;
}

static bool name_ok(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] < ' ' || name[i] > '~')
            return false;
    return len > 0;
}

static bool read_texts(struct admin_token_row *t, const struct json_object *o, struct reason r)
{
    enum route_role role;
    size_t len = 0;

    if (json_string(o, "role", t->role, sizeof t->role, &len) != TEDDY_OK ||
        !route_role_parse((struct span){t->role, len}, &role))
        return refuse(r, "role is viewer, operator or owner.");
    if (json_find(o, "prefix") != NULL &&
        (json_string(o, "prefix", t->prefix, sizeof t->prefix, &len) != TEDDY_OK ||
         !id_ok((struct span){t->prefix, len})))
        return refuse(r, "prefix has 1 to 64 of the characters A-Z a-z 0-9 _ -.");
    if (json_find(o, "name") != NULL &&
        (json_string(o, "name", t->name, sizeof t->name, &len) != TEDDY_OK ||
         !name_ok(t->name, len)))
        return refuse(r, "name has 1 to %d printable ASCII characters.", ADMIN_TOKEN_NAME_LEN);
    return true;
}

bool admin_token_read(struct admin_command *c, struct span json, bool *bad_json, char *why,
                      size_t cap)
{
    struct reason r = {why, cap};
    struct admin_token_row *t = &c->tokens->made;
    uint64_t ttl_s = ADMIN_TOKEN_TTL_S;
    struct json_object o;

    *bad_json = json_parse(json, &o) != TEDDY_OK;
    if (*bad_json)
        return refuse(r, "The body is a JSON object without duplicate members.");
    if (!members_known(&o, r) || !read_texts(t, &o, r))
        return false;
    if (json_find(&o, "expires_in") != NULL && (json_u64(&o, "expires_in", &ttl_s) != TEDDY_OK ||
                                                ttl_s < 1 || ttl_s > ADMIN_TOKEN_TTL_MAX))
        return refuse(r, "expires_in is a whole number of seconds, 1 to %u.", ADMIN_TOKEN_TTL_MAX);
    t->created_s = c->now_s;
    t->expires_s = c->now_s + ttl_s;
    return true;
}

static bool keep(void *arg, const struct admin_token_row *row)
{
    struct admin_command *c = arg;
    struct admin_token_work *w = c->tokens;

    if (w->count == w->cap) {
        unsigned cap = w->cap > 0 ? 2 * w->cap : 16;
        void *more = realloc(w->rows, cap * sizeof *w->rows);
        if (more == NULL) {
            c->code = "out_of_memory";
            return false;
        }
        w->rows = more;
        w->cap = cap;
    }
    w->rows[w->count++] = *row;
    return true;
}

static int change(struct store_tx *tx, struct admin_command *c)
{
    int rc = TEDDY_OK;

    if (c->verb == ADMIN_TOKEN_CREATE)
        rc = store_admin_token_add(tx, &c->tokens->made, ADMIN_TOKENS_MAX);
    if (c->verb == ADMIN_TOKEN_REVOKE)
        rc = store_admin_token_revoke(tx, c->id, c->now_s);
    return rc == TEDDY_EDUP ? TEDDY_ESTORE : rc; /* an id drawn twice: the next one will not be */
}

int admin_token_run(struct store_tx *tx, struct admin_command *c)
{
    int rc = change(tx, c);

    c->tokens->count = 0;
    if (rc == TEDDY_OK)
        rc = store_admin_token_list(tx, keep, c);
    return rc == TEDDY_OK && c->code != NULL ? TEDDY_ENOMEM : rc;
}

struct admin_token_work *admin_token_work_new(bool makes)
{
    struct admin_token_work *w = calloc(1, sizeof *w);

    if (w != NULL && (!makes || draw(w)))
        return w;
    admin_token_work_free(w);
    return NULL;
}

void admin_token_work_free(struct admin_token_work *w)
{
    if (w == NULL)
        return;
    free(w->rows);
    wipe(w, sizeof *w);
    free(w);
}
