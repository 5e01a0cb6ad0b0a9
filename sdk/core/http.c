/* One HTTP exchange over the port: the request in rx is sent, then the answer is read into the same
 * rx. A POST is of HTTP/1.0, so that its answer comes in one piece: not in chunks, and after no
 * other. The upgrade is of 1.1; where it is refused the status is the verdict, and a body is read
 * only if its length is told. The head is read leniently, as the server is authenticated and the
 * connection carries nothing else. */
#include "core.h"
#include "proto/json.h"
#include "proto/text.h"
#include "teddy/version.h"

#define UNTIL_CLOSE UINT32_MAX

/* The head tells the body's length, so the body is made first, where no head reaches; the token
 * that it may hold stands behind both. */
#define BODY_AT 560
_Static_assert(BODY_AT + LIMIT_TOKEN_LEN + 32 <= TEDDY_BUFFER_MIN - LIMIT_TOKEN_LEN - 1,
               "a refresh's body must not run into its token");
_Static_assert(TEDDY_HOST_MAX + TEDDY_PATH_MAX + 120 + sizeof TEDDY_SDK_VERSION <= BODY_AT,
               "the longest head must not run into its body");

void sdk_http_begin(const struct teddy_client *c, struct writer *w, const char *line,
                    const char *const *parts)
{
    sdk_write(w, line, parts);
    writer_text(w, "\r\nHost: ");
    sdk_url_authority(w, &c->url);
    writer_text(w, "\r\nUser-Agent: teddy-sdk/" TEDDY_SDK_VERSION "\r\n");
}

int sdk_http_post(struct teddy_client *c, const char *path,
                  void (*write_body)(struct teddy_client *c, struct writer *w))
{
    struct writer body = writer_on((char *)c->rx + BODY_AT, c->rx_len - BODY_AT);
    write_body(c, &body);
    struct writer w = writer_on((char *)c->rx, BODY_AT);
    char len[21];
    sdk_decimal(body.len, len);
    sdk_http_begin(c, &w, "POST % HTTP/1.0", (const char *[]){path});
    sdk_write(&w, "Content-Type: application/json\r\nContent-Length: %\r\n\r\n",
              (const char *[]){len});
    if (w.overflow || body.overflow) {
        return TEDDY_ENOSPC;
    }
    memmove(c->rx + w.len, c->rx + BODY_AT, body.len);
    c->out_len = w.len + body.len;
    return TEDDY_OK;
}

int sdk_send(struct teddy_client *c, const uint8_t *data, size_t len, size_t *at)
{
    while (*at < len) {
        size_t sent = 0;
        int rc = c->port->send(c->ctx, data + *at, len - *at, &sent);
        if (rc != TEDDY_OK) {
            return rc;
        }
        if (sent == 0 || sent > len - *at) {
            return TEDDY_EIO;
        }
        *at += sent;
        c->moved_at = c->now;
    }
    return TEDDY_OK;
}

int sdk_recv(struct teddy_client *c)
{
    size_t room = c->rx_len - c->in.raw_end, got = 0;
    if (room == 0) {
        return TEDDY_ETOOBIG;
    }
    int rc = c->port->recv(c->ctx, c->rx + c->in.raw_end, room, &got);
    if (rc != TEDDY_OK) {
        return rc;
    }
    if (got == 0 || got > room) {
        return TEDDY_EIO;
    }
    c->in.raw_end += got;
    return TEDDY_OK;
}

int sdk_http_send(struct teddy_client *c)
{
    int rc = sdk_send(c, c->rx, c->out_len, &c->out_at);
    if (rc == TEDDY_OK) {
        wipe(c->rx, c->rx_len);
        memset(&c->in, 0, sizeof c->in);
        memset(&c->answer, 0, sizeof c->answer);
    }
    return rc;
}

struct span sdk_http_field(struct span head, const char *name)
{
    size_t len = strlen(name);
    const char *end = head.p + head.len, *p = head.p;
    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        p++;
        if ((size_t)(end - p) > len && p[len] == ':' && span_ieq((struct span){p, len}, name)) {
            struct span value = {p + len + 1, 0};
            while (*value.p == ' ' || *value.p == '\t') {
                value.p++;
            }
            for (size_t i = 0; value.p[i] != '\r' && value.p[i] != '\n'; i++) {
                value.len = value.p[i] != ' ' ? i + 1 : value.len;
            }
            return value;
        }
    }
    return (struct span){NULL, 0};
}

/* What the head says of the body, and of a refusal. */
static int head_take(struct teddy_client *c, struct span head)
{
    struct teddy_answer *a = &c->answer;
    struct span length = sdk_http_field(head, "Content-Length");
    uint32_t seconds = 0;
    a->length = c->goal == SDK_CONNECT_SESSION ? 0 : UNTIL_CLOSE;
    if (length.p != NULL && u32_parse(length, &a->length) != TEDDY_OK) {
        return TEDDY_EPROTO;
    }
    if (a->status == 200 && c->goal != SDK_CONNECT_SESSION) {
        return TEDDY_OK;
    }
    /* From here on the status is the verdict, even if the body never comes. */
    c->failure.status = a->status;
    (void)!u32_parse(sdk_http_field(head, "Retry-After"), &seconds);
    c->failure.retry_ms = sdk_least(seconds, TEDDY_RETRY_MAX_MS / 1000) * 1000;
    return TEDDY_OK;
}

/* The length of the head in rx, its empty line included; 0 when it is not whole. */
static size_t head_len(const struct teddy_client *c)
{
    for (size_t n = 4; n <= c->in.raw_end; n++) {
        if (memcmp(c->rx + n - 4, "\r\n\r\n", 4) == 0) {
            return n;
        }
    }
    return 0;
}

/* Takes a head off rx. */
static int head_read(struct teddy_client *c)
{
    struct span head = {(const char *)c->rx, head_len(c)};
    uint32_t status;
    int rc = TEDDY_OK;
    if (head.len == 0) {
        return TEDDY_AGAIN;
    }
    if (memcmp(head.p, "HTTP/1.", 7) != 0 ||
        u32_parse((struct span){head.p + 9, 3}, &status) != TEDDY_OK) {
        return TEDDY_EPROTO;
    }
    if (status >= 200) {
        c->answer.status = (int)status;
        rc = head_take(c, head);
    } else if (status == 101) {
        c->answer.status = 101;
        rc = c->goal == SDK_CONNECT_SESSION && sdk_upgrade_ok(c, head) ? TEDDY_OK : TEDDY_EPROTO;
    } /* any other is not the real one yet */
    c->in.raw_end -= head.len;
    memmove(c->rx, c->rx + head.len, c->in.raw_end);
    return rc;
}

/* The answer is whole, or as whole as it gets. */
static int answer_take(struct teddy_client *c)
{
    struct json_object o;
    struct span body = {(const char *)c->rx, c->in.raw_end};
    int rc = json_parse(body, &o);
    if (c->failure.status != 0) {
        sdk_failure_code(c, sdk_member_text(&o, "code"));
        return TEDDY_ECLOSED;
    }
    return rc == TEDDY_OK ? sdk_tokens_take(c, &o, body.len) : TEDDY_EPROTO;
}

int sdk_http_receive(struct teddy_client *c)
{
    struct teddy_answer *a = &c->answer;
    for (unsigned i = 0; i < SDK_STEPS_MAX; i++) {
        int rc = a->status == 0 ? head_read(c) : TEDDY_OK;
        if (rc < 0 || a->status == 101) {
            return rc;
        }
        if (rc == TEDDY_OK && a->status == 0) {
            continue;
        }
        if (rc == TEDDY_OK && c->in.raw_end >= a->length) {
            c->in.raw_end = a->length;
            return answer_take(c);
        }
        rc = sdk_recv(c);
        if (rc == TEDDY_ECLOSED && a->length == UNTIL_CLOSE) {
            return answer_take(c);
        }
        if (rc != TEDDY_OK) {
            return rc;
        }
    }
    c->more = true;
    return TEDDY_AGAIN;
}
