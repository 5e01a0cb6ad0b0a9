/* One HTTP exchange over the port: the request in rx is sent, then the answer is read into the same
 * rx. */
#include "core.h"
#include "proto/json.h"
#include "proto/text.h"
#include "teddy/version.h"

#define INTERIM_MAX 4 /* 1xx answers before the real one */

/* The head tells the body's length, so the body is made first, where no head reaches; the token
 * that it may hold stands behind both. */
#define BODY_AT 560
_Static_assert(BODY_AT + LIMIT_TOKEN_LEN + 32 <= TEDDY_BUFFER_MIN - LIMIT_TOKEN_LEN - 1,
               "a refresh's body must not run into its token");

int sdk_http_post(struct teddy_client *c, const char *path,
                  void (*write_body)(struct teddy_client *c, struct writer *w))
{
    struct writer body = writer_on((char *)c->rx + BODY_AT, c->rx_len - BODY_AT);
    write_body(c, &body);
    struct writer w = writer_on((char *)c->rx, BODY_AT);
    writer_text(&w, "POST ");
    writer_text(&w, path);
    writer_text(&w, " HTTP/1.1\r\nHost: ");
    sdk_url_authority(&w, &c->url);
    writer_text(&w, "\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
                    "Connection: close\r\nUser-Agent: teddy-sdk/" TEDDY_SDK_VERSION
                    "\r\nContent-Length: ");
    writer_u64(&w, body.len);
    writer_text(&w, "\r\n\r\n");
    if (w.overflow || body.overflow) {
        return TEDDY_ENOSPC;
    }
    memmove(c->rx + w.len, c->rx + BODY_AT, body.len);
    c->out_len = w.len + body.len;
    c->out_at = 0;
    return TEDDY_OK;
}

int sdk_http_send(struct teddy_client *c)
{
    while (c->out_at < c->out_len) {
        size_t sent = 0;
        int rc = c->port->send(c->ctx, c->rx + c->out_at, c->out_len - c->out_at, &sent);
        if (rc != TEDDY_OK) {
            return rc;
        }
        if (sent == 0 || sent > c->out_len - c->out_at) {
            return TEDDY_EIO;
        }
        c->out_at += sent;
    }
    wipe(c->rx, c->rx_len);
    c->in = (struct teddy_input){0};
    c->answer = (struct teddy_answer){0};
    return TEDDY_OK;
}

static uint32_t retry_after(const struct http_head *head)
{
    struct span value;
    uint64_t seconds;
    if (http1_field(head, "Retry-After", &value) != 1 || u64_parse(value, &seconds) != TEDDY_OK) {
        return 0;
    }
    return seconds > TEDDY_RETRY_MAX_MS / 1000 ? TEDDY_RETRY_MAX_MS / 1000 : (uint32_t)seconds;
}

static int head_take(struct teddy_client *c, const struct http_head *head)
{
    struct teddy_answer *a = &c->answer;
    if (head->status < 200 && head->status != 101) {
        return ++a->interim > INTERIM_MAX ? TEDDY_EPROTO : TEDDY_OK;
    }
    if (head->status == 101) {
        bool ok = c->goal == SDK_CONNECT_SESSION && sdk_upgrade_ok(c, head);
        a->status = 101;
        a->kind = HTTP_BODY_NONE;
        return ok ? TEDDY_OK : TEDDY_EPROTO;
    }
    uint64_t length = 0;
    int rc = http1_body(head, true, &a->kind, &length);
    if (rc != TEDDY_OK) {
        return rc;
    }
    a->length = length > UINT32_MAX ? UINT32_MAX : (uint32_t)length; /* either is too long */
    a->retry_after_s = retry_after(head);
    a->status = head->status;
    if (a->status != 200 || c->goal == SDK_CONNECT_SESSION) {
        /* From here on the status is the verdict, even if the body never comes. */
        c->failure.status = a->status;
        c->failure.retry_ms = a->retry_after_s * 1000;
    }
    return TEDDY_OK;
}

static int head_read(struct teddy_client *c)
{
    size_t max = c->rx_len < LIMIT_HTTP_HEAD ? c->rx_len : LIMIT_HTTP_HEAD;
    while (c->answer.status == 0) {
        struct http_head head;
        size_t used = 0;
        int rc = http1_response((const char *)c->rx + c->in.raw_at, c->in.raw_end - c->in.raw_at,
                                max, &head, &used);
        if (rc == TEDDY_OK) {
            rc = head_take(c, &head);
            c->in.raw_at += used;
        }
        if (rc != TEDDY_OK) {
            return rc;
        }
    }
    return TEDDY_OK;
}

/* Moves n bytes of what has arrived to the body. */
static int body_keep(struct teddy_client *c, const void *data, size_t n)
{
    if (n >= c->rx_len - c->in.done_len) {
        return TEDDY_ETOOBIG;
    }
    memmove(c->rx + c->in.done_len, data, n);
    c->in.done_len += n;
    return TEDDY_OK;
}

static int chunks_read(struct teddy_client *c)
{
    int rc = TEDDY_AGAIN;
    while (rc == TEDDY_AGAIN && c->in.raw_at < c->in.raw_end) {
        struct span piece = {NULL, 0};
        size_t used = 0;
        rc = http1_chunked(&c->answer.chunked, (const char *)c->rx + c->in.raw_at,
                           c->in.raw_end - c->in.raw_at, &used, &piece);
        c->in.raw_at += used;
        if (rc >= 0 && piece.len > 0 && body_keep(c, piece.p, piece.len) != TEDDY_OK) {
            return TEDDY_ETOOBIG;
        }
        if (rc == TEDDY_AGAIN && used == 0) {
            break;
        }
    }
    return rc;
}

/* TEDDY_OK: the body is whole, rx[0..done_len). */
static int body_read(struct teddy_client *c)
{
    struct teddy_answer *a = &c->answer;
    size_t n = c->in.raw_end - c->in.raw_at;
    if (a->kind == HTTP_BODY_NONE) {
        return TEDDY_OK;
    }
    if (a->kind == HTTP_BODY_CHUNKED) {
        return chunks_read(c);
    }
    if (a->kind == HTTP_BODY_LENGTH && a->length >= c->rx_len) {
        return TEDDY_ETOOBIG;
    }
    if (a->kind == HTTP_BODY_LENGTH && n > a->length - c->in.done_len) {
        n = (size_t)a->length - c->in.done_len;
    }
    if (body_keep(c, c->rx + c->in.raw_at, n) != TEDDY_OK) {
        return TEDDY_ETOOBIG;
    }
    c->in.raw_at += n;
    return a->kind == HTTP_BODY_LENGTH && c->in.done_len == a->length ? TEDDY_OK : TEDDY_AGAIN;
}

/* Reads on behind what is there, after closing the gap before it. */
static int fill(struct teddy_client *c)
{
    struct teddy_input *in = &c->in;
    size_t left = in->raw_end - in->raw_at, got = 0;
    memmove(c->rx + in->done_len, c->rx + in->raw_at, left);
    in->raw_at = in->done_len;
    in->raw_end = in->done_len + left;
    if (in->raw_end == c->rx_len) {
        return TEDDY_ETOOBIG;
    }
    int rc = c->port->recv(c->ctx, c->rx + in->raw_end, c->rx_len - in->raw_end, &got);
    if (rc == TEDDY_OK && (got == 0 || got > c->rx_len - in->raw_end)) {
        return TEDDY_EIO;
    }
    in->raw_end += rc == TEDDY_OK ? got : 0;
    return rc;
}

/* A function of its own: the list of members should not weigh on the stack below. */
static __attribute__((noinline)) void problem_read(struct teddy_client *c)
{
    struct json_object o;
    struct span body = {(const char *)c->rx, c->in.done_len};
    const struct json_member *code;
    if (json_parse(body, &o) == TEDDY_OK && (code = json_find(&o, "code")) != NULL &&
        code->type == JSON_STRING) {
        sdk_failure_code(c, code->value);
    }
}

/* The answer is whole, or as whole as it gets. */
static int answer_take(struct teddy_client *c)
{
    if (c->failure.status == 0) {
        return sdk_tokens_take(c, (struct span){(const char *)c->rx, c->in.done_len});
    }
    problem_read(c);
    return TEDDY_ECLOSED;
}

int sdk_http_receive(struct teddy_client *c)
{
    for (unsigned i = 0; i < SDK_STEPS_MAX; i++) {
        int rc = head_read(c);
        if (rc == TEDDY_OK && c->answer.status == 101) {
            return TEDDY_OK;
        }
        rc = rc == TEDDY_OK ? body_read(c) : rc;
        if (rc == TEDDY_OK) {
            return answer_take(c);
        }
        if (rc != TEDDY_AGAIN) {
            return rc;
        }
        rc = fill(c);
        if (rc == TEDDY_ECLOSED && c->answer.status != 0 && c->answer.kind == HTTP_BODY_CLOSE) {
            return answer_take(c);
        }
        if (rc != TEDDY_OK) {
            return rc;
        }
    }
    c->more = true;
    return TEDDY_AGAIN;
}
