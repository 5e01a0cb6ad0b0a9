/* What the application says, from its call to the outbox's head: policies, expiry, room. */
#include "core.h"
#include "proto/utf8.h"

bool sdk_head(const struct teddy_client *c, struct sdk_entry *entry)
{
    size_t at = 0;
    return sdk_outbox_next(&c->outbox, &at, entry);
}

size_t sdk_waiting_from(const struct teddy_client *c)
{
    struct sdk_entry head;
    bool busy = c->head_sent || sdk_frames_saying(c);
    return busy && sdk_head(c, &head) ? sizeof head + head.len : 0;
}

/* A function of its own, for the flash's sake: the compiler would make two. */
static __attribute__((noinline)) void tell_dropped(struct teddy_client *c,
                                                   const struct sdk_entry *entry, const char *code)
{
    char id[21];
    if (entry->kind != SDK_REPORT) {
        sdk_decimal(entry->id, id);
        c->event.id = id;
        c->event.code = code;
        sdk_emit(c, TEDDY_EVENT_DROPPED);
    }
}

/* Makes room for len bytes at the expense of the oldest that are not on their way. */
static void drop_oldest(struct teddy_client *c, size_t len)
{
    struct teddy_outbox *o = &c->outbox;
    unsigned left =
        (unsigned)o->count; /* what is said from within an event is not dropped for it */
    if (o->dropping || sdk_waiting_from(c) + TEDDY_OUTBOX_ENTRY + len > o->cap) {
        return; /* said from within the event about another drop; or it would not be enough */
    }
    o->dropping = true;
    while (sdk_outbox_room(o) < len && left-- > 0) {
        struct sdk_entry entry;
        size_t at = sdk_waiting_from(c), behind = at;
        if (!sdk_outbox_next(o, &behind, &entry)) {
            break;
        }
        sdk_outbox_remove(o, at);
        tell_dropped(c, &entry, "outbox_full");
    }
    o->dropping = false;
}

int sdk_push(struct teddy_client *c, const char *text, const struct sdk_entry *entry,
             enum teddy_when_full when_full)
{
    int rc = sdk_outbox_push(&c->outbox, text, entry);
    if (rc == TEDDY_EFULL && when_full == TEDDY_DROP_OLDEST) {
        drop_oldest(c, entry->len);
        rc = sdk_outbox_push(&c->outbox, text, entry);
    }
    if (rc == TEDDY_EFULL) {
        c->outbox.refused = entry->len;
    }
    return rc;
}

int teddy_client_say(struct teddy_client *c, const char *text, size_t len,
                     const struct teddy_say *how, uint64_t *id)
{
    static const struct teddy_say usual = {TEDDY_DROP_NEWEST, 0};
    how = how != NULL ? how : &usual;
    if (len == 0) {
        return TEDDY_EINVAL;
    }
    if (len > LIMIT_UTTERANCE) {
        return TEDDY_ETOOBIG;
    }
    if (!utf8_ok(text, len)) {
        return TEDDY_EUTF8;
    }
    struct sdk_entry entry = {.id = c->outbox.next_id,
                              .lifetime_ms = sdk_least(how->expires_ms, SDK_SPAN_MS),
                              .len = (uint32_t)len,
                              .kind = how->expires_ms != 0 ? SDK_SAY_FOR_A_WHILE : SDK_SAY};
    c->outbox.next_id++;
    int rc = sdk_push(c, text, &entry, how->when_full);
    if (rc == TEDDY_OK && id != NULL) {
        *id = entry.id;
    }
    return rc;
}

void sdk_outbox_tell_room(struct teddy_client *c)
{
    struct teddy_outbox *o = &c->outbox;
    if (o->refused != 0 && sdk_outbox_room(o) >= o->refused) {
        o->refused = 0;
        sdk_emit(c, TEDDY_EVENT_ROOM);
    }
}

/* Removes the entry at `at`. False: it is being sent, and stays until its frame is whole. */
static bool expire(struct teddy_client *c, size_t at, const struct sdk_entry *entry)
{
    if (at == 0 && sdk_frames_saying(c)) {
        return false;
    }
    if (at == 0) {
        sdk_session_said(c);
    } else {
        sdk_outbox_remove(&c->outbox, at);
    }
    tell_dropped(c, entry, "expired");
    return true;
}

void sdk_outbox_tick(struct teddy_client *c)
{
    struct teddy_outbox *o = &c->outbox;
    struct sdk_entry entry;
    size_t at = 0, next = 0;
    o->expiring = false;
    o->dropping = true; /* what the application says meanwhile only goes to the end */
    while (sdk_outbox_next(o, &next, &entry)) {
        if (entry.lifetime_ms != 0) {
            entry.expires_at = c->now + entry.lifetime_ms;
            entry.lifetime_ms = 0;
            memcpy(o->buf + at, &entry, sizeof entry);
        }
        bool expires = entry.kind == SDK_SAY_FOR_A_WHILE, over = sdk_due(c, entry.expires_at);
        if (expires && over && expire(c, at, &entry)) {
            next = at;
            continue;
        }
        if (expires && !over && (!o->expiring || (int32_t)(entry.expires_at - o->soonest) < 0)) {
            o->soonest = entry.expires_at;
            o->expiring = true;
        }
        at = next;
    }
    o->dropping = false;
}

size_t teddy_client_pending(const struct teddy_client *c)
{
    struct teddy_outbox_state o;
    teddy_client_outbox(c, &o);
    return o.count;
}

void teddy_client_outbox(const struct teddy_client *c, struct teddy_outbox_state *out)
{
    const struct teddy_outbox *o = &c->outbox;
    struct sdk_entry entry;
    size_t at = 0;
    out->room = sdk_outbox_room(o) < LIMIT_UTTERANCE ? sdk_outbox_room(o) : LIMIT_UTTERANCE;
    out->count = 0;
    out->oldest_id = 0;
    while (sdk_outbox_next(o, &at, &entry)) {
        bool done = at == sizeof entry + entry.len && c->head_done;
        if (entry.kind != SDK_REPORT && !done && out->count++ == 0) {
            out->oldest_id = entry.id;
        }
    }
}
