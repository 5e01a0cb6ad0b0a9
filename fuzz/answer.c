/* What a backend answers. Input: one byte of flags (bits 0 and 1: the content type, bit 2: one of
 * our own backends, bit 3: a line of an exec program instead), one for the size of the pieces, then
 * the bytes. */
#include "process/answer.h"
#include "fuzz.h"
#include "process/mend.h"
#include "proto/utf8.h"

#define ROOM 32768

static const char *const TYPES[] = {"text/event-stream", "application/json", "application/x-ndjson",
                                    "text/html"};

struct end {
    enum answer_state state;
    enum backend_result result;
    size_t len;
    char text[ROOM];
};

static void feed(struct end *end, uint8_t flags, const uint8_t *p, size_t len, size_t step)
{
    struct answer a;
    enum answer_kind kind = flags & 4 ? ANSWER_REPLY : ANSWER_CHAT;

    answer_init(&a, kind, 200, TYPES[flags & 3]);
    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        uint8_t *block = heap_copy(p + at, n);

        answer_feed(&a, (struct span){(const char *)block, n});
        free(block);
    }
    answer_end(&a);
    HOLDS(a.state != ANSWER_OPEN);
    HOLDS(a.state != ANSWER_DONE || (a.spoke && a.text.len > 0));
    HOLDS(a.state != ANSWER_FAILED || a.what != NULL);
    HOLDS(a.text.len <= len * 3); /* a byte that is none becomes three */
    HOLDS(utf8_ok(a.text.p != NULL ? a.text.p : "", a.text.len));
    *end = (struct end){.state = a.state, .result = a.result, .len = a.text.len};
    HOLDS(end->len <= sizeof end->text);
    if (end->len > 0)
        memcpy(end->text, a.text.p, end->len);
    answer_fini(&a);
}

static void check_line(const uint8_t *p, size_t len)
{
    struct buffer room = {NULL, 0, 0};
    struct span mended;
    struct reply r;
    uint8_t *block = heap_copy(p, len);
    struct span line = {(const char *)block, len};

    HOLDS(json_mend(line, &room, &mended) == TEDDY_OK);
    HOLDS(utf8_ok(mended.p, mended.len));
    HOLDS(!utf8_ok(line.p, line.len) || mended.len == line.len);
    if (reply_read(line, &room, &r) == TEDDY_OK) {
        HOLDS(utf8_ok(r.text.p, r.text.len) && memchr(r.text.p, 0, r.text.len) == NULL);
        HOLDS(r.id == NULL || strlen(r.id) <= 3 * len);
        reply_fini(&r);
    }
    buffer_fini(&room);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct end whole, pieces;

    if (len < 2 || len > ROOM / 3)
        return 0;
    if (data[0] & 8) {
        check_line(data + 2, len - 2);
        return 0;
    }
    feed(&whole, data[0], data + 2, len - 2, len);
    feed(&pieces, data[0], data + 2, len - 2, (size_t)data[1] + 1);
    HOLDS(whole.state == pieces.state && whole.result == pieces.result);
    HOLDS(whole.len == pieces.len && memcmp(whole.text, pieces.text, whole.len) == 0);
    return 0;
}
