#include "bench/load/session.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/fleet.h"
#include "bench/load/random.h"
#include "proto/http1.h"
#include "proto/limits.h"
#include "proto/text.h"

#define MESSAGE_MAX (8u << 20)

static struct session *session_of(struct transport *t)
{
    return (struct session *)(void *)t;
}

static void over(struct session *s, unsigned code, struct span text)
{
    session_close(s);
    s->events->closed(s, code, text);
}

const struct person *session_person(const struct session *s)
{
    const struct people *people = s->fleet->people.count > 0 ? &s->fleet->people : NULL;

    return people != NULL ? &people->list[s->index % people->count] : NULL;
}

static void on_ready(struct transport *t)
{
    struct session *s = session_of(t);
    const struct target *to = &t->dialer->target;
    const struct person *who = session_person(s);
    const char *token = s->token != NULL ? s->token : who != NULL ? who->token : s->fleet->bearer;
    char request[8192];
    uint8_t nonce[16];
    int n;

    random_bytes(nonce, sizeof nonce);
    base64_encode(nonce, sizeof nonce, s->key);
    n = snprintf(request, sizeof request,
                 "GET %s%s%s%s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                 "%s%s%s\r\n",
                 to->path[0] != '\0' ? to->path : "/", who != NULL ? "/" : "",
                 who != NULL ? who->id : "", to->query, to->host, to->port, s->key,
                 token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
                 token != NULL ? "\r\n" : "");
    (void)transport_send(t, request, (size_t)n < sizeof request ? (size_t)n : sizeof request - 1);
}

static bool accepted(const struct session *s, const struct http_head *head)
{
    char both[WS_KEY_LEN + sizeof WS_GUID], want[WS_ACCEPT_LEN + 1];
    uint8_t sha[SHA_DIGEST_LENGTH];
    struct span got;
    int n = snprintf(both, sizeof both, "%s%s", s->key, WS_GUID);

    SHA1((const uint8_t *)both, (size_t)n, sha);
    base64_encode(sha, sizeof sha, want);
    return http1_field(head, "Sec-WebSocket-Accept", &got) == 1 && span_is(got, want);
}

/* The answer to the upgrade; returns its bytes, 0 when there are more to come. */
static size_t take_head(struct session *s, const char *data, size_t len)
{
    struct http_head head;
    char why[64];
    size_t used;
    int err = http1_response(data, len, LIMIT_HTTP_HEAD, &head, &used);

    if (err == TEDDY_AGAIN)
        return 0;
    if (err != TEDDY_OK || head.status != 101 || !accepted(s, &head)) {
        snprintf(why, sizeof why, "the upgrade was answered %d", err == TEDDY_OK ? head.status : 0);
        over(s, 0, span_of(why));
        return len;
    }
    s->upgraded = true;
    ws_decoder_init(&s->decoder, false, MESSAGE_MAX);
    s->events->open(s);
    return used;
}

static void take_close(struct session *s, const struct ws_event *ev)
{
    unsigned code = ev->len >= 2 ? (unsigned)ev->data[0] << 8 | ev->data[1] : WS_CLOSE_NO_STATUS;
    struct span reason = {(const char *)ev->data + 2, ev->len >= 2 ? ev->len - 2 : 0};

    over(s, code, reason);
}

/* A piece of a message; whole ones are handed on where they lie. */
static void take_piece(struct session *s, const struct ws_event *ev)
{
    struct span whole = {(const char *)ev->data, ev->len};
    uint8_t *grown;

    if (ev->first && ev->last) {
        s->events->message(s, ev->opcode, whole);
        return;
    }
    if (ev->first)
        s->part_len = 0;
    grown = realloc(s->part, s->part_len + ev->len + 1);
    if (grown == NULL) {
        over(s, 0, span_of("out of memory"));
        return;
    }
    memcpy(grown + s->part_len, ev->data, ev->len);
    s->part = grown;
    s->part_len += ev->len;
    if (!ev->last)
        return;
    whole = (struct span){(const char *)grown, s->part_len};
    s->part = NULL; /* ours until handed on: the session may be closed meanwhile */
    s->events->message(s, ev->opcode, whole);
    free(grown);
}

static void take_event(struct session *s, const struct ws_event *ev)
{
    switch (ev->opcode) {
    case WS_PING:
        (void)session_send(s, WS_PONG, ev->data, ev->len);
        break;
    case WS_PONG:
        s->events->pong(s, (struct span){(const char *)ev->data, ev->len});
        break;
    case WS_CLOSE:
        take_close(s, ev);
        break;
    default:
        take_piece(s, ev);
    }
}

static size_t on_data(struct transport *t, uint8_t *data, size_t len)
{
    struct session *s = session_of(t);
    struct ws_event ev;
    size_t used;
    int err;

    if (!s->upgraded)
        return take_head(s, (const char *)data, len);
    err = ws_decode(&s->decoder, data, len, &used, &ev);
    if (err == TEDDY_OK)
        take_event(s, &ev);
    else if (err != TEDDY_AGAIN)
        over(s, 0, span_of("a frame that is none"));
    return used;
}

static void on_ended(struct transport *t, const char *why)
{
    over(session_of(t), 0, span_of(why));
}

void session_init(struct session *s, struct dialer *d, const struct session_events *events,
                  struct fleet *fleet, uint32_t index)
{
    static const struct transport_handler handler = {on_ready, on_data, on_ended};

    *s = (struct session){.events = events, .fleet = fleet, .index = index};
    transport_init(&s->transport, d, &handler);
    loop_timer_add(d->loop, &s->timer);
}

void session_fini(struct session *s)
{
    session_close(s);
    transport_fini(&s->transport);
    free(s->token);
}

bool session_open(struct session *s)
{
    return transport_open(&s->transport);
}

bool session_send(struct session *s, uint8_t opcode, const void *data, size_t len)
{
    uint8_t small[WS_HEADER_MAX + 2048], *frame = small, mask[4];
    size_t head;
    bool sent;

    if (len > sizeof small - WS_HEADER_MAX)
        frame = malloc(len + WS_HEADER_MAX);
    if (frame == NULL)
        return false;
    random_bytes(mask, sizeof mask);
    head = ws_header(frame, opcode, len, mask);
    memcpy(frame + head, data, len);
    ws_mask(frame + head, len, mask);
    sent = transport_send(&s->transport, frame, head + len);
    if (frame != small)
        free(frame);
    return sent;
}

void session_send_close(struct session *s)
{
    uint8_t normal[2] = {WS_CLOSE_NORMAL >> 8, WS_CLOSE_NORMAL & 0xFF};

    (void)session_send(s, WS_CLOSE, normal, sizeof normal);
}

void session_close(struct session *s)
{
    transport_close(&s->transport);
    s->upgraded = false;
    free(s->part);
    s->part = NULL;
    s->part_len = 0;
}
