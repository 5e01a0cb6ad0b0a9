/* One cookie of a request. What else stands in the field other programs on the same host may have
 * put there (cookies know no ports): it is passed over, whatever it is. */
#include <string.h>

#include "http/http.h"

static size_t run_until(struct span s, char end)
{
    const char *at = s.len > 0 ? memchr(s.p, end, s.len) : NULL;
    return at ? (size_t)(at - s.p) : s.len;
}

/* Takes what stands before the next semicolon off rest, without the spaces before it. */
static struct span next_pair(struct span *rest)
{
    size_t len = run_until(*rest, ';'), skip = len < rest->len ? len + 1 : len;
    struct span pair = {rest->p, len};
    *rest = (struct span){rest->p + skip, rest->len - skip};
    while (pair.len > 0 && pair.p[0] == ' ')
        pair = (struct span){pair.p + 1, pair.len - 1};
    return pair;
}

int http_cookie(const struct http_head *head, const char *name, struct span *value)
{
    struct span rest, pair;
    size_t name_len = strlen(name), fields = http1_field(head, "Cookie", &rest);
    bool found = false;
    if (fields != 1)
        return fields == 0 ? TEDDY_ENOTFOUND : TEDDY_EDUP;
    while (rest.len > 0) {
        pair = next_pair(&rest);
        if (run_until(pair, '=') != name_len || pair.len == name_len ||
            memcmp(pair.p, name, name_len) != 0)
            continue;
        if (found)
            return TEDDY_EDUP;
        found = true;
        *value = (struct span){pair.p + name_len + 1, pair.len - name_len - 1};
    }
    return found ? TEDDY_OK : TEDDY_ENOTFOUND;
}
