#include "bench/load/payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/random.h"
#include "proto/json.h"

#define SHIFTS 4096 /* places of the pattern that a message may begin at; a power of two */

static const char letters[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool payload_init(struct payload *p, uint32_t size)
{
    *p = (struct payload){.size = size};
    p->pattern = malloc(size + SHIFTS);
    p->said = malloc(size);
    if (p->pattern == NULL || p->said == NULL)
        return false;
    for (size_t i = 0; i < size + SHIFTS; i++)
        p->pattern[i] = letters[random_below(64)];
    return true;
}

void payload_fini(struct payload *p)
{
    free(p->pattern);
    free(p->said);
}

const char *payload_make(struct payload *p, uint32_t connection, uint64_t n)
{
    uint64_t mark = (uint64_t)connection << 36 ^ n;
    uint32_t shift = (uint32_t)((mark * 0x9E3779B97F4A7C15u) >> 52);

    memcpy(p->said, p->pattern + shift % SHIFTS, p->size);
    for (size_t i = 0; i < p->size && i < 11; i++)
        p->said[i] = letters[mark >> 6 * i & 63];
    return p->said;
}

/* The echo as a member-by-member comparison sees it; for servers that order them otherwise. */
static bool same_members(struct payload *p, uint64_t n, struct span got)
{
    struct json_object obj;
    const struct json_member *text, *type, *done;
    uint64_t seq;

    if (json_parse(got, &obj) != TEDDY_OK || json_u64(&obj, "seq", &seq) != TEDDY_OK || seq != n)
        return false;
    type = json_find(&obj, "type");
    text = json_find(&obj, "text");
    done = json_find(&obj, "done");
    return type != NULL && span_is(type->value, "echo") && text != NULL &&
           span_eq(text->value, (struct span){p->said, p->size}) && done != NULL &&
           done->type == JSON_TRUE && obj.count == 4;
}

bool payload_is(struct payload *p, uint32_t connection, uint64_t n, bool teddy, struct span got)
{
    static const char end[] = "\",\"done\":true}";
    const char *said = payload_make(p, connection, n);
    char head[64];
    int len;

    if (!teddy)
        return span_eq(got, (struct span){said, p->size});
    len = snprintf(head, sizeof head, "{\"type\":\"echo\",\"seq\":%llu,\"text\":\"",
                   (unsigned long long)n);
    if (got.len == (size_t)len + p->size + sizeof end - 1 &&
        memcmp(got.p, head, (size_t)len) == 0 && memcmp(got.p + len, said, p->size) == 0 &&
        memcmp(got.p + len + p->size, end, sizeof end - 1) == 0)
        return true;
    return same_members(p, n, got);
}
