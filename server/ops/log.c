/* One event is built in one buffer on the stack and leaves in one write, so that lines of several
 * threads never mix. What a peer may have had a hand in (a path, a name, an error text) is escaped
 * so that it can neither end the line nor move a terminal's cursor. */
#include "ops/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096 /* at most PIPE_BUF, so that a pipe takes a line whole */
#define VALUE_MAX      1024 /* bytes of one value; more is cut */
#define TAIL_RESERVE   32   /* for the mark that pairs are missing, and the line's end */

static _Atomic int level_max = LOG_INFO;
static _Atomic int line_format = LOG_LOGFMT;

struct line {
    char buf[LINE_MAX_BYTES];
    size_t len;
    size_t cap; /* what may be used now */
    bool full;
};

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
    atomic_store_explicit(&line_format, (int)format, memory_order_relaxed);
}

int log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

static void put(struct line *l, const char *data, size_t len)
{
    if (l->full || len > l->cap - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->buf + l->len, data, len);
    l->len += len;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* The code point at p and its length; an invalid byte is length 1 and U+FFFD. */
static size_t next_code_point(const unsigned char *p, size_t left, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xC2 ? 0
                 : p[0] < 0xE0 ? 2
                 : p[0] < 0xF0 ? 3
                 : p[0] < 0xF5 ? 4
                               : 0;
    uint32_t c = len == 1 ? p[0] : len == 0 ? 0 : p[0] & (0xFFu >> (len + 1));

    if (len == 0 || len > left) {
        *code = 0xFFFD;
        return 1;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0u) != 0x80u) {
            *code = 0xFFFD;
            return 1;
        }
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        *code = 0xFFFD;
        return 1;
    }
    *code = c;
    return len;
}

/* Controls (C0, DEL, C1), line separators and what turns the direction of writing: all that could
 * make a line look like another. */
static bool must_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x200E && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF ||
           c == 0xFFFD;
}

static void put_escaped(struct line *l, const unsigned char *p, size_t n, uint32_t c)
{
    char out[8];

    if (c == '"' || c == '\\') {
        put(l, (const char[2]){'\\', (char)c}, 2);
    } else if (c == '\n' || c == '\r' || c == '\t') {
        put(l, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", 2);
    } else if (must_escape(c)) {
        (void)snprintf(out, sizeof out, "\\u%04x", (unsigned)c);
        put(l, out, 6);
    } else {
        put(l, (const char *)p, n);
    }
}

static void put_quoted(struct line *l, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;

    put(l, "\"", 1);
    while (at < len && at < VALUE_MAX) {
        uint32_t c;
        size_t n = next_code_point(p + at, len - at, &c);
        put_escaped(l, p + at, n, c);
        at += n;
    }
    if (at < len)
        put(l, "...", 3);
    put(l, "\"", 1);
}

static bool is_bare(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return len > 0 && len <= VALUE_MAX;
}

static void put_value(struct line *l, int format, const char *text)
{
    size_t len = strnlen(text, VALUE_MAX + 1);

    if (format == LOG_LOGFMT && is_bare(text, len))
        put(l, text, len);
    else
        put_quoted(l, text, len);
}

static void put_key(struct line *l, int format, const char *key)
{
    if (format == LOG_JSON) {
        put(l, ",", 1);
        put_quoted(l, key, strnlen(key, VALUE_MAX + 1));
        put(l, ":", 1);
    } else {
        put(l, " ", 1);
        put_text(l, key);
        put(l, "=", 1);
    }
}

/* The pair whole or not at all. */
static bool put_pair(struct line *l, int format, const struct log_pair *pair)
{
    size_t before = l->len;
    char number[24];

    put_key(l, format, pair->key);
    if (pair->text != NULL) {
        put_value(l, format, pair->text);
    } else {
        (void)snprintf(number, sizeof number, "%lld", (long long)pair->number);
        put_text(l, number);
    }
    if (!l->full)
        return true;
    l->len = before;
    l->full = false;
    return false;
}

static void put_head(struct line *l, int format, enum log_level level, const char *event)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *level_name = (unsigned)level < 4 ? names[level] : "error";
    struct timespec now;
    struct tm utc;
    char stamp[48];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) == NULL)
        memset(&utc, 0, sizeof utc);
    (void)snprintf(stamp, sizeof stamp, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                   utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                   (int)(now.tv_nsec / 1000000));
    put_text(l, format == LOG_JSON ? "{\"time\":\"" : "time=");
    put_text(l, stamp);
    put_text(l, format == LOG_JSON ? "\"" : "");
    (void)put_pair(l, format, &(struct log_pair){"level", level_name, 0});
    (void)put_pair(l, format, &(struct log_pair){"event", event, 0});
}

void log_write(enum log_level level, const char *event, const struct log_pair *pairs,
               unsigned count)
{
    int format = atomic_load_explicit(&line_format, memory_order_relaxed);
    int saved = errno;
    struct line l;
    unsigned i = 0;

    if (!log_enabled(level))
        return;
    l.len = 0;
    l.full = false;
    l.cap = sizeof l.buf - TAIL_RESERVE;
    put_head(&l, format, level, event);
    while (i < count && put_pair(&l, format, &pairs[i]))
        i++;
    l.cap = sizeof l.buf;
    if (i < count)
        (void)put_pair(&l, format, &(struct log_pair){"pairs_cut", NULL, (int64_t)(count - i)});
    put_text(&l, format == LOG_JSON ? "}\n" : "\n");
    while (write(STDERR_FILENO, l.buf, l.len) < 0 && errno == EINTR)
        ;
    errno = saved;
}
