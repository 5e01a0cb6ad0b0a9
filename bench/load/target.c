#include "bench/load/target.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_ADDRESS 20000

static bool bad(const char *url, const char *what)
{
    fprintf(stderr, "teddy-load: %s: %s\n", what, url);
    return false;
}

static bool copy(char *out, size_t cap, const char *from, size_t len)
{
    if (len >= cap)
        return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

static const char *after_scheme(const char *url, bool *tls)
{
    static const char *const schemes[] = {"ws://", "http://", "wss://", "https://"};

    for (int i = 0; i < 4; i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0) {
            *tls = i >= 2;
            return url + strlen(schemes[i]);
        }
    return NULL;
}

static bool resolve(struct target *t)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC}, *found = NULL;
    struct in_addr v4;

    if (getaddrinfo(t->host, t->port, &hints, &found) != 0)
        return false;
    memcpy(&t->addr, found->ai_addr, found->ai_addrlen);
    t->addr_len = found->ai_addrlen;
    freeaddrinfo(found);
    t->literal = inet_pton(AF_INET, t->host, &v4) == 1 || strchr(t->host, ':') != NULL;
    return true;
}

static bool split_host(struct target *t, const char *at, size_t len)
{
    const char *end = at + len, *close = *at == '[' ? memchr(at, ']', len) : NULL;
    const char *colon =
        memchr(close != NULL ? close : at, ':', (size_t)(end - (close != NULL ? close : at)));
    const char *port = t->tls ? "443" : "80";
    const char *host_end = close != NULL ? close : colon != NULL ? colon : end;

    at += close != NULL;
    if (!copy(t->host, sizeof t->host, at, (size_t)(host_end - at)))
        return false;
    if (colon != NULL)
        return copy(t->port, sizeof t->port, colon + 1, (size_t)(end - colon - 1));
    return copy(t->port, sizeof t->port, port, strlen(port));
}

bool target_parse(struct target *t, const char *url)
{
    const char *at = after_scheme(url, &t->tls);
    size_t host_len = at != NULL ? strcspn(at, "/?") : 0;
    size_t path_len;

    if (host_len == 0 || !split_host(t, at, host_len))
        return bad(url, "not a ws, wss, http or https URL");
    at += host_len;
    path_len = strcspn(at, "?");
    if (!copy(t->path, sizeof t->path, at, path_len) ||
        !copy(t->query, sizeof t->query, at + path_len, strlen(at + path_len)))
        return bad(url, "URL too long");
    return resolve(t) || bad(url, "no address for that host");
}

bool target_source(const struct target *t, uint64_t n, bool spread, struct sockaddr_in *out)
{
    const struct sockaddr_in *to = (const struct sockaddr_in *)(const void *)&t->addr;
    uint64_t host = 1 + (spread ? n : n / PER_ADDRESS) % 0xFFFFF0;

    if (to->sin_family != AF_INET || ntohl(to->sin_addr.s_addr) >> 24 != 127 || host == 1)
        return false;
    *out = (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(0x7F000000u | (uint32_t)host)};
    return true;
}

/* The whole file with a NUL behind. */
static char *slurp(const char *file)
{
    FILE *f = fopen(file, "r");
    size_t cap = 1 << 16, len = 0, n;
    char *text = f != NULL ? malloc(cap) : NULL, *more;

    while (text != NULL && (n = fread(text + len, 1, cap - len - 1, f)) > 0) {
        len += n;
        if (cap - len > 1)
            continue;
        more = realloc(text, cap *= 2);
        if (more == NULL)
            break;
        text = more;
    }
    if (f != NULL)
        fclose(f);
    if (text != NULL)
        text[len] = '\0';
    else
        fprintf(stderr, "teddy-load: cannot read %s\n", file);
    return text;
}

/* The next field of the line, its end made a NUL; *at moves behind it. */
static const char *field(char **at)
{
    char *from = *at + strspn(*at, " \t,"), *end = from + strcspn(from, " \t,\r\n");

    *at = end;
    if (*end != '\0' && *end != '\n') {
        *end = '\0';
        *at = end + 1;
    }
    return from;
}

static void take_line(struct people *p, char *line)
{
    struct person *who = &p->list[p->count];

    who->id = field(&line);
    who->token = field(&line);
    who->refresh = field(&line);
    p->count += who->id[0] != '\0';
}

bool people_read(struct people *p, const char *file)
{
    uint32_t lines = 1;

    *p = (struct people){.text = slurp(file)};
    if (p->text == NULL)
        return false;
    for (const char *at = p->text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    p->list = calloc(lines, sizeof *p->list);
    for (char *at = p->text, *end; p->list != NULL && at != NULL; at = end) {
        end = strchr(at, '\n');
        if (end != NULL)
            *end++ = '\0';
        take_line(p, at);
    }
    if (p->count > 0)
        return true;
    fprintf(stderr, "teddy-load: nobody is in %s\n", file);
    people_fini(p);
    return false;
}

void people_fini(struct people *p)
{
    free(p->list);
    free(p->text);
    *p = (struct people){0};
}

char *first_line(const char *file)
{
    char *text = slurp(file);

    if (text != NULL)
        text[strcspn(text, "\r\n")] = '\0';
    return text;
}
