/* Who is really there: a trusted proxy is believed about who it speaks for, nobody else is. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/http.h"
#include "proto/text.h"

enum { BLOCKS_MAX = 64, LINES_MAX = 64 };

/* Addresses are compared as IPv6; IPv4 as ::ffff:a.b.c.d. */
struct block {
    uint8_t bytes[16];
    unsigned bits;
};

struct trusted_proxies {
    size_t count;
    struct block blocks[BLOCKS_MAX];
};

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const uint8_t bytes[16])
{
    return memcmp(bytes, v4_prefix, 12) == 0;
}

static bool bytes_of(const struct sockaddr_storage *addr, uint8_t out[16])
{
    if (addr->ss_family == AF_INET) {
        memcpy(out, v4_prefix, 12);
        memcpy(out + 12, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
        return true;
    }
    if (addr->ss_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, 16);
        return true;
    }
    return false;
}

static void address_of(const uint8_t bytes[16], struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (is_v4(bytes)) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
        in->sin_family = AF_INET;
        memcpy(&in->sin_addr, bytes + 12, 4);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_addr, bytes, 16);
    }
}

static struct span trim(struct span s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* A literal without port or zone. */
static bool parse_literal(struct span s, uint8_t out[16])
{
    char text[INET6_ADDRSTRLEN];
    if (s.len == 0 || s.len >= sizeof text || memchr(s.p, 0, s.len))
        return false;
    memcpy(text, s.p, s.len);
    text[s.len] = 0;
    if (inet_pton(AF_INET6, text, out) == 1)
        return true;
    memcpy(out, v4_prefix, 12);
    return inet_pton(AF_INET, text, out + 12) == 1;
}

static size_t find(struct span s, char c)
{
    size_t i = 0;
    while (i < s.len && s.p[i] != c)
        i++;
    return i;
}

static bool port_ok(struct span port)
{
    uint64_t n;
    return port.len > 1 && port.p[0] == ':' && port.len <= 6 &&
           u64_parse((struct span){port.p + 1, port.len - 1}, &n) == TEDDY_OK && n <= 65535;
}

/* One entry of X-Forwarded-For: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
 * [2001:db8::1]:80. */
static bool parse_entry(struct span s, uint8_t out[16])
{
    if (s.len > 0 && s.p[0] == '[') {
        size_t end = find(s, ']');
        struct span rest = {s.p + end + 1, end < s.len ? s.len - end - 1 : 0};
        return end < s.len && (rest.len == 0 || port_ok(rest)) &&
               parse_literal((struct span){s.p + 1, end - 1}, out) && !is_v4(out);
    }
    if (parse_literal(s, out))
        return true;
    size_t colon = find(s, ':');
    return colon < s.len && port_ok((struct span){s.p + colon, s.len - colon}) &&
           parse_literal((struct span){s.p, colon}, out) && is_v4(out);
}

static bool block_has(const struct block *b, const uint8_t bytes[16])
{
    unsigned whole = b->bits / 8, rest = b->bits % 8;
    if (memcmp(b->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || ((b->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0;
}

static bool trusted(const struct trusted_proxies *p, const uint8_t bytes[16])
{
    for (size_t i = 0; i < p->count; i++)
        if (block_has(&p->blocks[i], bytes))
            return true;
    return false;
}

static bool bits_beyond(const struct block *b)
{
    for (unsigned i = b->bits; i < 128; i++)
        if (b->bytes[i / 8] & (0x80u >> (i % 8)))
            return true;
    return false;
}

/* NULL, or what is wrong. */
static const char *parse_block(struct span s, struct block *out)
{
    size_t slash = find(s, '/');
    if (!parse_literal((struct span){s.p, slash}, out->bytes))
        return "is no IPv4 or IPv6 address";
    bool v4 = is_v4(out->bytes) && find(s, ':') == s.len;
    uint64_t bits = v4 ? 32 : 128;
    if (slash < s.len) {
        struct span text = {s.p + slash + 1, s.len - slash - 1};
        uint64_t given;
        if (text.len == 0 || text.len > 3 || u64_parse(text, &given) != TEDDY_OK || given > bits)
            return "has no such prefix length";
        bits = given;
    }
    out->bits = (unsigned)bits + (v4 ? 96 : 0);
    return bits_beyond(out) ? "has bits set beyond its prefix length" : NULL;
}

int trusted_proxies_parse(const char *text, struct trusted_proxies **out, char *err, size_t cap)
{
    struct span rest = trim(span_of(text));
    struct trusted_proxies *p = calloc(1, sizeof *p);
    if (!p) {
        snprintf(err, cap, "out of memory");
        return TEDDY_ENOMEM;
    }
    while (rest.len > 0) {
        size_t comma = find(rest, ',');
        struct span entry = trim((struct span){rest.p, comma});
        const char *wrong = p->count == BLOCKS_MAX ? "is one too many (64 at most)"
                                                   : parse_block(entry, &p->blocks[p->count]);
        if (!wrong && comma + 1 == rest.len)
            wrong = "is followed by a comma and nothing";
        if (wrong) {
            snprintf(err, cap, "trusted proxies: '%.*s' %s", (int)(entry.len > 64 ? 64 : entry.len),
                     entry.p, wrong);
            free(p);
            return TEDDY_EINVAL;
        }
        p->count++;
        rest = comma < rest.len ? (struct span){rest.p + comma + 1, rest.len - comma - 1}
                                : (struct span){rest.p, 0};
    }
    *out = p;
    return TEDDY_OK;
}

void trusted_proxies_free(struct trusted_proxies *p)
{
    free(p);
}

/* Takes the rightmost entry off a list. */
static struct span last_entry(struct span *list)
{
    size_t at = list->len;
    while (at > 0 && list->p[at - 1] != ',')
        at--;
    struct span entry = trim((struct span){list->p + at, list->len - at});
    list->len = at > 0 ? at - 1 : 0;
    return entry;
}

/* The lines of X-Forwarded-For, the last LINES_MAX of them (what stands further left was sent
 * first). */
static size_t forwarded_lines(const struct http_head *head, struct span lines[LINES_MAX])
{
    struct span name, value;
    size_t at = 0, n = 0;
    while (http1_next_field(head, &at, &name, &value)) {
        if (!span_ieq(name, "X-Forwarded-For"))
            continue;
        if (n == LINES_MAX) {
            memmove(lines, lines + 1, (LINES_MAX - 1) * sizeof lines[0]);
            n--;
        }
        lines[n++] = value;
    }
    return n;
}

void trusted_proxies_client(const struct trusted_proxies *p, const struct sockaddr_storage *peer,
                            const struct http_head *head, struct sockaddr_storage *client)
{
    uint8_t believed[16], entry[16];
    struct span lines[LINES_MAX];
    if (!bytes_of(peer, believed)) {
        *client = *peer;
        return;
    }
    size_t n = p && trusted(p, believed) ? forwarded_lines(head, lines) : 0;
    while (n > 0 && trusted(p, believed)) {
        if (lines[n - 1].len == 0) {
            n--;
            continue;
        }
        if (!parse_entry(last_entry(&lines[n - 1]), entry))
            break;
        memcpy(believed, entry, sizeof believed);
    }
    address_of(believed, client);
}
