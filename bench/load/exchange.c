#include "bench/load/exchange.h"

#include <stdio.h>

#include "proto/http1.h"
#include "proto/json.h"
#include "proto/limits.h"
#include "proto/text.h"

static struct exchange *exchange_of(struct transport *t)
{
    return (struct exchange *)(void *)t;
}

static size_t refuse(struct exchange *x, const char *why, size_t len)
{
    transport_close(&x->transport);
    x->events->ended(x, why);
    return len;
}

static void on_ready(struct transport *t)
{
    struct exchange *x = exchange_of(t);

    x->events->ready(x);
}

static size_t on_data(struct transport *t, uint8_t *data, size_t len)
{
    struct exchange *x = exchange_of(t);
    const char *text = (const char *)data;
    struct http_head head;
    enum http_body kind;
    uint64_t body_len;
    size_t used;
    int err = http1_response(text, len, LIMIT_HTTP_HEAD, &head, &used);

    if (err == TEDDY_AGAIN)
        return 0;
    if (err != TEDDY_OK || !x->waiting)
        return refuse(x, "no answer to what was asked", len);
    if (http1_body(&head, true, &kind, &body_len) != TEDDY_OK || kind != HTTP_BODY_LENGTH)
        return refuse(x, "an answer without Content-Length", len);
    if (len - used < body_len)
        return 0;
    x->waiting = false;
    x->events->answer(x, head.status, (struct span){text + used, (size_t)body_len});
    return used + (size_t)body_len;
}

static void on_ended(struct transport *t, const char *why)
{
    struct exchange *x = exchange_of(t);

    x->events->ended(x, why);
}

void exchange_init(struct exchange *x, struct dialer *d, const struct exchange_events *events,
                   void *user)
{
    static const struct transport_handler handler = {on_ready, on_data, on_ended};

    *x = (struct exchange){.events = events, .user = user};
    transport_init(&x->transport, d, &handler);
}

void exchange_fini(struct exchange *x)
{
    transport_fini(&x->transport);
}

bool exchange_open(struct exchange *x)
{
    x->waiting = false;
    return transport_open(&x->transport);
}

bool exchange_post(struct exchange *x, const char *path, struct span body)
{
    const struct target *to = &x->transport.dialer->target;
    char request[LIMIT_CLAIM_BODY];
    int n = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%.*s",
                     path, to->host, to->port, body.len, (int)body.len, body.p);

    if ((size_t)n >= sizeof request)
        return false;
    x->waiting = true;
    return transport_send(&x->transport, request, (size_t)n);
}

/* Three parts of base64url. */
static bool is_token(const struct json_member *m)
{
    unsigned dots = 0;

    if (m == NULL || m->type != JSON_STRING || m->value.len > LIMIT_TOKEN_LEN)
        return false;
    for (size_t i = 0; i < m->value.len; i++)
        dots += m->value.p[i] == '.';
    return dots == 2 && span_within(m->value, "-_.");
}

bool exchange_tokens(struct span body, struct span *access, struct span *refresh)
{
    struct json_object obj;
    const struct json_member *a, *r, *type;
    uint64_t expires_in;

    if (json_parse(body, &obj) != TEDDY_OK)
        return false;
    a = json_find(&obj, "access");
    r = json_find(&obj, "refresh");
    type = json_find(&obj, "token_type");
    if (!is_token(a) || !is_token(r) || type == NULL || !span_is(type->value, "Bearer") ||
        json_u64(&obj, "expires_in", &expires_in) != TEDDY_OK)
        return false;
    *access = a->value;
    *refresh = r->value;
    return true;
}
