#include "core.h"

/* Kept without gaps, so that removing moves what is behind: a few KB at most, and never the head
 * while a frame is being made of it (see sdk_session_said). */
_Static_assert(sizeof(struct sdk_entry) == TEDDY_OUTBOX_ENTRY, "as config.h says");

void sdk_outbox_init(struct teddy_outbox *o, uint8_t *buf, size_t cap, uint64_t first_id)
{
    *o = (struct teddy_outbox){.buf = buf, .cap = cap, .next_id = first_id};
}

size_t sdk_outbox_room(const struct teddy_outbox *o)
{
    size_t left = o->cap - o->used;
    return left > TEDDY_OUTBOX_ENTRY ? left - TEDDY_OUTBOX_ENTRY : 0;
}

int sdk_outbox_push(struct teddy_outbox *o, const char *text, const struct sdk_entry *entry)
{
    size_t len = sizeof *entry + entry->len;
    if (len > o->cap) {
        return TEDDY_ETOOBIG;
    }
    if (len > o->cap - o->used) {
        return TEDDY_EFULL;
    }
    uint8_t *to = o->buf + o->used;
    memcpy(to, entry, sizeof *entry);
    memcpy(to + sizeof *entry, text, entry->len);
    o->used += len;
    o->count++;
    return TEDDY_OK;
}

bool sdk_outbox_next(const struct teddy_outbox *o, size_t *at, struct sdk_entry *entry)
{
    if (*at >= o->used) {
        return false;
    }
    memcpy(entry, o->buf + *at, sizeof *entry);
    *at += sizeof *entry + entry->len;
    return true;
}

void sdk_outbox_remove(struct teddy_outbox *o, size_t at)
{
    struct sdk_entry entry;
    size_t end = at;
    if (sdk_outbox_next(o, &end, &entry)) {
        memmove(o->buf + at, o->buf + end, o->used - end);
        o->used -= end - at;
        o->count--;
    }
}

void sdk_outbox_clear(struct teddy_outbox *o)
{
    o->used = 0;
    o->count = 0;
    o->refused = 0;
}
