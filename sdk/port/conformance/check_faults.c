/* Bad servers: what each must come to, and that the toy is at home again afterwards. */
#include <string.h>

#include "parts.h"

#define SLACK_MS 8000

#define BROKEN                                                                                     \
    {                                                                                              \
        TEDDY_EIO, TEDDY_ETLS, TEDDY_ECLOSED                                                       \
    }
#define LOOK_CERT                                                                                  \
    "certificate verification: the authority, the host name, the dates and the usage are each to " \
    "be required"

const struct fault faults[] = {
    {.name = "closed",
     .title = "nobody listens: TEDDY_EIO",
     .errs = {TEDDY_EIO},
     .look = "what connect makes of a refused connection"},
    {.name = "silent",
     .title = "a server that never speaks: TEDDY_ETIMEOUT",
     .errs = {TEDDY_ETIMEOUT},
     .look = "connect: it is to say TEDDY_AGAIN, the core counts"},
    {.name = "hangup",
     .title = "a server that hangs up at once: TEDDY_EIO or TEDDY_ETLS",
     .errs = {TEDDY_EIO, TEDDY_ETLS},
     .look = "what connect makes of an end in the handshake"},
    {.name = "plain",
     .title = "plain HTTP where TLS should be: TEDDY_ETLS",
     .errs = {TEDDY_ETLS},
     .look = "what connect makes of a TLS alert or a record that is none"},
    {.name = "tls_stall",
     .title = "a TLS handshake that stalls half-way: TEDDY_ETIMEOUT",
     .errs = {TEDDY_ETIMEOUT},
     .look = "connect: it is to say TEDDY_AGAIN, the core counts"},
    {.name = "other_ca",
     .title = "a certificate of another authority: TEDDY_ECERT",
     .errs = {TEDDY_ECERT},
     .look = LOOK_CERT},
    {.name = "self_signed",
     .title = "a certificate signed by itself: TEDDY_ECERT",
     .errs = {TEDDY_ECERT},
     .look = LOOK_CERT},
    {.name = "other_name",
     .title = "a certificate for another host: TEDDY_ECERT",
     .errs = {TEDDY_ECERT},
     .look = "the host name: it is to be given to the TLS library, which must compare it"},
    {.name = "wrong_use",
     .title = "a certificate for clients: TEDDY_ECERT",
     .errs = {TEDDY_ECERT},
     .look = LOOK_CERT},
    {.name = "expired",
     .title = "a certificate that has expired: TEDDY_ECLOCK",
     .errs = {TEDDY_ECLOCK},
     .look = "dates: judged by wall_time, and told apart from other reasons"},
    {.name = "not_yet",
     .title = "a certificate that is not valid yet: TEDDY_ECLOCK",
     .errs = {TEDDY_ECLOCK},
     .look = "dates: judged by wall_time, and told apart from other reasons"},
    {.name = "no_answer",
     .title = "a server that takes the claim and is silent: TEDDY_ETIMEOUT",
     .errs = {TEDDY_ETIMEOUT},
     .look = "recv: nothing there is TEDDY_AGAIN"},
    {.name = "cut_head",
     .title = "an answer cut in its head",
     .errs = BROKEN,
     .look = "recv: an end must not look like more to come"},
    {.name = "cut_body",
     .title = "an answer cut in its body",
     .errs = BROKEN,
     .look = "recv: an end must not look like more to come"},
    {.name = "endless_head",
     .title = "a head without end: TEDDY_ETOOBIG",
     .errs = {TEDDY_ETOOBIG},
     .look = "recv: no more than cap bytes at a time"},
    {.name = "endless_body",
     .title = "a body without end: TEDDY_ETOOBIG",
     .errs = {TEDDY_ETOOBIG},
     .look = "recv: no more than cap bytes at a time"},
    {.name = "bad_accept",
     .title = "an upgrade with a wrong accept key: TEDDY_EPROTO",
     .errs = {TEDDY_EPROTO},
     .look = "sha1: the core compares what it computes"},
    {.name = "ws_masked",
     .title = "a masked frame: close 1002",
     .errs = {TEDDY_EPROTO},
     .close = 1002,
     .look = "recv: the bytes must be the server's"},
    {.name = "ws_reserved",
     .title = "a frame with a reserved bit: close 1002",
     .errs = {TEDDY_EPROTO},
     .close = 1002,
     .look = "recv: the bytes must be the server's"},
    {.name = "ws_oversized",
     .title = "a frame longer than any buffer: close 1009",
     .errs = {TEDDY_ETOOBIG},
     .close = 1009,
     .look = "recv: the bytes must be the server's"},
    {.name = "ws_utf8",
     .title = "a text that is not UTF-8: close 1007",
     .errs = {TEDDY_EUTF8},
     .close = 1007,
     .look = "recv: the bytes must be the server's"},
    {.name = "ws_cut",
     .title = "a session cut in mid-frame",
     .errs = BROKEN,
     .look = "recv: an end must not look like more to come"},
    {.name = "close_1008",
     .title = "close 1008 token_revoked: the toy claims anew",
     .close = 1008,
     .code = "token_revoked",
     .look = "recv: what comes right before the end is to be delivered"},
    {.name = "close_1012",
     .title = "close 1012 restart retry_ms=1500: the toy waits that long",
     .close = 1012,
     .code = "restart",
     .at_least_ms = 1500,
     .look = "recv: what comes right before the end is to be delivered"},
    {.name = "close_4001",
     .title = "close 4001 replaced: the toy waits for long",
     .close = 4001,
     .code = "replaced",
     .at_least_ms = 1000,
     .look = "recv: what comes right before the end is to be delivered"},
    {.name = "slow",
     .title = "a good server, one byte at a time: online",
     .online = true,
     .look = "recv: one byte is TEDDY_OK and one byte"},
    {0},
};

static bool settled(const struct conformance *c)
{
    return toy_waiting(c) || toy_online(c);
}

static bool err_right(const struct fault *f, int err)
{
    bool any = false;

    for (size_t i = 0; i < sizeof f->errs / sizeof f->errs[0]; i++) {
        if (f->errs[i] != TEDDY_OK && f->errs[i] == err)
            return true;
        any = any || f->errs[i] != TEDDY_OK;
    }
    return !any && err == TEDDY_OK;
}

static const char *expected(const struct fault *f)
{
    return f->errs[0] != TEDDY_OK ? err_name(f->errs[0]) : f->code != NULL ? f->code : "online";
}

static bool came_right(struct conformance *c, const struct fault *f)
{
    const struct seen *s = &c->seen;

    if (f->online)
        return toy_online(c) ||
               check_fail(c, "%s; expected: online; look at %s", toy_story(c), f->look);
    if (!toy_waiting(c))
        return check_fail(c, "%s%s; expected: %s; look at %s",
                          s->count[TEDDY_EVENT_CONNECTED] > 0 ? "the connection is up, and " : "",
                          toy_story(c), expected(f), f->look);
    if (!err_right(f, s->err) || (f->close != 0 && s->close != f->close) ||
        (f->code != NULL && strcmp(s->code, f->code) != 0))
        return check_fail(c, "%s; expected: %s; look at %s", toy_story(c), expected(f), f->look);
    if (s->wait_ms < f->at_least_ms)
        return check_fail(c, "the toy waits %lu ms; expected: %lu at least",
                          (unsigned long)s->wait_ms, (unsigned long)f->at_least_ms);
    return true;
}

void fault_run(struct conformance *c, const struct fault *f)
{
    uint16_t port = desk_port(c, f->name);

    if (port == 0 || !toy_start(c, desk_url(c, port)))
        return;
    (void)toy_until(c, settled, 2 * c->config.step_timeout_ms + SLACK_MS);
    if (!came_right(c, f))
        return;
    if (f->errs[1] != TEDDY_OK)
        check_pass(c, "%s", toy_story(c));
    /* The same instance, without a reboot: nothing of the bad server may stick to it. */
    if (!toy_home(c))
        check_fail(c, "afterwards the toy is not online at the good server");
}
