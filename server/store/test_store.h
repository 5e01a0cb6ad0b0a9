/* What the store's tests share: a database in a directory of its own, and jobs written as plain
 * functions. */
#ifndef STORE_TEST_STORE_H
#define STORE_TEST_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/erasures.h"
#include "store/seal.h"
#include "store/store.h"
#include "store/talk.h"

struct place {
    char dir[32];
    char path[64];
};

static inline void place_make(struct place *p)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/store-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof p->path, "%s/teddy.db", p->dir);
}

static inline void place_remove(struct place *p)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[80];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", p->path, ends[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/" ERASURES_FILE, p->dir);
    unlink(path);
    assert_int_equal(rmdir(p->dir), 0);
}

/* The same master key for all who give none. */
static inline struct seal_master *test_master(void)
{
    static struct seal_master m = {.key = {{1, 2, 3}}, .count = 1, .from = "the test"};
    return &m;
}

static inline struct store *must_open(const struct store_options *given)
{
    struct store_options with_master = *given, *o = &with_master;
    struct store *s = NULL;
    if (o->master == NULL)
        o->master = test_master();
    char err[512] = "";
    if (store_open(o, &s, err, sizeof err) != TEDDY_OK)
        fail_msg("%s", err);
    return s;
}

/* Runs fn in a write (or read) job and returns its result. */
typedef int in_tx(struct store_tx *tx, void *arg);

struct call_job {
    struct store_job job;
    in_tx *fn;
    void *arg;
};

static inline int call_run(struct store_tx *tx, struct store_job *job)
{
    struct call_job *c = (struct call_job *)job;
    return c->fn(tx, c->arg);
}

static inline int in_write(struct store *s, in_tx *fn, void *arg)
{
    struct call_job c = {.job = {.run = call_run}, .fn = fn, .arg = arg};
    return store_write_wait(s, &c.job);
}

static inline int in_read(struct store *s, in_tx *fn, void *arg)
{
    struct call_job c = {.job = {.run = call_run}, .fn = fn, .arg = arg};
    return store_read_wait(s, &c.job);
}

/* A claim for the child of the family, by its nonce and a MAC that begins with `mac`. */
static inline int claim_by(struct store_tx *tx, const char *device_id, const char *nonce,
                           uint32_t mac, const struct family_row *f, uint64_t now_s)
{
    struct device_row device;
    uint8_t whole[LIMIT_MAC_LEN] = {0};
    memcpy(whole, &mac, sizeof mac);
    int err = store_device_get(tx, device_id, &device);
    return err != TEDDY_OK ? err
                           : store_claim_add(tx, &device,
                                             &(struct claim_row){.nonce = nonce,
                                                                 .mac = whole,
                                                                 .family = f,
                                                                 .firmware = "",
                                                                 .timestamp = "",
                                                                 .now_s = now_s});
}

static inline int claim_seen(struct store_tx *tx, const char *device_id, const char *nonce,
                             uint32_t mac, bool *seen)
{
    struct device_row device;
    uint8_t whole[LIMIT_MAC_LEN] = {0};
    memcpy(whole, &mac, sizeof mac);
    int err = store_device_get(tx, device_id, &device);
    return err != TEDDY_OK ? err : store_claim_seen(tx, &device, nonce, whole, seen);
}

/* A fresh claim of the device for the child, by a family whose sid is n's. */
static inline int bind_child(struct store_tx *tx, const char *device_id, const char *child,
                             uint8_t n, uint64_t now_s)
{
    static uint32_t count = 1000000;
    char nonce[32];
    struct family_row f = {.pair = {.iat_s = 10, .access_exp_s = 20, .refresh_exp_s = 30u + n}};
    snprintf(nonce, sizeof nonce, "bound-%u", (unsigned)++count);
    memset(f.sid, n, sizeof f.sid);
    memset(f.pair.access_jti, n + 1, sizeof f.pair.access_jti);
    memset(f.pair.refresh_jti, n + 2, sizeof f.pair.refresh_jti);
    snprintf(f.child_id, sizeof f.child_id, "%s", child);
    return claim_by(tx, device_id, nonce, count, &f, now_s);
}

/* What conversations leave: something in each of their tables, as of second 90. */
static inline void talk_with(struct store_tx *tx, const char *device, const char *child)
{
    struct talk_pair pair;
    struct profile_row p;
    struct span words = {"words of theirs", 15};
    struct talk_turn turn = {.at_s = 90, .heard = words, .said = words};
    assert_int_equal(store_profile_get(tx, device, child, &pair, &p), TEDDY_OK);
    assert_int_equal(store_profile_put(tx, &pair, child, &p, 90), TEDDY_OK);
    assert_int_equal(store_turn_add(tx, &pair, child, &turn, &(struct talk_bounds){9, 900}),
                     TEDDY_OK);
    assert_int_equal(store_played_add(tx, &pair, child, 0, 60), TEDDY_OK);
    assert_int_equal(store_blocked_add(tx, &pair, child, 0, "other"), TEDDY_OK);
    assert_int_equal(store_blocked_words_add(tx, &pair, child, "other", words, 90), TEDDY_OK);
    assert_int_equal(store_alert_add(tx, &pair, child,
                                     &(struct alert_new){"other", words, 90, 0, 90},
                                     &(enum alert_fate){ALERT_DROPPED}),
                     TEDDY_OK);
}

/* A secret that is n's alone. */
static inline void secret_of(unsigned n, uint8_t secret[LIMIT_SECRET_LEN])
{
    memset(secret, 0x5a, LIMIT_SECRET_LEN);
    memcpy(secret, &n, sizeof n);
}

#endif
