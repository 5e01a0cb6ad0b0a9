/* What needs no network: randomness, the two digests, the clock. */
#include <stdio.h>
#include <string.h>

#include "parts.h"

#define DIGEST_MS 5000
#define TRIES     3 /* a machine may be busy; a call that blocks does so each time */

static int until_hmac(struct conformance *c, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    uint64_t end = board_now(c) + DIGEST_MS;
    int rc;

    while ((rc = tap_port.hmac_sha256(&c->tap, msg, len, mac)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, 1, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

static int until_sha1(struct conformance *c, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    uint64_t end = board_now(c) + DIGEST_MS;
    int rc;

    while ((rc = tap_port.sha1(&c->tap, msg, len, digest)) == TEDDY_AGAIN && board_now(c) < end)
        board_rest(c, 1, TEDDY_WANTS_READ);
    return rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc;
}

static bool fill_random(struct conformance *c, uint8_t *out, size_t len)
{
    int rc = tap_port.random(&c->tap, out, len);

    return rc == TEDDY_OK || check_fail(c, "random said %s for %zu bytes", err_name(rc), len);
}

static void random_varies(struct conformance *c)
{
    bool seen[256] = {false};
    unsigned bits = 0, values = 0;

    memset(c->a, 0, 256);
    if (!fill_random(c, c->a, 256))
        return;
    for (size_t i = 0; i < 256; i++) {
        values += !seen[c->a[i]];
        seen[c->a[i]] = true;
        for (unsigned b = c->a[i]; b != 0; b >>= 1)
            bits += b & 1;
    }
    /* 1024 and 162 on average; chance leaves these bounds once in many billion runs. */
    if (bits < 870 || bits > 1178 || values < 120)
        check_fail(
            c,
            "256 bytes hold %u different values and %u of 2048 bits set; look at the generator: "
            "is it seeded, does it fill the whole buffer?",
            values, bits);
}

static void random_fills(struct conformance *c)
{
    /* Every byte of a short request must change within a few, and none behind it ever. */
    for (size_t len = 1; len <= 33; len += 4) {
        unsigned changed = 0;
        bool all = false;
        for (unsigned i = 0; i < 16 && !all; i++) {
            memset(c->a, 0x5a, 40);
            if (!fill_random(c, c->a, len))
                return;
            for (size_t k = len; k < 40; k++) {
                if (c->a[k] != 0x5a) {
                    check_fail(c, "asked for %zu bytes, random wrote byte %zu too", len, k);
                    return;
                }
            }
            changed |= c->a[len - 1] != 0x5a;
            all = changed != 0;
        }
        if (!all) {
            check_fail(c, "asked for %zu bytes, random leaves the last one as it was", len);
            return;
        }
    }
}

static void random_fresh(struct conformance *c)
{
    if (!fill_random(c, c->a, 32) || !fill_random(c, c->b, 32))
        return;
    if (memcmp(c->a, c->b, 32) == 0) {
        check_fail(c, "two calls gave the same 32 bytes");
        return;
    }
    if (!board_reboot(c) || !fill_random(c, c->b, 32))
        return;
    if (!board_reboot(c) || !fill_random(c, c->a, 32))
        return;
    if (memcmp(c->a, c->b, 32) == 0)
        check_fail(
            c, "two boots began with the same 32 bytes: the generator's seed is not random, and "
               "so neither would nonces or TLS keys be");
}

struct hmac_vector {
    const char *nonce;
    bool decoded;
    const char *mac;
};

static const struct hmac_vector hmac_vectors[] = {
    {"random_nonce", false, "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f3"},
    {"1763683200000000", false, "b05358d9e1139cd670a2896cb36916d2988cdf10adde24f260f116d674fc2268"},
    {"000102030405060708090a0b0c0d0e0f", false,
     "d93a9301bd3a3e7213319733f2d31753d1d04e8d34a92f3b3a4d352a64833ec8"},
    {"000102030405060708090a0b0c0d0e0f", true,
     "76865309683ac175b923f83037d6dba866e364ab7198ca987b42457ac404c787"},
};

static void hex(char *out, const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", in[i]);
}

static size_t hmac_message(const struct hmac_vector *v, uint8_t *out)
{
    size_t len = strlen(CONFORMANCE_DEVICE CONFORMANCE_CHILD);

    memcpy(out, CONFORMANCE_DEVICE CONFORMANCE_CHILD, len);
    if (v->decoded) {
        for (uint8_t i = 0; i < 16; i++)
            out[len++] = i; /* the nonce of the vectors that is hex digits */
    } else {
        memcpy(out + len, v->nonce, strlen(v->nonce));
        len += strlen(v->nonce);
    }
    return len;
}

static void hmac_signs(struct conformance *c)
{
    for (size_t i = 0; i < sizeof hmac_vectors / sizeof hmac_vectors[0]; i++) {
        const struct hmac_vector *v = &hmac_vectors[i];
        uint8_t mac[33] = {[32] = 0x5a};
        char text[65];
        int rc = until_hmac(c, c->a, hmac_message(v, c->a), mac);
        if (rc != TEDDY_OK) {
            check_fail(c, "hmac_sha256 said %s; is the vectors' secret stored on this board?",
                       err_name(rc));
            return;
        }
        hex(text, mac, 32);
        if (strcmp(text, v->mac) != 0 || mac[32] != 0x5a) {
            check_fail(
                c,
                "for nonce %s%s it gives %s, not %s; is the vectors' secret stored on this board, "
                "as 32 bytes and not as 64 digits?",
                v->nonce, v->decoded ? " (decoded)" : "", text, v->mac);
            return;
        }
    }
}

struct sha1_vector {
    const char *text, *digest;
};

static const struct sha1_vector sha1_vectors[] = {
    {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
     "b37a4f2cc0624f1690f64606cf385945b2bec4ea"}, /* RFC 6455 section 1.3 */
};

static void sha1_digests(struct conformance *c)
{
    for (size_t i = 0; i < sizeof sha1_vectors / sizeof sha1_vectors[0]; i++) {
        const struct sha1_vector *v = &sha1_vectors[i];
        uint8_t digest[21] = {[20] = 0x5a};
        char text[41];
        int rc = until_sha1(c, (const uint8_t *)v->text, strlen(v->text), digest);
        if (rc != TEDDY_OK) {
            check_fail(c, "sha1 said %s", err_name(rc));
            return;
        }
        hex(text, digest, 20);
        if (strcmp(text, v->digest) != 0 || digest[20] != 0x5a) {
            check_fail(c, "of \"%s\" it gives %s, not %s", v->text, text, v->digest);
            return;
        }
    }
}

static void quick(struct conformance *c)
{
    static const enum tap_call calls[] = {TAP_RANDOM, TAP_HMAC, TAP_SHA1, TAP_WALL_TIME};
    uint8_t out[32];

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        uint64_t least = UINT64_MAX;
        for (unsigned n = 0; n < TRIES && least > c->config.call_max_ms; n++) {
            tap_reset(&c->tap);
            (void)tap_port.random(&c->tap, out, sizeof out);
            (void)until_hmac(c, c->a, 160, out);
            (void)until_sha1(c, c->a, 60, out);
            (void)tap_port.wall_time(&c->tap);
            if (c->tap.longest_ms[calls[i]] < least)
                least = c->tap.longest_ms[calls[i]];
        }
        if (least > c->config.call_max_ms) {
            check_fail(c,
                       "%s takes %lu ms, %lu are allowed; return TEDDY_AGAIN while another task "
                       "computes",
                       tap_name(calls[i]), (unsigned long)least,
                       (unsigned long)c->config.call_max_ms);
            return;
        }
    }
}

static void clock_believes(struct conformance *c)
{
    uint64_t at = tap_port.wall_time(&c->tap);

    /* 2025-01-01: before any firmware with this SDK was built. */
    if (at < UINT64_C(1735689600))
        check_fail(
            c,
            "wall_time says %lu s since 1970: certificates would be judged by a clock of the "
            "past; it is the latest of build time, stored time and SNTP",
            (unsigned long)at);
}

const struct check checks_machine[] = {
    {"machine", "random bytes are random", random_varies},
    {"machine", "random fills what was asked for, and no more", random_fills},
    {"machine", "random bytes differ from call to call and from boot to boot", random_fresh},
    {"machine", "hmac_sha256 signs as the published vectors say", hmac_signs},
    {"machine", "sha1 digests as RFC 6455 needs it", sha1_digests},
    {"machine", "none of these calls blocks", quick},
    {"machine", "wall_time is no earlier than this firmware", clock_believes},
    {0},
};
