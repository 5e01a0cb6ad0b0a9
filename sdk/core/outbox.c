#include "core.h"

/* An entry: the id, the text's length, the text. Kept without gaps, so popping moves what is
 * behind: a few KB at most, and never while a frame is being made of the head (session.c waits for
 * its end). */
#define ENTRY_HEAD (sizeof(uint64_t) + sizeof(uint32_t))

void sdk_outbox_init(struct teddy_outbox *o, uint8_t *buf, size_t cap, uint64_t first_id)
{
    *o = (struct teddy_outbox){.buf = buf, .cap = cap, .next_id = first_id};
}

int sdk_outbox_push(struct teddy_outbox *o, const char *text, size_t len, uint64_t *id)
{
    if (len > LIMIT_UTTERANCE || o->cap < ENTRY_HEAD || len > o->cap - ENTRY_HEAD) {
        return TEDDY_ETOOBIG;
    }
    if (o->cap - o->used < ENTRY_HEAD + len) {
        return TEDDY_EFULL;
    }
    uint32_t len32 = (uint32_t)len;
    uint8_t *entry = o->buf + o->used;
    memcpy(entry, &o->next_id, sizeof o->next_id);
    memcpy(entry + sizeof o->next_id, &len32, sizeof len32);
    memcpy(entry + ENTRY_HEAD, text, len);
    if (id != NULL) {
        *id = o->next_id;
    }
    o->used += ENTRY_HEAD + len;
    o->next_id++;
    o->count++;
    return TEDDY_OK;
}

bool sdk_outbox_head(const struct teddy_outbox *o, uint64_t *id, const uint8_t **text, size_t *len)
{
    if (o->count == 0) {
        return false;
    }
    uint32_t len32;
    memcpy(id, o->buf, sizeof *id);
    memcpy(&len32, o->buf + sizeof *id, sizeof len32);
    *text = o->buf + ENTRY_HEAD;
    *len = len32;
    return true;
}

void sdk_outbox_pop(struct teddy_outbox *o)
{
    uint64_t id;
    const uint8_t *text;
    size_t len;
    if (!sdk_outbox_head(o, &id, &text, &len)) {
        return;
    }
    size_t size = ENTRY_HEAD + len;
    memmove(o->buf, o->buf + size, o->used - size);
    o->used -= size;
    o->count--;
}

void sdk_outbox_clear(struct teddy_outbox *o)
{
    o->used = 0;
    o->count = 0;
}

void sdk_decimal(uint64_t n, char out[21])
{
    struct writer w = writer_on(out, 21);
    writer_u64(&w, n);
    (void)writer_end(&w);
}
