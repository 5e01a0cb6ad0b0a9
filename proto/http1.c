/* Heads: the lines, their fields, and what they say about the connection. Bodies are in
 * http1_body.c. */
#include "proto/http1.h"

#include "proto/http1_chars.h"
#include "proto/text.h"

/* A bit for each character: digits, letters and !#$%&'*+-.^_`|~ */
static const uint32_t token_chars[] = {0, 0x03FF6CFA, 0xC7FFFFFE, 0x57FFFFFF};

bool http_is_token(char c)
{
    unsigned char u = (unsigned char)c;

    return u < 0x80 && (token_chars[u >> 5] >> (u & 31) & 1) != 0;
}

static bool is_visible(char c)
{
    return c > 0x20 && c < 0x7F;
}

static struct span trim(struct span s)
{
    while (s.len > 0 && http_is_space(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && http_is_space(s.p[s.len - 1]))
        s.len--;
    return s;
}

/* The bytes up to the first sep; *rest is what stands behind it. False when there is none. */
static bool split(struct span s, char sep, struct span *before, struct span *rest)
{
    const char *at = s.len > 0 ? memchr(s.p, sep, s.len) : NULL;

    if (at == NULL)
        return false;
    *before = (struct span){s.p, (size_t)(at - s.p)};
    *rest = (struct span){at + 1, s.len - before->len - 1};
    return true;
}

/* The line that begins at *at, which moves behind its CRLF. What can be no line is refused before
 * its end has come: a bare CR or LF, any other control character but the tab. */
static int take_line(struct span in, size_t *at, struct span *line)
{
    for (size_t i = *at; i < in.len; i++) {
        if (in.p[i] == '\r') {
            if (i + 1 == in.len)
                return TEDDY_AGAIN;
            if (in.p[i + 1] != '\n')
                return TEDDY_EPROTO;
            *line = (struct span){in.p + *at, i - *at};
            *at = i + 2;
            return TEDDY_OK;
        }
        if (!http_is_text(in.p[i]))
            return TEDDY_EPROTO;
    }
    return TEDDY_AGAIN;
}

/* "HTTP/1.1" */
static int read_version(struct span s, int *minor)
{
    unsigned major;

    if (s.len != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.')
        return TEDDY_EPROTO;
    major = (unsigned char)s.p[5] - (unsigned)'0';
    *minor = (unsigned char)s.p[7] - '0';
    if (major > 9 || *minor < 0 || *minor > 9)
        return TEDDY_EPROTO;
    return major == 1 && *minor <= 1 ? TEDDY_OK : TEDDY_EUNSUPPORTED;
}

static int read_request_line(struct span line, struct http_head *out)
{
    struct span rest;

    if (!split(line, ' ', &out->method, &rest) || !split(rest, ' ', &out->target, &rest))
        return TEDDY_EPROTO;
    if (out->method.len == 0 || out->target.len == 0)
        return TEDDY_EPROTO;
    for (size_t i = 0; i < out->method.len; i++) {
        if (!http_is_token(out->method.p[i]))
            return TEDDY_EPROTO;
    }
    for (size_t i = 0; i < out->target.len; i++) {
        if (!is_visible(out->target.p[i]))
            return TEDDY_EPROTO;
    }
    return read_version(rest, &out->minor);
}

/* "HTTP/1.1 200 OK": the text behind the status, and even the space before it, may be missing. */
static int read_status_line(struct span line, struct http_head *out)
{
    uint64_t status;
    int err;

    if (line.len < 12 || line.p[8] != ' ' || (line.len > 12 && line.p[12] != ' '))
        return TEDDY_EPROTO;
    err = read_version((struct span){line.p, 8}, &out->minor);
    if (err != TEDDY_OK)
        return err;
    if (u64_parse((struct span){line.p + 9, 3}, &status) != TEDDY_OK)
        return TEDDY_EPROTO;
    if (status < 100 || status > 599)
        return TEDDY_EPROTO;
    out->status = (int)status;
    return TEDDY_OK;
}

/* "name: value". White space before the name (a folded line) or the colon is no part of a token. */
static bool split_field(struct span line, struct span *name, struct span *value)
{
    if (!split(line, ':', name, value) || name->len == 0)
        return false;
    for (size_t i = 0; i < name->len; i++) {
        if (!http_is_token(name->p[i]))
            return false;
    }
    *value = trim(*value);
    return true;
}

/* The field lines and the empty one at the end. */
static int read_fields(struct span in, size_t *at, struct http_head *out)
{
    size_t start = *at;
    struct span line, name, value;

    for (;;) {
        size_t line_at = *at;
        int err = take_line(in, at, &line);

        if (err != TEDDY_OK)
            return err;
        if (line.len == 0) {
            out->fields = (struct span){in.p + start, line_at - start};
            return TEDDY_OK;
        }
        if (!split_field(line, &name, &value))
            return TEDDY_EPROTO;
    }
}

/* RFC 9112 section 3.2. The value's form in full is for whoever uses it; what could split it is
 * refused. */
static bool is_host_char(char c)
{
    return is_visible(c) && c != '/' && c != '?' && c != '#' && c != '@' && c != '\\' && c != ',';
}

static int check_host(const struct http_head *head)
{
    struct span host;
    size_t count = http1_field(head, "host", &host);

    if (count > 1 || (count == 0 && head->minor == 1))
        return TEDDY_EPROTO;
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char(host.p[i]))
            return TEDDY_EPROTO;
    }
    return TEDDY_OK;
}

/* Requests and responses meet here with a line reader of their own, so that a program with one kind
 * links no more than that. */
static int read_within(const char *buf, size_t len, size_t max, size_t at,
                       int (*read_line)(struct span line, struct http_head *out),
                       struct http_head *out, size_t *used)
{
    struct span in = {buf, len < max ? len : max};
    struct span line;
    int err;

    *out = (struct http_head){.method = {"", 0}, .target = {"", 0}, .fields = {"", 0}};
    *used = 0;
    err = take_line(in, &at, &line);
    if (err == TEDDY_OK)
        err = read_line(line, out);
    if (err == TEDDY_OK)
        err = read_fields(in, &at, out);
    if (err == TEDDY_AGAIN && len >= max)
        return TEDDY_ETOOBIG;
    if (err == TEDDY_OK)
        *used = at;
    return err;
}

int http1_request(const char *buf, size_t len, size_t max, struct http_head *out, size_t *used)
{
    /* One empty line before a request is forgiven (RFC 9112 section 2.2). */
    bool empty = len >= 2 && max >= 2 && buf[0] == '\r' && buf[1] == '\n';
    int err = read_within(buf, len, max, empty ? 2 : 0, read_request_line, out, used);

    if (err == TEDDY_OK)
        err = check_host(out);
    if (err != TEDDY_OK)
        *used = 0;
    return err;
}

int http1_response(const char *buf, size_t len, size_t max, struct http_head *out, size_t *used)
{
    return read_within(buf, len, max, 0, read_status_line, out, used);
}

/* The lines were judged when the head was read; nobody needs to look at each byte again. */
static bool next_line(const struct http_head *head, size_t *at, struct span *line)
{
    struct span rest = {head->fields.p + *at, head->fields.len - *at};

    if (!split(rest, '\r', line, &rest))
        return false;
    *at += line->len + 2;
    return true;
}

bool http1_next_field(const struct http_head *head, size_t *at, struct span *name,
                      struct span *value)
{
    struct span line;

    if (!next_line(head, at, &line) || !split(line, ':', name, value))
        return false;
    *value = trim(*value);
    return true;
}

/* No name holds a colon, so that most lines are another's by where it stands. */
static bool next_of(const struct http_head *head, size_t *at, struct span name, struct span *value)
{
    struct span line;

    while (next_line(head, at, &line)) {
        if (line.len <= name.len || line.p[name.len] != ':' ||
            !span_ieq((struct span){line.p, name.len}, name.p))
            continue;
        *value = trim((struct span){line.p + name.len + 1, line.len - name.len - 1});
        return true;
    }
    return false;
}

size_t http1_field(const struct http_head *head, const char *name, struct span *value)
{
    struct span v;
    size_t at = 0, count = 0;

    *value = (struct span){"", 0};
    while (next_of(head, &at, span_of(name), &v)) {
        if (count++ == 0)
            *value = v;
    }
    return count;
}

static bool list_has(struct span list, const char *token)
{
    struct span item;

    while (split(list, ',', &item, &list)) {
        if (span_ieq(trim(item), token))
            return true;
    }
    return span_ieq(trim(list), token);
}

bool http1_field_has(const struct http_head *head, const char *name, const char *token)
{
    struct span v;
    size_t at = 0;

    while (next_of(head, &at, span_of(name), &v)) {
        if (list_has(v, token))
            return true;
    }
    return false;
}
