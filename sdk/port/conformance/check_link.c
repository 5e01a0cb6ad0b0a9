/* The connection itself, against the desk's servers: every byte, every end, and never a wait. */
#include <string.h>

#include "parts.h"

#define TRIES      3        /* a machine may be busy; a call that blocks does so each time */
#define WATCH_MS   400      /* for how long a stall is watched */
#define MIRROR_LEN 24000    /* more than one TLS record */
#define FLOOD_MAX  16777216 /* more than any chip's, or Linux's, socket holds */

/* Connects to a server of the desk; false: skipped, or failed. */
static bool reach(struct conformance *c, const char *fault)
{
    uint16_t port = desk_port(c, fault);
    int rc;

    if (port == 0)
        return false;
    rc = until_connected(c, c->desk_host, port);
    return rc == TEDDY_OK ||
           check_fail(
               c,
               "no TLS connection to the desk at %s:%u: %s; does the port trust the authority "
               "desk.py signs with, can it reach that host?",
               c->desk_host, port, err_name(rc));
}

static void resolves(struct conformance *c)
{
    int rc;

    if (desk_port(c, "mirror") == 0)
        return;
    rc = until_resolved(c, c->desk_host, c->config.step_timeout_ms);
    if (rc != TEDDY_OK)
        check_fail(c, "resolve of %s says %s", c->desk_host, err_name(rc));
}

static void resolves_not(struct conformance *c)
{
    int rc = until_resolved(c, "no-such-host.invalid", c->config.step_timeout_ms);

    if (rc == TEDDY_ETIMEOUT)
        check_skip(c, "no answer within %lu ms: is there a DNS server on this network?",
                   (unsigned long)c->config.step_timeout_ms);
    else if (rc != TEDDY_EDNS)
        check_fail(c, "resolve of no-such-host.invalid says %s, not TEDDY_EDNS", err_name(rc));
}

static void closed_before(struct conformance *c)
{
    size_t n = 0;
    uint8_t byte = 0;
    int rc = tap_port.send(&c->tap, &byte, 1, &n);

    if (rc >= 0)
        check_fail(c, "send without a connection says %s", err_name(rc));
    rc = tap_port.recv(&c->tap, &byte, 1, &n);
    if (rc >= 0)
        check_fail(c, "recv without a connection says %s", err_name(rc));
    hang_up(c);
    hang_up(c);
}

static uint8_t letter(size_t i)
{
    return (uint8_t)('A' + (i + i / 97) % 53);
}

/* Sends as the port takes it and receives as it comes, `cap` bytes at a time. */
static bool mirror(struct conformance *c, size_t piece, size_t cap)
{
    uint64_t end = board_now(c) + 4 * (uint64_t)c->config.step_timeout_ms;
    size_t out = 0, in = 0;

    while (in < MIRROR_LEN && board_now(c) < end) {
        size_t n = 0, len = MIRROR_LEN - out < piece ? MIRROR_LEN - out : piece;
        bool moved = false;
        int rc = TEDDY_AGAIN;
        for (size_t i = 0; i < len; i++)
            c->a[i] = letter(out + i);
        if (len > 0)
            rc = tap_port.send(&c->tap, c->a, len, &n);
        if (rc < 0)
            return check_fail(c, "send says %s after %zu bytes", err_name(rc), out);
        if (rc == TEDDY_OK) {
            out += n;
            moved = true;
        }
        rc = tap_port.recv(&c->tap, c->b, cap, &n);
        if (rc < 0)
            return check_fail(c, "recv says %s after %zu bytes", err_name(rc), in);
        for (size_t i = 0; rc == TEDDY_OK && i < n && i < cap; i++, in++) {
            if (c->b[i] != letter(in))
                return check_fail(
                    c,
                    "byte %zu comes back as 0x%02x, 0x%02x was sent; look at what send "
                    "reports as sent, above all after TEDDY_AGAIN",
                    in, c->b[i], letter(in));
            moved = true;
        }
        if (!moved)
            board_rest(c, 5, TEDDY_WANTS_READ | (out < MIRROR_LEN ? TEDDY_WANTS_WRITE : 0u));
    }
    return in == MIRROR_LEN ||
           check_fail(c,
                      "%zu of %d bytes came back; look at bytes that TLS has already "
                      "decrypted when the socket is quiet",
                      in, MIRROR_LEN);
}

static void mirrors(struct conformance *c)
{
    if (reach(c, "mirror"))
        (void)mirror(c, 1000, 1000);
}

static void mirrors_small(struct conformance *c)
{
    if (reach(c, "mirror") && mirror(c, 1440, 7)) {
        hang_up(c);
        if (reach(c, "mirror"))
            (void)mirror(c, 333, 1440);
    }
}

static void drips(struct conformance *c)
{
    size_t in = 0;

    if (!reach(c, "drip"))
        return;
    if (until_sent(c, (const uint8_t *)"drip", 4) != TEDDY_OK) {
        check_fail(c, "cannot send");
        return;
    }
    while (in < 4) {
        size_t got;
        int rc = until_received(c, c->b, 4, &got);
        if (rc != TEDDY_OK) {
            check_fail(c,
                       "recv says %s after %zu of 4 bytes, each of which comes in pieces of a TLS "
                       "record",
                       err_name(rc), in);
            return;
        }
        in += got;
    }
}

/* Receives "bye" and then the end. */
static void ends(struct conformance *c, const char *fault, bool orderly)
{
    size_t in = 0, got = 0;
    int rc;

    if (!reach(c, fault))
        return;
    while ((rc = until_received(c, c->b, 16, &got)) == TEDDY_OK && in < 16)
        in += got;
    if (in != 3 && (orderly || in > 3))
        check_fail(c, "%zu bytes came before the end, 3 were sent", in);
    else if (rc == TEDDY_ETIMEOUT)
        check_fail(c, "the server is gone, and recv says TEDDY_AGAIN for %lu ms",
                   (unsigned long)c->config.step_timeout_ms);
    else if (orderly && rc != TEDDY_ECLOSED)
        check_fail(c, "after the server's close_notify recv says %s, not TEDDY_ECLOSED",
                   err_name(rc));
    else
        check_pass(c, "%s", err_name(rc));
}

static void ends_orderly(struct conformance *c)
{
    ends(c, "bye", true);
}

static void ends_cut(struct conformance *c)
{
    ends(c, "cut", false);
}

static void ends_reset(struct conformance *c)
{
    ends(c, "reset", false);
}

static void left_early(struct conformance *c)
{
    uint16_t port = desk_port(c, "silent");

    if (port == 0 || until_resolved(c, c->desk_host, c->config.step_timeout_ms) != TEDDY_OK)
        return;
    for (unsigned i = 0; i < 20; i++) {
        (void)tap_port.connect(&c->tap, c->desk_host, port, true);
        board_rest(c, 5, TEDDY_WANTS_READ);
    }
    hang_up(c);
    hang_up(c);
    if (tap_port.resolve(&c->tap, c->desk_host) == TEDDY_AGAIN)
        hang_up(c); /* in the midst of resolving */
    if (reach(c, "mirror"))
        (void)mirror(c, 1000, 1000);
}

/* The longest call of one attempt against a stalled server. */
struct stall {
    enum tap_call call;
    const char *fault;
    bool (*go)(struct conformance *c, uint16_t port);
    const char *advice;
};

static bool stall_connect(struct conformance *c, uint16_t port)
{
    uint64_t end;
    int rc = until_resolved(c, c->desk_host, c->config.step_timeout_ms);

    if (rc != TEDDY_OK)
        return check_fail(c, "resolve of %s says %s", c->desk_host, err_name(rc));
    for (end = board_now(c) + WATCH_MS; board_now(c) < end; board_rest(c, 5, TEDDY_WANTS_READ)) {
        rc = tap_port.connect(&c->tap, c->desk_host, port, true);
        if (rc != TEDDY_AGAIN)
            return check_fail(c, "connect to a server that says nothing says %s", err_name(rc));
    }
    return true;
}

static bool stall_recv(struct conformance *c, uint16_t port)
{
    uint64_t end;
    size_t got;

    (void)port;
    for (end = board_now(c) + WATCH_MS; board_now(c) < end; board_rest(c, 5, TEDDY_WANTS_READ)) {
        int rc = tap_port.recv(&c->tap, c->b, 64, &got);
        if (rc != TEDDY_AGAIN)
            return check_fail(c, "recv from a server that says nothing says %s", err_name(rc));
    }
    return true;
}

static bool stall_send(struct conformance *c, uint16_t port)
{
    uint64_t end;
    size_t total = 0, sent;
    int rc = TEDDY_OK;

    (void)port;
    memset(c->a, 'x', 1000);
    while (total < FLOOD_MAX && (rc = tap_port.send(&c->tap, c->a, 1000, &sent)) == TEDDY_OK)
        total += sent;
    if (rc != TEDDY_AGAIN)
        return check_fail(c,
                          "to a server that does not read, send says %s after %zu bytes, not "
                          "TEDDY_AGAIN",
                          err_name(rc), total);
    for (end = board_now(c) + WATCH_MS; board_now(c) < end; board_rest(c, 5, TEDDY_WANTS_READ)) {
        rc = tap_port.send(&c->tap, c->a, 1000, &sent);
        if (rc < 0)
            return check_fail(c, "send says %s while the server does not read", err_name(rc));
    }
    return true;
}

static void stalls(struct conformance *c, const struct stall *s)
{
    uint64_t least = UINT64_MAX;
    uint16_t port = desk_port(c, s->fault);

    for (unsigned n = 0; port != 0 && n < TRIES && least > c->config.call_max_ms; n++) {
        hang_up(c);
        if (s->call != TAP_CONNECT && !reach(c, s->fault))
            return;
        tap_reset(&c->tap);
        if (!s->go(c, port))
            return;
        if (c->tap.longest_ms[s->call] < least)
            least = c->tap.longest_ms[s->call];
    }
    if (port == 0)
        return;
    if (least > c->config.call_max_ms)
        check_fail(c, "%s held the caller for %lu ms, %lu are allowed; %s", tap_name(s->call),
                   (unsigned long)least, (unsigned long)c->config.call_max_ms, s->advice);
    else
        check_pass(c, "%lu ms at most", (unsigned long)least);
}

static void connect_waits_not(struct conformance *c)
{
    stalls(c, &(struct stall){TAP_CONNECT, "silent", stall_connect,
                              "the socket must be non-blocking before it connects, and each call "
                              "is one step of the handshake"});
}

static void recv_waits_not(struct conformance *c)
{
    stalls(c, &(struct stall){TAP_RECV, "mirror", stall_recv,
                              "nothing there is TEDDY_AGAIN, at once"});
}

static void send_waits_not(struct conformance *c)
{
    stalls(c, &(struct stall){TAP_SEND, "deaf", stall_send, "no room is TEDDY_AGAIN, at once"});
}

static void end_waits_not(struct conformance *c)
{
    uint64_t least = UINT64_MAX;

    for (unsigned n = 0; n < TRIES && least > c->config.call_max_ms; n++) {
        if (!reach(c, "deaf") || !stall_send(c, 0))
            return;
        tap_reset(&c->tap);
        hang_up(c);
        if (c->tap.longest_ms[TAP_DISCONNECT] < least)
            least = c->tap.longest_ms[TAP_DISCONNECT];
    }
    if (least > c->config.call_max_ms)
        check_fail(c,
                   "disconnect from a server that does not read took %lu ms, %lu are allowed; no "
                   "goodbye is worth a wait",
                   (unsigned long)least, (unsigned long)c->config.call_max_ms);
}

const struct check checks_link[] = {
    {"link", "the desk's host is resolved", resolves},
    {"link", "a name that does not exist is TEDDY_EDNS", resolves_not},
    {"link", "without a connection send and recv fail, and disconnect is safe", closed_before},
    {"link", "every byte sent over TLS comes back", mirrors},
    {"link", "every byte comes back through small buffers, and over the next connection",
     mirrors_small},
    {"link", "TLS works when the network brings one byte at a time", drips},
    {"link", "an orderly end is TEDDY_ECLOSED, after the last byte", ends_orderly},
    {"link", "an end without close_notify is noticed", ends_cut},
    {"link", "a reset connection is noticed", ends_reset},
    {"link", "disconnect is safe in mid-handshake, and the next connection works", left_early},
    {"link", "connect does not block while a server stalls", connect_waits_not},
    {"link", "recv does not block while a server is quiet", recv_waits_not},
    {"link", "send does not block while a server does not read", send_waits_not},
    {"link", "disconnect does not block while a server does not read", end_waits_not},
    {0},
};
