#include "process/lines.h"

#include <stdlib.h>

#include "proto/text.h"

int buffer_add(struct buffer *b, struct span s, size_t max)
{
    if (s.len > max || b->len > max - s.len)
        return TEDDY_ETOOBIG;
    if (b->cap - b->len < s.len) {
        size_t cap = (b->len + s.len) * 2 < 256 ? 256 : (b->len + s.len) * 2;
        char *grown = malloc(cap);
        if (!grown)
            return TEDDY_ENOMEM;
        if (b->len)
            memcpy(grown, b->p, b->len);
        if (b->p)
            wipe(b->p, b->len);
        free(b->p);
        b->p = grown;
        b->cap = cap;
    }
    if (s.len)
        memcpy(b->p + b->len, s.p, s.len);
    b->len += s.len;
    return TEDDY_OK;
}

void buffer_fini(struct buffer *b)
{
    if (b->p)
        wipe(b->p, b->cap);
    free(b->p);
    *b = (struct buffer){NULL, 0, 0};
}

#define STRETCH                                                                                    \
    256 /* bytes looked through for one end and then the other: not all for each line              \
         */

static size_t find_end(const struct lines *l, struct span s)
{
    for (size_t at = 0, n; at < s.len; at += n) {
        n = s.len - at < STRETCH ? s.len - at : STRETCH;
        const char *lf = memchr(s.p + at, '\n', n);
        size_t before = lf ? (size_t)(lf - s.p) - at : n;
        const char *cr = l->lone_cr ? memchr(s.p + at, '\r', before) : NULL;
        if (cr || lf)
            return (size_t)((cr ? cr : lf) - s.p);
    }
    return s.len;
}

static struct span without_cr(const struct lines *l, struct span line)
{
    if (!l->lone_cr && line.len > 0 && line.p[line.len - 1] == '\r')
        line.len--;
    return line;
}

int lines_next(struct lines *l, struct span *bytes, struct span *line)
{
    if (l->given)
        l->rest.len = 0;
    l->given = false;
    if (l->after_cr && bytes->len > 0) {
        l->after_cr = false;
        if (*bytes->p == '\n')
            *bytes = (struct span){bytes->p + 1, bytes->len - 1};
    }
    size_t n = find_end(l, *bytes);
    struct span part = {bytes->p, n};
    bool whole = n < bytes->len;
    if (whole)
        l->after_cr = bytes->p[n] == '\r';
    n += whole;
    *bytes = (struct span){bytes->p + n, bytes->len - n};
    if (whole && l->rest.len == 0 && part.len <= l->max) {
        *line = without_cr(l, part);
        return TEDDY_OK;
    }
    int rc = buffer_add(&l->rest, part, l->max);
    if (rc != TEDDY_OK || !whole)
        return rc == TEDDY_OK ? TEDDY_AGAIN : rc;
    l->given = true;
    *line = without_cr(l, (struct span){l->rest.p, l->rest.len});
    return TEDDY_OK;
}

void lines_fini(struct lines *l)
{
    buffer_fini(&l->rest);
}
