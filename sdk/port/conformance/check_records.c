/* The records: what is saved is there after a power cut, whole, and nothing else is. */
#include <string.h>

#include "parts.h"

#define TRIES 3

static const enum teddy_record both[TEDDY_RECORDS] = {TEDDY_RECORD_TOKENS, TEDDY_RECORD_LAST};

static const char *record_name(enum teddy_record r)
{
    return r == TEDDY_RECORD_TOKENS ? "TEDDY_RECORD_TOKENS" : "TEDDY_RECORD_LAST";
}

/* Bytes that differ by record, length and place. */
static void pattern(uint8_t *out, size_t len, enum teddy_record r)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 7 + len + 101 * (size_t)r + (i >> 8));
}

static bool erase(struct conformance *c)
{
    int rc = until_erased(c);

    return rc == TEDDY_OK || check_fail(c, "erase said %s", err_name(rc));
}

static bool save(struct conformance *c, enum teddy_record r, size_t len)
{
    int rc;

    pattern(c->a, len, r);
    rc = until_saved(c, r, c->a, len);
    return rc == TEDDY_OK ||
           check_fail(c, "save of %s, %zu bytes, said %s", record_name(r), len, err_name(rc));
}

static bool holds(struct conformance *c, enum teddy_record r, size_t len)
{
    size_t got = 0;
    int rc;

    memset(c->b, 0x5a, sizeof c->b);
    rc = until_loaded(c, r, c->b, TEDDY_RECORD_MAX, &got);
    pattern(c->a, len, r);
    if (rc != TEDDY_OK)
        return check_fail(c, "%s of %zu bytes was saved, load says %s", record_name(r), len,
                          err_name(rc));
    if (got != len)
        return check_fail(c, "%s: %zu bytes were saved, load gives %zu", record_name(r), len, got);
    if (memcmp(c->a, c->b, len) != 0)
        return check_fail(c, "%s, %zu bytes: load gives other bytes than were saved",
                          record_name(r), len);
    return true;
}

static bool absent(struct conformance *c, enum teddy_record r, const char *when)
{
    size_t got = 0;
    int rc = until_loaded(c, r, c->b, TEDDY_RECORD_MAX, &got);

    return rc == TEDDY_ENOTFOUND || check_fail(c, "%s, load of %s says %s, not TEDDY_ENOTFOUND",
                                               when, record_name(r), err_name(rc));
}

static void none(struct conformance *c)
{
    if (!erase(c))
        return;
    for (size_t i = 0; i < TEDDY_RECORDS; i++) {
        if (!absent(c, both[i], "after erase"))
            return;
    }
    /* And erasing nothing is no error. */
    (void)erase(c);
}

static void sizes(struct conformance *c)
{
    static const size_t lengths[] = {1,   2,   15,  16,  17,  25,  31,  32,   33,   64,   127,
                                     128, 255, 256, 257, 511, 512, 600, 1000, 1024, 1439, 1440};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t k = 0; k < TEDDY_RECORDS; k++) {
            if (lengths[i] > TEDDY_RECORD_MAX)
                continue;
            if (!save(c, both[k], lengths[i]) || !holds(c, both[k], lengths[i]))
                return;
        }
    }
    (void)(save(c, TEDDY_RECORD_TOKENS, TEDDY_RECORD_MAX) &&
           holds(c, TEDDY_RECORD_TOKENS, TEDDY_RECORD_MAX));
}

static void shorter(struct conformance *c)
{
    (void)(save(c, TEDDY_RECORD_TOKENS, TEDDY_RECORD_MAX) && save(c, TEDDY_RECORD_TOKENS, 25) &&
           holds(c, TEDDY_RECORD_TOKENS, 25));
}

static void independent(struct conformance *c)
{
    if (!erase(c) || !save(c, TEDDY_RECORD_TOKENS, 700) ||
        !absent(c, TEDDY_RECORD_LAST, "with the other record saved"))
        return;
    (void)(save(c, TEDDY_RECORD_LAST, 25) && holds(c, TEDDY_RECORD_TOKENS, 700) &&
           save(c, TEDDY_RECORD_TOKENS, 900) && holds(c, TEDDY_RECORD_LAST, 25) &&
           holds(c, TEDDY_RECORD_TOKENS, 900));
}

static void kept(struct conformance *c)
{
    (void)(save(c, TEDDY_RECORD_TOKENS, TEDDY_RECORD_MAX) && save(c, TEDDY_RECORD_LAST, 25) &&
           board_reboot(c) && holds(c, TEDDY_RECORD_TOKENS, TEDDY_RECORD_MAX) &&
           holds(c, TEDDY_RECORD_LAST, 25));
}

static void erased(struct conformance *c)
{
    (void)(save(c, TEDDY_RECORD_TOKENS, 700) && save(c, TEDDY_RECORD_LAST, 25) && erase(c) &&
           absent(c, TEDDY_RECORD_TOKENS, "after erase") &&
           absent(c, TEDDY_RECORD_LAST, "after erase") && board_reboot(c) &&
           absent(c, TEDDY_RECORD_TOKENS, "after erase and a reboot") &&
           absent(c, TEDDY_RECORD_LAST, "after erase and a reboot"));
}

static void bounded(struct conformance *c)
{
    size_t got = 0;
    int rc;

    if (!save(c, TEDDY_RECORD_TOKENS, 700))
        return;
    memset(c->b, 0x5a, sizeof c->b);
    rc = until_loaded(c, TEDDY_RECORD_TOKENS, c->b, 64, &got);
    if (rc == TEDDY_OK)
        check_fail(c, "load of 700 bytes into 64 says OK");
    for (size_t i = 64; i < sizeof c->b; i++) {
        if (c->b[i] != 0x5a) {
            check_fail(c, "load was given 64 bytes of room and wrote byte %zu", i);
            return;
        }
    }
}

static void damaged(struct conformance *c)
{
    size_t got = 0;
    int rc;

    if (c->config.board->damage == NULL) {
        check_skip(c, "the board has no damage; do it by hand once: docs/porting.md");
        return;
    }
    if (!save(c, TEDDY_RECORD_TOKENS, 700) || !save(c, TEDDY_RECORD_LAST, 25))
        return;
    if (!c->config.board->damage(c->config.board_ctx, c->tap.ctx, TEDDY_RECORD_TOKENS)) {
        check_skip(c, "the board could not spoil the stored record");
        return;
    }
    rc = until_loaded(c, TEDDY_RECORD_TOKENS, c->b, TEDDY_RECORD_MAX, &got);
    if (rc != TEDDY_EAUTH)
        check_fail(c,
                   "with one bit of it flipped, load says %s, not TEDDY_EAUTH: the record is not "
                   "sealed",
                   err_name(rc));
    else if (holds(c, TEDDY_RECORD_LAST, 25) && save(c, TEDDY_RECORD_TOKENS, 700))
        (void)holds(c, TEDDY_RECORD_TOKENS, 700);
}

static void quick(struct conformance *c)
{
    static const enum tap_call calls[] = {TAP_SAVE, TAP_LOAD, TAP_ERASE};

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        uint64_t least = UINT64_MAX;
        for (unsigned n = 0; n < TRIES && least > c->config.call_max_ms; n++) {
            size_t len = 0;
            tap_reset(&c->tap);
            pattern(c->a, TEDDY_RECORD_MAX, TEDDY_RECORD_TOKENS);
            (void)until_saved(c, TEDDY_RECORD_TOKENS, c->a, TEDDY_RECORD_MAX);
            (void)until_loaded(c, TEDDY_RECORD_TOKENS, c->b, TEDDY_RECORD_MAX, &len);
            (void)until_erased(c);
            if (c->tap.longest_ms[calls[i]] < least)
                least = c->tap.longest_ms[calls[i]];
        }
        if (least > c->config.call_max_ms) {
            check_fail(
                c, "%s takes %lu ms, %lu are allowed; return TEDDY_AGAIN while the flash works",
                tap_name(calls[i]), (unsigned long)least, (unsigned long)c->config.call_max_ms);
            return;
        }
    }
}

const struct check checks_records[] = {
    {"records", "a record that is not there is TEDDY_ENOTFOUND", none},
    {"records", "records of 1 to TEDDY_RECORD_MAX bytes come back as they were saved", sizes},
    {"records", "a shorter record replaces a longer one whole", shorter},
    {"records", "the two records do not touch each other", independent},
    {"records", "both survive a reboot", kept},
    {"records", "erase erases both for good", erased},
    {"records", "load writes no further than its buffer", bounded},
    {"records", "a damaged record is TEDDY_EAUTH, and the other one stays", damaged},
    {"records", "none of these calls blocks", quick},
    {0},
};
