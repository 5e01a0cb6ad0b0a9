#include "http/http.h"
#include "proto/text.h"

/* The next name=value of a query; false at the end. */
static bool next_pair(struct span *rest, struct span *name, struct span *value)
{
    if (rest->len == 0)
        return false;
    size_t end = 0, eq;
    while (end < rest->len && rest->p[end] != '&')
        end++;
    for (eq = 0; eq < end && rest->p[eq] != '=';)
        eq++;
    *name = (struct span){rest->p, eq};
    *value = eq < end ? (struct span){rest->p + eq + 1, end - eq - 1} : (struct span){NULL, 0};
    size_t skip = end < rest->len ? end + 1 : end;
    *rest = (struct span){rest->p + skip, rest->len - skip};
    return true;
}

/* NUL is refused: what comes out is used as a string. */
static int percent_decode(struct span in, char *out, size_t cap, size_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t byte = (uint8_t)in.p[i];
        if (byte == '%') {
            if (in.len - i < 3 || hex_decode((struct span){in.p + i + 1, 2}, &byte, 1) != TEDDY_OK)
                return TEDDY_EPROTO;
            i += 2;
        }
        if (byte == 0)
            return TEDDY_EPROTO;
        if (n + 1 >= cap)
            return TEDDY_ENOSPC;
        out[n++] = (char)byte;
    }
    out[n] = 0;
    *len = n;
    return TEDDY_OK;
}

int http_query(const struct http_request *req, const char *name, char *out, size_t cap, size_t *len)
{
    struct span rest = req->query, key, value, found = {NULL, 0};
    unsigned times = 0;
    if (cap == 0)
        return TEDDY_ENOSPC;
    while (next_pair(&rest, &key, &value))
        if (span_is(key, name)) {
            found = value;
            times++;
        }
    if (times == 0)
        return TEDDY_ENOTFOUND;
    return times > 1 ? TEDDY_EDUP : percent_decode(found, out, cap, len);
}
