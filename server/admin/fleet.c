#include "admin/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/batch.h"
#include "admin/time_json.h"

static const char *const states[] = {[FLEET_DISABLED] = "disabled",
                                     [FLEET_UNCLAIMED] = "unclaimed",
                                     [FLEET_LAPSED] = "lapsed",
                                     [FLEET_CLAIMED] = "claimed"};

struct fleet_work *fleet_work_new(void)
{
    struct fleet_work *w = calloc(1, sizeof *w);

    if (w != NULL)
        w->to_s = INT64_MAX;
    return w;
}

void fleet_work_free(struct fleet_work *w)
{
    if (w == NULL)
        return;
    free(w->ids);
    free(w->items);
    free(w->telemetry);
    free(w);
}

bool fleet_verb(enum admin_verb verb)
{
    return verb == ADMIN_LIST || verb == ADMIN_SHOW || verb == ADMIN_TELEMETRY ||
           verb == ADMIN_SESSIONS;
}

bool fleet_state_parse(const char *text, enum fleet_state *out)
{
    for (unsigned i = FLEET_DISABLED; i <= FLEET_CLAIMED; i++)
        if (strcmp(text, states[i]) == 0) {
            *out = (enum fleet_state)i;
            return true;
        }
    return false;
}

static enum fleet_state state_of(const struct fleet_row *r, uint64_t now_s)
{
    return !r->enabled                 ? FLEET_DISABLED
           : r->child_id[0] == '\0'    ? FLEET_UNCLAIMED
           : r->refresh_exp_s <= now_s ? FLEET_LAPSED
                                       : FLEET_CLAIMED;
}

/* ---- A page ---- */

static bool fits(const struct admin_command *c, const struct fleet_row *r)
{
    const struct fleet_work *w = c->fleet;

    return (w->state == FLEET_ANY || state_of(r, c->now_s) == w->state) &&
           (w->part[0] == '\0' || strcasestr(r->device_id, w->part) != NULL ||
            strcasestr(r->firmware_version, w->part) != NULL);
}

/* False: the page has ended before it. */
static bool look_at(struct admin_command *c, const struct fleet_row *r)
{
    struct fleet_work *w = c->fleet;

    if (w->count == c->limit || w->looked == FLEET_LOOKS_MAX) {
        w->more = true;
        return false;
    }
    if (w->piece == FLEET_PIECE) {
        w->again = true;
        return false;
    }
    w->piece++;
    w->looked++;
    (void)snprintf(w->at, sizeof w->at, "%s", r->device_id);
    if (fits(c, r))
        w->items[w->count++] = (struct fleet_item){.row = *r, .online = w->online == FLEET_ONLINE};
    return true;
}

static bool each_row(void *arg, const struct fleet_row *r)
{
    struct admin_command *c = arg;
    struct fleet_work *w = c->fleet;

    if (strncmp(r->device_id, w->prefix, strlen(w->prefix)) != 0)
        return false; /* in order, and from the first of the prefix on: there are no more */
    return look_at(c, r);
}

/* Those that have been found online; one may be gone from the registry meanwhile. */
static int look_up(struct store_tx *tx, struct admin_command *c)
{
    struct fleet_work *w = c->fleet;

    for (; w->id_at < w->id_count; w->id_at++) {
        struct fleet_row r;
        int rc = store_fleet_get(tx, w->ids[w->id_at], &r);
        if (rc == TEDDY_OK && !look_at(c, &r))
            return TEDDY_OK;
        if (rc == TEDDY_ENOTFOUND)
            (void)snprintf(w->at, sizeof w->at, "%s", w->ids[w->id_at]);
        if (rc != TEDDY_OK && rc != TEDDY_ENOTFOUND)
            return rc;
    }
    w->more = w->id_count == FLEET_ONLINE_MAX; /* there may be others behind them */
    return TEDDY_OK;
}

/* Behind what the first id of the prefix stands: the prefix with its last byte one less, and then
 * the greatest; no id holds that. */
static void before_prefix(const char *prefix, char out[LIMIT_ID_LEN + 1])
{
    size_t len = strlen(prefix);

    memcpy(out, prefix, len);
    out[len - 1]--;
    if (len < LIMIT_ID_LEN)
        out[len++] = 0x7f;
    out[len] = '\0';
}

/* Both the caller's prefix and the one that is looked for. False: no id begins with both. */
static bool begin(struct admin_command *c)
{
    struct fleet_work *w = c->fleet;
    size_t scope = strlen(c->prefix), wanted = strlen(w->q);

    w->begun = true;
    w->items = calloc(c->limit, sizeof *w->items);
    if (strncmp(c->prefix, w->q, scope < wanted ? scope : wanted) != 0)
        return false;
    (void)snprintf(w->prefix, sizeof w->prefix, "%s", scope > wanted ? c->prefix : w->q);
    if (w->prefix[0] != '\0')
        before_prefix(w->prefix, w->at);
    if (strcmp(c->id, w->at) > 0)
        memcpy(w->at, c->id, sizeof w->at);
    return true;
}

static int run_list(struct store_tx *tx, struct admin_command *c)
{
    struct fleet_work *w = c->fleet;
    unsigned before = w->count;
    char after[LIMIT_ID_LEN + 1];
    int rc;

    w->again = w->more = false;
    w->piece = 0;
    if (w->none || (!w->begun && !begin(c)))
        return TEDDY_OK;
    if (w->items == NULL)
        return TEDDY_ENOMEM;
    memcpy(after, w->at, sizeof after);
    rc = w->ids != NULL ? look_up(tx, c) : store_fleet_list(tx, after, each_row, c);
    for (unsigned i = before; rc == TEDDY_OK && i < w->count; i++)
        rc = store_fleet_last(tx, w->items[i].row.row, &w->items[i].last_s);
    return rc;
}

/* ---- One of them ---- */

static bool take_telemetry(void *arg, const struct telemetry_row *row)
{
    struct admin_command *c = arg;
    struct fleet_work *w = c->fleet;

    w->more = w->telemetry_count == c->limit;
    if (w->more)
        return false;
    w->telemetry[w->telemetry_count++] = *row;
    return true;
}

static int read_telemetry(struct store_tx *tx, struct admin_command *c, unsigned limit)
{
    struct fleet_work *w = c->fleet;

    c->limit = limit;
    w->telemetry_count = 0;
    w->more = false;
    if (w->telemetry == NULL)
        w->telemetry = calloc(limit, sizeof *w->telemetry);
    return w->telemetry == NULL
               ? TEDDY_ENOMEM
               : store_telemetry_list(tx, c->id, w->from_s, w->to_s, take_telemetry, c);
}

static bool take_session(void *arg, const struct past_session *session)
{
    struct fleet_work *w = arg;

    w->sessions[w->session_count++] = *session;
    return w->session_count < SESSIONS_KEPT;
}

static void count_message(void *arg, const struct downlink_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
}

static int run_show(struct store_tx *tx, struct admin_command *c, const struct fleet_row *row)
{
    struct fleet_work *w = c->fleet;
    int rc = store_family_get(tx, c->id, NULL, &w->family);

    w->items[0] = (struct fleet_item){.row = *row};
    w->messages = 0;
    if (rc == TEDDY_OK)
        rc = store_fleet_last(tx, row->row, &w->items[0].last_s);
    if (rc == TEDDY_OK)
        rc = store_downlink_list(tx, c->id, c->now_s, count_message, &w->messages);
    return rc == TEDDY_OK ? read_telemetry(tx, c, 1) : rc;
}

int fleet_run(struct store_tx *tx, struct admin_command *c)
{
    struct fleet_work *w = c->fleet;
    struct fleet_row row;
    int rc;

    if (c->verb == ADMIN_LIST)
        return run_list(tx, c);
    rc = store_fleet_get(tx, c->id, &row);
    if (rc != TEDDY_OK)
        return rc;
    if (c->verb == ADMIN_TELEMETRY)
        return read_telemetry(tx, c, c->limit);
    w->session_count = 0;
    if (c->verb == ADMIN_SESSIONS)
        return store_session_list(tx, c->id, take_session, w);
    if (w->items == NULL)
        w->items = calloc(1, sizeof *w->items);
    return w->items != NULL ? run_show(tx, c, &row) : TEDDY_ENOMEM;
}

/* ---- As JSON ---- */

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static uint64_t last_seen(const struct admin_command *c, const struct fleet_item *i)
{
    const struct fleet_row *r = &i->row;
    uint64_t last = r->claimed_s > r->seen_s ? r->claimed_s : r->seen_s;

    return i->online ? c->now_s : i->last_s > last ? i->last_s : last;
}

static json_t *item_json(const struct admin_command *c, const struct fleet_item *i)
{
    const struct fleet_row *r = &i->row;

    return json_pack("{s:s, s:b, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "device_id",
                     r->device_id, "enabled", r->enabled, "state", states[state_of(r, c->now_s)],
                     "online", i->online, "child_id", text_or_null(r->child_id), "firmware_version",
                     text_or_null(r->firmware_version), "created", time_or_null(r->created_s),
                     "claimed", time_or_null(r->claimed_s), "seen", time_or_null(r->seen_s),
                     "last_seen", time_or_null(last_seen(c, i)), "secret_rev",
                     (json_int_t)r->secret_rev);
}

static bool wanted(const struct fleet_work *w, const struct fleet_item *i)
{
    return w->online == FLEET_BOTH || i->online == (w->online == FLEET_ONLINE);
}

static json_t *list_json(const struct admin_command *c)
{
    const struct fleet_work *w = c->fleet;
    json_t *devices = json_array();

    for (unsigned i = 0; i < w->count; i++)
        if (wanted(w, &w->items[i]) &&
            json_array_append_new(devices, item_json(c, &w->items[i])) != 0) {
            json_decref(devices);
            return NULL;
        }
    return json_pack("{s:o, s:o}", "devices", devices, "next", text_or_null(w->more ? w->at : ""));
}

/* Whole numbers as such. */
static json_t *number_json(double value)
{
    json_int_t whole = (json_int_t)value; /* at most 1e15 was let in */

    return value <= (double)whole && value >= (double)whole ? json_integer(whole)
                                                            : json_real(value);
}

static json_t *field_json(const struct telemetry_row *row, unsigned field)
{
    return row->has & 1u << field ? number_json(row->value[field]) : json_null();
}

bool fleet_telemetry_into(json_t *object, const struct telemetry_row *row)
{
    bool ok = true;

    for (unsigned i = 0; i < TELEMETRY_FIELDS; i++)
        if (row->has & 1u << i)
            ok &= json_object_set_new(object, telemetry_names[i], field_json(row, i)) == 0;
    return ok;
}

static json_t *last_telemetry_json(const struct fleet_work *w)
{
    json_t *o;

    if (w->telemetry_count == 0)
        return json_null();
    o = json_pack("{s:o}", "at", time_or_null(w->telemetry[0].at_s));
    if (o != NULL && fleet_telemetry_into(o, &w->telemetry[0]))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *live_json(const struct fleet_live *l)
{
    char id[24];

    if (!l->online)
        return json_null();
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)l->id);
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:b, s:s}", "id", id, "since",
                     time_or_null(l->since_s), "utterances", (json_int_t)l->utterances, "received",
                     (json_int_t)l->received, "sent", (json_int_t)l->sent, "hello", l->hello,
                     "address", l->address);
}

static json_t *tokens_json(const struct family_row *f)
{
    if (f->revoked)
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "issued", time_or_null(f->pair.iat_s), "access_expires",
                     time_or_null(f->pair.access_exp_s), "refresh_expires",
                     time_or_null(f->pair.refresh_exp_s));
}

static json_t *show_json(const struct admin_command *c)
{
    const struct fleet_work *w = c->fleet;
    json_t *o = item_json(c, &w->items[0]);
    json_t *more =
        json_pack("{s:o, s:o, s:o, s:I, s:o}", "processor", text_or_null(w->items[0].row.processor),
                  "tokens", tokens_json(&w->family), "session", live_json(&w->live), "messages",
                  (json_int_t)w->messages, "telemetry", last_telemetry_json(w));
    bool ok = o != NULL && more != NULL && json_object_update(o, more) == 0;

    json_decref(more);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* Oldest first, a column each, as charts take them. */
static json_t *telemetry_json(const struct admin_command *c)
{
    const struct fleet_work *w = c->fleet;
    json_t *o = json_pack("{s:s, s:b, s:[]}", "device_id", c->id, "more", w->more, "at");
    bool ok = o != NULL;

    for (unsigned f = 0; ok && f < TELEMETRY_FIELDS; f++)
        ok = json_object_set_new(o, telemetry_names[f], json_array()) == 0;
    for (unsigned n = w->telemetry_count; ok && n-- > 0;) {
        const struct telemetry_row *row = &w->telemetry[n];
        ok = json_array_append_new(json_object_get(o, "at"), json_integer((json_int_t)row->at_s)) ==
             0;
        for (unsigned f = 0; ok && f < TELEMETRY_FIELDS; f++)
            ok = json_array_append_new(json_object_get(o, telemetry_names[f]),
                                       field_json(row, f)) == 0;
    }
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

json_t *fleet_session_json(const struct past_session *p)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:I, s:I}", "opened", time_or_null(p->opened_s),
                     "closed", time_or_null(p->closed_s), "close",
                     p->close > 0 ? json_integer(p->close) : json_null(), "reason", p->reason,
                     "received", (json_int_t)p->received, "sent", (json_int_t)p->sent);
}

static json_t *sessions_json(const struct admin_command *c)
{
    const struct fleet_work *w = c->fleet;
    json_t *sessions = json_array();

    for (unsigned i = 0; i < w->session_count; i++)
        if (json_array_append_new(sessions, fleet_session_json(&w->sessions[i])) != 0) {
            json_decref(sessions);
            return NULL;
        }
    return json_pack("{s:s, s:o}", "device_id", c->id, "sessions", sessions);
}

json_t *fleet_json(const struct admin_command *c)
{
    switch (c->verb) {
    case ADMIN_LIST:
        return list_json(c);
    case ADMIN_SHOW:
        return show_json(c);
    case ADMIN_TELEMETRY:
        return telemetry_json(c);
    default:
        return sessions_json(c);
    }
}
