/* Between the core and the port: every call is timed, and its result held against teddy/port.h. */
#include <stdio.h>
#include <string.h>

#include "parts.h"

struct rule {
    const char *name;
    int may[7]; /* besides TEDDY_OK, which ends the list */
};

static const struct rule rules[TAP_CALLS] = {
    [TAP_RANDOM] = {"random", {TEDDY_EIO}},
    [TAP_HMAC] = {"hmac_sha256", {TEDDY_AGAIN, TEDDY_EIO}},
    [TAP_SHA1] = {"sha1", {TEDDY_AGAIN, TEDDY_EIO}},
    [TAP_LOAD] = {"load", {TEDDY_AGAIN, TEDDY_ENOTFOUND, TEDDY_EAUTH, TEDDY_EIO}},
    [TAP_SAVE] = {"save", {TEDDY_AGAIN, TEDDY_EIO, TEDDY_ETOOBIG}},
    [TAP_ERASE] = {"erase", {TEDDY_AGAIN, TEDDY_EIO}},
    [TAP_RESOLVE] = {"resolve", {TEDDY_AGAIN, TEDDY_EDNS, TEDDY_EIO}},
    [TAP_CONNECT] = {"connect",
                     {TEDDY_AGAIN, TEDDY_EDNS, TEDDY_EIO, TEDDY_ETLS, TEDDY_ECERT, TEDDY_ECLOCK}},
    [TAP_SEND] = {"send", {TEDDY_AGAIN, TEDDY_ECLOSED, TEDDY_EIO, TEDDY_ETLS}},
    [TAP_RECV] = {"recv", {TEDDY_AGAIN, TEDDY_ECLOSED, TEDDY_EIO, TEDDY_ETLS}},
    [TAP_DISCONNECT] = {"disconnect", {0}},
    [TAP_WALL_TIME] = {"wall_time", {0}},
    [TAP_SERVER_TIME] = {"server_time", {0}},
};

const char *tap_name(enum tap_call call)
{
    return rules[call].name;
}

void tap_reset(struct tap *t)
{
    memset(t->longest_ms, 0, sizeof t->longest_ms);
    t->broken[0] = t->log[0] = '\0';
}

static uint64_t begin(struct tap *t)
{
    t->clock++;
    return t->config->board->now_ms(t->config->board_ctx);
}

static void breach(struct tap *t, enum tap_call call, const char *what)
{
    if (t->broken[0] == '\0')
        snprintf(t->broken, sizeof t->broken, "%s %s", rules[call].name, what);
}

static int end(struct tap *t, enum tap_call call, uint64_t began_ms, int result)
{
    uint64_t took = t->config->board->now_ms(t->config->board_ctx) - began_ms;
    bool allowed = result == TEDDY_OK;
    char what[80];

    if (took > t->longest_ms[call])
        t->longest_ms[call] = took;
    if (took > t->ever_ms[call])
        t->ever_ms[call] = took;
    for (size_t i = 0; i < sizeof rules[call].may / sizeof rules[call].may[0]; i++)
        allowed = allowed || result == rules[call].may[i];
    if (!allowed) {
        snprintf(what, sizeof what, "returned %s (%d), which it may not", err_name(result), result);
        breach(t, call, what);
    }
    return result;
}

static int tap_random(void *ctx, uint8_t *out, size_t len)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);

    return end(t, TAP_RANDOM, began, t->config->port->random(t->ctx, out, len));
}

static int tap_hmac(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    struct tap *t = ctx;
    uint64_t began = begin(t);

    return end(t, TAP_HMAC, began, t->config->port->hmac_sha256(t->ctx, msg, len, mac));
}

static int tap_sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    struct tap *t = ctx;
    uint64_t began = begin(t);

    return end(t, TAP_SHA1, began, t->config->port->sha1(t->ctx, msg, len, digest));
}

static int tap_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);
    int rc = end(t, TAP_LOAD, began, t->config->port->load(t->ctx, record, buf, cap, len));

    if (rc == TEDDY_OK && *len > cap)
        breach(t, TAP_LOAD, "said OK and a length over the buffer's");
    return rc;
}

static int tap_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);
    int rc = end(t, TAP_SAVE, began, t->config->port->save(t->ctx, record, data, len));

    if (rc == TEDDY_OK && record == TEDDY_RECORD_TOKENS)
        t->saved_tokens_at = t->clock;
    if (rc == TEDDY_OK && record == TEDDY_RECORD_LAST)
        t->saved_last_at = t->clock;
    return rc;
}

static int tap_erase(void *ctx)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);

    return end(t, TAP_ERASE, began, t->config->port->erase(t->ctx));
}

static int tap_resolve(void *ctx, const char *host)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);

    return end(t, TAP_RESOLVE, began, t->config->port->resolve(t->ctx, host));
}

static int tap_connect(void *ctx, const char *host, uint16_t port, bool tls)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);
    int rc = end(t, TAP_CONNECT, began, t->config->port->connect(t->ctx, host, port, tls));

    if (rc == TEDDY_OK)
        t->connected_at = t->clock;
    return rc;
}

static int tap_send(void *ctx, const uint8_t *data, size_t len, size_t *sent)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);
    int rc = end(t, TAP_SEND, began, t->config->port->send(t->ctx, data, len, sent));

    if (rc == TEDDY_OK && (*sent == 0 || *sent > len))
        breach(t, TAP_SEND, "said OK and sent nothing, or more than it was given");
    if (rc == TEDDY_OK)
        t->sent_at = t->clock;
    return rc;
}

static int tap_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);
    int rc = end(t, TAP_RECV, began, t->config->port->recv(t->ctx, buf, cap, got));

    if (rc == TEDDY_OK && (*got == 0 || *got > cap))
        breach(t, TAP_RECV, "said OK and got nothing, or more than fits");
    return rc;
}

static void tap_disconnect(void *ctx)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);

    t->config->port->disconnect(t->ctx);
    t->disconnected_at = t->clock;
    (void)end(t, TAP_DISCONNECT, began, TEDDY_OK);
}

static uint64_t tap_wall_time(void *ctx)
{
    struct tap *t = ctx;
    uint64_t began = begin(t), time = t->config->port->wall_time(t->ctx);

    (void)end(t, TAP_WALL_TIME, began, TEDDY_OK);
    return time;
}

static void tap_server_time(void *ctx, uint64_t unix_s)
{
    struct tap *t = ctx;
    uint64_t began = begin(t);

    t->config->port->server_time(t->ctx, unix_s);
    t->told_s = unix_s;
    (void)end(t, TAP_SERVER_TIME, began, TEDDY_OK);
}

static void tap_log(void *ctx, enum teddy_log_level level, const char *line)
{
    struct tap *t = ctx;

    if (level <= TEDDY_LOG_WARN)
        snprintf(t->log, sizeof t->log, "%s", line);
    if (t->config->port->log != NULL)
        t->config->port->log(t->ctx, level, line);
}

const struct teddy_port tap_port = {
    .random = tap_random,
    .hmac_sha256 = tap_hmac,
    .sha1 = tap_sha1,
    .load = tap_load,
    .save = tap_save,
    .erase = tap_erase,
    .resolve = tap_resolve,
    .connect = tap_connect,
    .send = tap_send,
    .recv = tap_recv,
    .disconnect = tap_disconnect,
    .wall_time = tap_wall_time,
    .server_time = tap_server_time,
    .log = tap_log,
};
