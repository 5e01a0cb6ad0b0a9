#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/utf8.h"

void lines_init(struct lines *l, int fd)
{
    memset(l, 0, sizeof *l);
    l->fd = fd;
}

void lines_fill(struct lines *l)
{
    ssize_t n;

    if (l->ended || l->len == sizeof l->buf)
        return;
    n = read(l->fd, l->buf + l->len, sizeof l->buf - l->len);
    if (n > 0)
        l->len += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        l->ended = true;
}

static void take_away(struct lines *l, size_t n)
{
    l->len -= n;
    memmove(l->buf, l->buf + n, l->len);
}

/* Bytes of the first line with its end; 0 when it has none yet. At the end of input the rest is a
 * line. */
static size_t first_line(const struct lines *l)
{
    const char *end = memchr(l->buf, '\n', l->len);

    if (end)
        return (size_t)(end - l->buf) + 1;
    return l->ended ? l->len : 0;
}

static size_t text_of(const struct lines *l, size_t whole)
{
    while (whole > 0 && (l->buf[whole - 1] == '\n' || l->buf[whole - 1] == '\r'))
        whole--;
    return whole;
}

void lines_drop(struct lines *l)
{
    take_away(l, first_line(l));
}

/* False while the rest of a long line is still coming. */
static bool skip(struct lines *l)
{
    size_t whole = first_line(l);

    if (!l->skipping)
        return true;
    take_away(l, whole ? whole : l->len);
    l->skipping = whole == 0;
    return !l->skipping;
}

enum lines_next lines_next(struct lines *l, const char **text, size_t *len)
{
    for (;;) {
        if (!skip(l) && !l->ended)
            return LINES_NONE;
        size_t whole = first_line(l);
        if (whole == 0 && l->len == sizeof l->buf) {
            l->skipping = true;
            return LINES_TOO_LONG;
        }
        if (whole == 0)
            return l->ended ? LINES_END : LINES_NONE;
        *text = l->buf;
        *len = text_of(l, whole);
        /* A NUL is UTF-8, but none that the server takes in a message. */
        if (*len > 0 && *len <= LIMIT_UTTERANCE && utf8_ok(l->buf, *len) &&
            !memchr(l->buf, '\0', *len))
            return LINES_LINE;
        bool empty = *len == 0, too_long = *len > LIMIT_UTTERANCE;
        lines_drop(l);
        if (!empty)
            return too_long ? LINES_TOO_LONG : LINES_NOT_UTF8;
    }
}
