/* Claims: signed, a fresh nonce each, over connections that are kept alive. Any device may come
 * next: a fleet claims in no order. With --operations they come in turn, so that each has claimed.
 */
#include <errno.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/cpu.h"
#include "bench/load/exchange.h"
#include "bench/load/modes.h"
#include "bench/load/random.h"
#include "bench/load/run.h"
#include "proto/endpoints.h"
#include "proto/limits.h"
#include "proto/text.h"

#define CHILD "load-child"

struct claimer {
    struct exchange exchange; /* first */
    struct claims *claims;
    const struct person *who;
    uint64_t began_ns;
};

struct claims {
    const struct options *options;
    struct measure measure;
    struct loop loop;
    struct dialer dialer;
    struct run run;
    struct people devices;
    struct claimer *claimers;
    FILE *tokens;
    uint32_t open, begun, next_claimer;
    uint64_t made, answered;
};

static void failed(struct claims *c, const char *what, struct span detail)
{
    if (c->measure.errors++ == 0)
        fprintf(stderr, "teddy-load: %s: %.*s\n", what, (int)(detail.len < 300 ? detail.len : 300),
                detail.p);
    c->loop.stop = true;
}

static void hex(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

/* The body of a claim: its MAC is over id, child and nonce. 24 digits: 32 would be read as bytes
 * too. */
static size_t write_claim(const struct person *who, char *out, size_t cap)
{
    uint8_t secret[LIMIT_SECRET_LEN], mac[LIMIT_MAC_LEN], random[12];
    char message[2 * LIMIT_ID_LEN + LIMIT_NONCE_MAX + 1], nonce[2 * sizeof random + 1];
    char mac_hex[2 * LIMIT_MAC_LEN + 1];
    int n;

    if (hex_decode(span_of(who->token), secret, sizeof secret) != TEDDY_OK)
        return 0;
    random_bytes(random, sizeof random);
    hex(random, sizeof random, nonce);
    n = snprintf(message, sizeof message, "%s%s%s", who->id, CHILD, nonce);
    if ((size_t)n >= sizeof message || HMAC(EVP_sha256(), secret, sizeof secret,
                                            (const uint8_t *)message, (size_t)n, mac, NULL) == NULL)
        return 0;
    hex(mac, sizeof mac, mac_hex);
    n = snprintf(out, cap,
                 "{\"device_id\":\"%s\",\"child_id\":\"" CHILD
                 "\",\"nonce\":\"%s\",\"hmac_hex\":\"%s\"}",
                 who->id, nonce, mac_hex);
    return (size_t)n < cap ? (size_t)n : 0;
}

static bool all_made(const struct claims *c)
{
    return c->options->operations > 0 && c->made >= c->options->operations;
}

static const struct person *next_device(struct claims *c)
{
    uint32_t at = c->options->operations > 0 ? (uint32_t)(c->made % c->devices.count)
                                             : random_below((uint32_t)c->devices.count);
    return &c->devices.list[at];
}

static void claim(struct claimer *by, uint64_t began_ns)
{
    struct claims *c = by->claims;
    const char *path = c->dialer.target.path;
    char body[1024];
    size_t len;

    if (all_made(c))
        return;
    by->who = next_device(c);
    by->began_ns = began_ns;
    c->made++;
    len = write_claim(by->who, body, sizeof body);
    if (len == 0)
        failed(c, "no device and secret of 64 hex digits", span_of(by->who->id));
    else
        (void)exchange_post(&by->exchange,
                            path[0] != '\0' && path[1] != '\0' ? path : ENDPOINT_CLAIM,
                            (struct span){body, len});
}

static void on_answer(struct exchange *x, int status, struct span body)
{
    struct claimer *by = x->user;
    struct claims *c = by->claims;
    struct span access, refresh;
    uint64_t now = clock_ns();
    char what[32];

    if (status != 200 || !exchange_tokens(body, &access, &refresh)) {
        snprintf(what, sizeof what, "a claim was answered %d", status);
        c->measure.wrong_bytes += status == 200 ? body.len + 1 : 0;
        failed(c, what, body);
        return;
    }
    measure_add(&c->measure, now - by->began_ns);
    if (c->tokens != NULL)
        fprintf(c->tokens, "%s %.*s %.*s\n", by->who->id, (int)access.len, access.p,
                (int)refresh.len, refresh.p);
    c->answered++;
    if (c->options->operations > 0 && c->answered == c->options->operations)
        c->loop.stop = true;
    else if (c->options->rate == 0)
        claim(by, now);
}

/* Of --rate: the next connection that waits for nothing. */
static bool issue(void *arg, uint64_t due_ns)
{
    struct claims *c = arg;

    for (uint32_t i = 0; i < c->options->connections; i++) {
        struct claimer *by = &c->claimers[c->next_claimer];
        c->next_claimer = c->next_claimer + 1 < c->options->connections ? c->next_claimer + 1 : 0;
        if (by->exchange.waiting)
            continue;
        claim(by, due_ns);
        return true;
    }
    return false;
}

static void open_more(struct claims *c)
{
    uint32_t at_once = c->options->concurrency > 0 ? c->options->concurrency : 64;

    while (c->begun < c->options->connections && c->begun - c->open < at_once)
        if (!exchange_open(&c->claimers[c->begun++].exchange))
            failed(c, "cannot connect", span_of(strerror(errno)));
}

static void on_ready(struct exchange *x)
{
    struct claims *c = ((struct claimer *)x->user)->claims;

    c->open++;
    open_more(c);
    if (c->open < c->options->connections)
        return;
    if (c->options->operations > 0)
        run_begin_open(&c->run);
    else
        run_begin(&c->run);
    for (uint32_t i = 0; c->options->rate == 0 && i < c->options->connections; i++)
        claim(&c->claimers[i], clock_ns());
}

static void on_ended(struct exchange *x, const char *why)
{
    failed(((struct claimer *)x->user)->claims, "a connection ended", span_of(why));
}

static bool init(struct claims *c, const struct options *o)
{
    static const struct exchange_events events = {on_ready, on_answer, on_ended};

    c->options = o;
    measure_init(&c->measure, o);
    c->run = (struct run){o, &c->loop, &c->measure, issue, c, NULL, 0, 0, 0};
    if (!loop_init(&c->loop, 0) || !dialer_init(&c->dialer, &c->loop, o) ||
        !people_read(&c->devices, o->devices_file))
        return false;
    c->tokens = o->write_tokens != NULL ? fopen(o->write_tokens, "w") : NULL;
    if (o->write_tokens != NULL && c->tokens == NULL) {
        fprintf(stderr, "teddy-load: cannot write %s: %s\n", o->write_tokens, strerror(errno));
        return false;
    }
    c->claimers = calloc(o->connections, sizeof *c->claimers);
    for (uint32_t i = 0; c->claimers != NULL && i < o->connections; i++) {
        c->claimers[i].claims = c;
        exchange_init(&c->claimers[i].exchange, &c->dialer, &events, &c->claimers[i]);
    }
    return c->claimers != NULL;
}

static void fini(struct claims *c)
{
    for (uint32_t i = 0; c->claimers != NULL && i < c->options->connections; i++)
        exchange_fini(&c->claimers[i].exchange);
    free(c->claimers);
    people_fini(&c->devices);
    dialer_fini(&c->dialer);
    loop_fini(&c->loop);
}

int claims_run(const struct options *o)
{
    struct claims c = {0};
    int status = EXIT_FAILED;

    if (init(&c, o)) {
        open_more(&c);
        loop_run(&c.loop);
        measure_end(&c.measure);
        if (c.tokens != NULL && fclose(c.tokens) != 0)
            failed(&c, "cannot write", span_of(o->write_tokens));
        status = measure_report(&c.measure, "");
    }
    fini(&c);
    return status;
}
