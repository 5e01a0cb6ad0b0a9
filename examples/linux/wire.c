#include "wire.h"

#include <stdio.h>
#include <string.h>

#include "proto/writer.h"
#include "sdk/core/core.h"

/* Waits for the port, or says that the time is over. */
static int wait_until(struct wire *w, uint64_t until_ms, unsigned wants)
{
    uint64_t now = teddy_posix_now_ms();

    if (now >= until_ms)
        return TEDDY_ETIMEOUT;
    return teddy_posix_wait(w->port, (uint32_t)(until_ms - now), wants, NULL, 0);
}

int wire_open_as(struct wire *w, const char *certificate_host, bool tls)
{
    uint64_t until = teddy_posix_now_ms() + WIRE_PATIENCE_MS;
    int err;

    teddy_posix_port.disconnect(w->port);
    w->len = w->used = 0;
    while ((err = teddy_posix_port.resolve(w->port, w->host)) == TEDDY_AGAIN)
        if ((err = wait_until(w, until, TEDDY_WANTS_READ)) != TEDDY_OK)
            return err;
    if (err)
        return err;
    while ((err = teddy_posix_port.connect(w->port, certificate_host, w->url->port, tls)) ==
           TEDDY_AGAIN)
        if ((err = wait_until(w, until, TEDDY_WANTS_READ)) != TEDDY_OK)
            return err;
    return err;
}

int wire_open(struct wire *w)
{
    return wire_open_as(w, w->host, w->url->tls);
}

void wire_close(struct wire *w)
{
    teddy_posix_port.disconnect(w->port);
}

int wire_send(struct wire *w, const void *data, size_t len)
{
    uint64_t until = teddy_posix_now_ms() + WIRE_PATIENCE_MS;
    const uint8_t *at = data;

    while (len > 0) {
        size_t n = 0;
        int err = teddy_posix_port.send(w->port, at, len, &n);
        if (err == TEDDY_AGAIN)
            err = wait_until(w, until, TEDDY_WANTS_READ | TEDDY_WANTS_WRITE);
        if (err)
            return err;
        at += n;
        len -= n;
    }
    return TEDDY_OK;
}

int wire_more(struct wire *w, uint32_t patience_ms)
{
    uint64_t until = teddy_posix_now_ms() + patience_ms;

    memmove(w->buf, w->buf + w->used, w->len - w->used);
    w->len -= w->used;
    w->used = 0;
    if (w->len == sizeof w->buf)
        return TEDDY_ETOOBIG;
    for (;;) {
        size_t n = 0;
        int err = teddy_posix_port.recv(w->port, w->buf + w->len, sizeof w->buf - w->len, &n);
        if (err == TEDDY_OK)
            w->len += n;
        if (err != TEDDY_AGAIN)
            return err;
        if ((err = wait_until(w, until, TEDDY_WANTS_READ)) != TEDDY_OK)
            return err;
    }
}

void wire_authority(const struct wire *w, char out[TEDDY_HOST_MAX + 16])
{
    struct writer to = writer_on(out, TEDDY_HOST_MAX + 16);

    sdk_url_authority(&to, w->url);
    (void)writer_end(&to);
}

static int read_head(struct wire *w, struct answer *out)
{
    for (;;) {
        size_t used, len = w->len - w->used;
        int err =
            http1_response((const char *)w->buf + w->used, len, LIMIT_HTTP_HEAD, &out->head, &used);
        if (err == TEDDY_OK) {
            /* Parsed anew in the answer's own copy, which the buffer's next filling leaves alone.
             */
            memcpy(out->head_bytes, w->buf + w->used, used);
            w->used += used;
            return http1_response(out->head_bytes, used, LIMIT_HTTP_HEAD, &out->head, &used);
        }
        if (err != TEDDY_AGAIN || (err = wire_more(w, WIRE_PATIENCE_MS)) != TEDDY_OK)
            return err;
    }
}

static int keep(struct answer *out, const void *data, size_t len)
{
    if (len > sizeof out->body_bytes - out->body.len)
        return TEDDY_ETOOBIG;
    memcpy(out->body_bytes + out->body.len, data, len);
    out->body.len += len;
    return TEDDY_OK;
}

static int read_chunked(struct wire *w, struct answer *out)
{
    struct http_chunked chunked = {0};

    for (;;) {
        struct span piece = {NULL, 0};
        size_t used = 0;
        int err = http1_chunked(&chunked, (const char *)w->buf + w->used, w->len - w->used, &used,
                                &piece);
        if (piece.len > 0 && keep(out, piece.p, piece.len) != TEDDY_OK)
            return TEDDY_ETOOBIG;
        w->used += used;
        if (err == TEDDY_AGAIN && used == 0)
            err = wire_more(w, WIRE_PATIENCE_MS);
        if (err != TEDDY_AGAIN && (err != TEDDY_OK || used > 0))
            return err;
    }
}

/* Of that length, or until the connection closes. */
static int read_plain(struct wire *w, struct answer *out, uint64_t left, bool to_end)
{
    while (left > 0) {
        size_t have = w->len - w->used, n = have < left ? have : (size_t)left;
        int err = keep(out, w->buf + w->used, n);
        if (err)
            return err;
        w->used += n;
        left -= n;
        if (left == 0)
            break;
        err = wire_more(w, WIRE_PATIENCE_MS);
        if (err)
            return err == TEDDY_ECLOSED && to_end ? TEDDY_OK : err;
    }
    return TEDDY_OK;
}

static int read_body(struct wire *w, struct answer *out)
{
    enum http_body kind;
    uint64_t length = 0;
    int err = http1_body(&out->head, true, &kind, &length);

    if (err)
        return err;
    switch (kind) {
    case HTTP_BODY_NONE:
        return TEDDY_OK;
    case HTTP_BODY_LENGTH:
        return read_plain(w, out, length, false);
    case HTTP_BODY_CHUNKED:
        return read_chunked(w, out);
    case HTTP_BODY_CLOSE:
        break;
    }
    return read_plain(w, out, UINT64_MAX, true);
}

void wire_answer(struct wire *w, struct answer *out)
{
    out->status = 0;
    out->is_json = false;
    out->body = (struct span){out->body_bytes, 0};
    out->err = read_head(w, out);
    if (out->err)
        return;
    if (out->head.status != 101)
        out->err = read_body(w, out);
    if (out->err)
        return;
    out->status = out->head.status;
    out->is_json = out->body.len > 0 && json_parse(out->body, &out->json) == TEDDY_OK;
}

void wire_request(struct wire *w, const char *method, const char *target, const char *head_lines,
                  const char *body, size_t body_len, struct answer *out)
{
    char head[4096], authority[TEDDY_HOST_MAX + 16], length[48] = "";
    int len;

    memset(out, 0, sizeof *out);
    wire_authority(w, authority);
    if (body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body_len);
    len = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", method, target,
                   authority, head_lines, length);
    out->err = len > 0 && (size_t)len < sizeof head ? wire_open(w) : TEDDY_ETOOBIG;
    if (out->err)
        return;
    out->err = wire_send(w, head, (size_t)len);
    /* A server may answer, and close, before it has taken the whole body: read on even so. */
    if (!out->err && body)
        (void)wire_send(w, body, body_len);
    if (!out->err)
        wire_answer(w, out);
}
