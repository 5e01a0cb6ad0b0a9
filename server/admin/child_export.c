/* All that the store holds on a child, page by page: its bindings, then the messages to its toys,
 * then what conversations left, toy by toy, then its toys' past, the same, then the events under
 * its pseudonym. "next" says where the next page begins: "b-ROW", "m-ROW- EPOCH-N" behind a binding
 * or a message, "t-ROW" and "h-ROW" behind a toy's conversations and its past, "e-N" behind an
 * event, whose table is read in pieces, so that a page may be without any. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/batch.h"
#include "admin/child.h"
#include "admin/fleet.h"
#include "admin/talk.h"
#include "admin/time_json.h"
#include "proto/text.h"
#include "proto/writer.h"

#define ITEMS_MAX  100u   /* of a page: some 2 MB, with the longest messages */
#define EVENTS_MAX 20000u /* that one page looks at */

struct place {
    char part; /* 'b', 'm', 't', 'h', 'e' */
    int64_t row, n;
    struct downlink_id id;
};

struct page {
    struct child_work *work;
    json_t *bindings, *messages, *conversations, *history, *events;
    json_t *toy; /* of conversations or history, while it is filled */
    struct place at;
    unsigned items, looked;
    bool failed;
};

static bool number(const char **text, char end, uint64_t max, uint64_t *out)
{
    const char *stop = end != '\0' ? strchr(*text, end) : *text + strlen(*text);

    if (stop == NULL || u64_parse((struct span){*text, (size_t)(stop - *text)}, out) != TEDDY_OK ||
        *out > max)
        return false;
    *text = stop + (end != '\0');
    return true;
}

static bool place_read(const char *text, struct place *out)
{
    uint64_t first = 0, epoch = 0, n = 0;

    *out = (struct place){.part = 'b'};
    if (text[0] == '\0')
        return true;
    if (strchr("bmthe", text[0]) == NULL || text[1] != '-')
        return false;
    out->part = text[0];
    text += 2;
    if (!number(&text, out->part == 'm' ? '-' : '\0', INT64_MAX, &first) ||
        (out->part == 'm' &&
         (!number(&text, '-', UINT32_MAX, &epoch) || !number(&text, '\0', UINT32_MAX, &n))))
        return false;
    *(out->part == 'e' ? &out->n : &out->row) = (int64_t)first;
    out->id = (struct downlink_id){(uint32_t)epoch, (uint32_t)n};
    return true;
}

bool child_after_ok(const char *after)
{
    struct place place;

    return place_read(after, &place);
}

static json_t *place_json(const struct place *p)
{
    char text[LIMIT_ID_LEN + 1];

    if (p->part == 'm')
        (void)snprintf(text, sizeof text, "m-%" PRId64 "-%u-%u", p->row, (unsigned)p->id.epoch,
                       (unsigned)p->id.n);
    else
        (void)snprintf(text, sizeof text, "%c-%" PRId64, p->part, p->part == 'e' ? p->n : p->row);
    return json_string(text);
}

static json_t *span_json(struct span s)
{
    return s.len > 0 ? json_stringn(s.p, s.len) : json_null();
}

static bool take(struct page *p, json_t *list, json_t *item)
{
    p->failed |= json_array_append_new(list, item) != 0;
    p->items++;
    return !p->failed;
}

static json_t *family_json(const struct child_binding *b)
{
    if (!b->has_family)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "issued", time_or_null(b->iat_s), "access_expires",
                     time_or_null(b->access_exp_s), "refresh_expires",
                     time_or_null(b->refresh_exp_s), "refreshed", time_or_null(b->spent_s));
}

static bool each_binding(void *arg, const struct child_binding *b)
{
    struct page *p = arg;

    p->at.row = b->row;
    return take(p, p->bindings,
                json_pack("{s:s, s:b, s:s, s:o, s:o, s:o, s:o}", "device_id", b->device_id,
                          "enabled", b->enabled, "firmware_version", b->firmware_version,
                          "client_timestamp", span_json(b->client_timestamp), "claimed",
                          time_or_null(b->claimed_s), "seen", time_or_null(b->seen_s), "tokens",
                          family_json(b)));
}

static bool each_message(void *arg, const struct child_message *m)
{
    const struct downlink_row *d = &m->message;
    char id[DOWNLINK_ID_TEXT] = "";
    struct writer w = writer_on(id, sizeof id);
    struct page *p = arg;

    downlink_id_write(&w, &d->id);
    p->failed |= writer_end(&w) != TEDDY_OK;
    p->at.row = m->row;
    p->at.id = d->id;
    return take(p, p->messages,
                json_pack("{s:s, s:s, s:o, s:o, s:s, s:o}", "device_id", m->device_id, "id", id,
                          "queued", time_or_null(d->queued_s), "expires",
                          time_or_null(d->expires_s), "kind", d->data ? "data" : "text", "body",
                          json_stringn(d->body.p, d->body.len)));
}

static bool add_alike(json_t *alert, const struct talk_kept_row *k)
{
    return json_object_set_new(alert, "more", json_integer((json_int_t)k->count)) == 0 &&
           json_object_set_new(alert, "last_at", time_or_null(k->last_s)) == 0;
}

static bool each_kept(void *arg, const struct talk_kept_row *k)
{
    struct page *p = arg;
    json_t *day = talk_day_json(k->day), *at = time_or_null(k->at_s);
    const char *list = NULL;
    json_t *item = NULL;

    switch (k->what) {
    case KEPT_PROFILE:
        p->failed |= json_object_set_new(p->toy, "profile", talk_profile_json(k->profile)) != 0;
        break;
    case KEPT_TURN:
        list = "turns";
        item = json_pack("{s:O, s:s%, s:s%}", "at", at, "heard", k->a.p, k->a.len, "said", k->b.p,
                         k->b.len);
        break;
    case KEPT_PLAYED:
        list = "played";
        item = json_pack("{s:O, s:I}", "day", day, "seconds", (json_int_t)k->count);
        break;
    case KEPT_BLOCKED:
        list = "blocked";
        item = json_pack("{s:O, s:s%, s:I}", "day", day, "category", k->a.p, k->a.len, "count",
                         (json_int_t)k->count);
        break;
    case KEPT_ALERT:
    case KEPT_BLOCKED_WORDS:
        list = k->what == KEPT_ALERT ? "alerts" : "blocked_words";
        item = json_pack("{s:O, s:s%, s:o}", "at", at, "category", k->a.p, k->a.len, "words",
                         span_json(k->b));
        if (k->what == KEPT_ALERT && k->count > 0)
            p->failed |= !add_alike(item, k);
        break;
    }
    json_decref(day);
    json_decref(at);
    if (list != NULL)
        p->failed |= json_array_append_new(json_object_get(p->toy, list), item) != 0;
    return !p->failed;
}

/* One toy's conversations are a page's at least. */
static int fill_toy(struct store_tx *tx, const char *child_id, struct page *p, bool *full)
{
    char device_id[LIMIT_ID_LEN + 1];
    int64_t row;
    int rc = store_talk_toy(tx, child_id, p->at.row, &row, device_id);

    *full = rc == TEDDY_OK;
    if (rc != TEDDY_OK)
        return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
    p->toy = json_pack("{s:s, s:n, s:[], s:[], s:[], s:[], s:[]}", "device_id", device_id,
                       "profile", "turns", "played", "blocked", "alerts", "blocked_words");
    p->failed |= json_array_append_new(p->conversations, p->toy) != 0;
    p->at.row = row;
    return p->failed ? TEDDY_ENOMEM : store_talk_kept(tx, child_id, row, each_kept, p);
}

static bool each_telemetry(void *arg, const struct telemetry_row *row)
{
    struct page *p = arg;
    json_t *item = json_pack("{s:o}", "at", time_or_null(row->at_s));

    p->failed |= item == NULL || !fleet_telemetry_into(item, row) ||
                 json_array_append(json_object_get(p->toy, "telemetry"), item) != 0;
    json_decref(item);
    return !p->failed;
}

static bool each_session(void *arg, const struct past_session *session)
{
    struct page *p = arg;

    p->failed |= json_array_append_new(json_object_get(p->toy, "sessions"),
                                       fleet_session_json(session)) != 0;
    return !p->failed;
}

/* One toy's past, too. */
static int fill_past(struct store_tx *tx, const char *child_id, struct page *p, bool *full)
{
    char device_id[LIMIT_ID_LEN + 1];
    int64_t row;
    int rc = store_history_toy(tx, child_id, p->at.row, &row, device_id);

    *full = rc == TEDDY_OK;
    if (rc != TEDDY_OK)
        return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
    p->toy = json_pack("{s:s, s:[], s:[]}", "device_id", device_id, "telemetry", "sessions");
    p->failed |= json_array_append_new(p->history, p->toy) != 0;
    p->at.row = row;
    if (!p->failed)
        rc = store_telemetry_list(tx, device_id, 0, INT64_MAX, each_telemetry, p);
    if (rc == TEDDY_OK && !p->failed)
        rc = store_session_list(tx, device_id, each_session, p);
    return p->failed ? TEDDY_ENOMEM : rc;
}

static bool each_event(void *arg, const struct audit_row *row)
{
    struct page *p = arg;

    if (p->items == ITEMS_MAX || p->looked == EVENTS_MAX)
        return false;
    p->looked++;
    p->at.n = row->n;
    if (row->child == NULL || memcmp(row->child, p->work->child, AUDIT_CHILD_LEN) != 0)
        return true;
    return take(p, p->events,
                json_pack("{s:I, s:o, s:s%, s:o, s:o, s:o}", "n", (json_int_t)row->n, "at",
                          time_or_null(row->at_ms / 1000), "event", row->event.p, row->event.len,
                          "device_id", span_json(row->device_id), "actor", span_json(row->actor),
                          "detail", span_json(row->detail)));
}

/* One part of the page; *full: there may be more of it. */
static int fill_part(struct store_tx *tx, const char *child_id, struct page *p, bool *full)
{
    unsigned room = ITEMS_MAX - p->items, before = p->items;
    struct audit_head last;
    int rc;

    if (p->at.part == 't')
        return fill_toy(tx, child_id, p, full);
    if (p->at.part == 'h')
        return fill_past(tx, child_id, p, full);
    if (p->at.part == 'e') {
        rc = p->work->has_child ? audit_last(tx, &last) : TEDDY_ENOTFOUND;
        if (rc == TEDDY_OK)
            rc = audit_rows(tx, p->at.n, each_event, p);
        *full = rc == TEDDY_OK && p->at.n < last.n;
        return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
    }
    rc = p->at.part == 'b'
             ? store_child_bindings(tx, child_id, p->at.row, room, each_binding, p)
             : store_child_messages(tx, child_id, p->at.row, &p->at.id, room, each_message, p);
    *full = p->items - before == room;
    return rc;
}

static int fill(struct store_tx *tx, const char *child_id, struct page *p, bool *more)
{
    bool full = false;
    int rc;

    for (;;) {
        rc = fill_part(tx, child_id, p, &full);
        *more = full;
        if (rc != TEDDY_OK || p->failed || full || p->at.part == 'e')
            return p->failed ? TEDDY_ENOMEM : rc;
        p->at = (struct place){.part = p->at.part == 'b'   ? 'm'
                                       : p->at.part == 'm' ? 't'
                                       : p->at.part == 't' ? 'h'
                                                           : 'e'};
    }
}

static json_t *name_json(const struct child_work *w)
{
    char text[2 * AUDIT_CHILD_LEN + 1];
    struct writer hex = writer_on(text, sizeof text);

    writer_hex(&hex, w->child, sizeof w->child);
    return w->has_child && writer_end(&hex) == TEDDY_OK ? json_string(text) : json_null();
}

int child_run_export(struct store_tx *tx, struct admin_command *c)
{
    struct page p = {.work = c->child,
                     .bindings = json_array(),
                     .messages = json_array(),
                     .conversations = json_array(),
                     .history = json_array(),
                     .events = json_array()};
    struct profile_row limits;
    bool more = false;
    int rc = place_read(c->child->after, &p.at) ? TEDDY_OK : TEDDY_EINVAL;

    p.failed = p.bindings == NULL || p.messages == NULL || p.conversations == NULL ||
               p.history == NULL || p.events == NULL;
    if (rc == TEDDY_OK)
        rc = p.failed ? TEDDY_ENOMEM : fill(tx, c->id, &p, &more);
    int has_limits = rc == TEDDY_OK ? store_limits_get(tx, c->id, &limits) : TEDDY_OK;
    if (has_limits != TEDDY_OK && has_limits != TEDDY_ENOTFOUND)
        rc = has_limits;
    if (rc == TEDDY_OK)
        c->child->json = json_pack("{s:s, s:o, s:o, s:O, s:O, s:O, s:O, s:O, s:o}", "child_id",
                                   c->id, "child", name_json(c->child), "limits",
                                   has_limits == TEDDY_OK ? talk_limits_json(&limits) : json_null(),
                                   "bindings", p.bindings, "messages", p.messages, "conversations",
                                   p.conversations, "history", p.history, "events", p.events,
                                   "next", more ? place_json(&p.at) : json_null());
    json_decref(p.bindings);
    json_decref(p.messages);
    json_decref(p.conversations);
    json_decref(p.history);
    json_decref(p.events);
    return rc == TEDDY_OK && c->child->json == NULL ? TEDDY_ENOMEM : rc;
}
