/* The JWT keys of the running server: opened with the data directory, changed on the store's writer
 * thread, one change after the other, read by every loop. */
#include <stdio.h>
#include <stdlib.h>

#include "ops/log.h"
#include "teddyd.h"

#define TEND_MS                                                                                    \
    60000 /* also how long a change that could not be written waits for the next try               \
           */

static const struct keys *in_use(const struct server *s)
{
    return keys_now(&s->app.keys);
}

/* An event of each key that came, signs, retired or left between the two lists. */
static int run_tell(struct store_tx *tx, struct store_job *job)
{
    const struct jwt_keys *j = CONTAINER(job, struct jwt_keys, job);
    struct keyring_op op = {.verb = KEYRING_TEND};
    return admin_trail_keys(tx, &op, "server", &j->before, &j->after);
}

/* As the file has them: at time 0, for which time has brought nothing yet. */
static int list_before(struct jwt_keys *j, char *err, size_t cap)
{
    struct keyring_op op = {.verb = KEYRING_LIST};
    struct keys *keys = NULL;
    int rc = keyring_run(j->path, &j->policy, NULL, &op, 0, &keys, err, cap);
    admin_key_list_take(&j->before, keys);
    keys_free(keys);
    return rc;
}

int jwt_keys_open(struct server *s)
{
    const struct config *c = &s->app.config;
    struct jwt_keys *j = &s->jwt_keys;
    struct keyring_op op = {.verb = KEYRING_START};
    struct keys *keys = NULL;
    s->app.policy =
        (struct token_policy){c->jwt_issuer, c->jwt_audience, c->access_ttl_s, c->refresh_ttl_s};
    j->policy =
        (struct keyring_policy){.alg = strcmp(c->jwt_alg, "ES256") == 0 ? JWT_ES256 : JWT_HS256,
                                .refresh_s = c->refresh_ttl_s,
                                .tokens = &s->app.policy};
    snprintf(j->path, sizeof j->path, "%s/" KEYRING_FILE, s->data);
    int rc = list_before(j, s->error, sizeof s->error);
    if (rc == TEDDY_OK)
        rc = keyring_run(j->path, &j->policy, NULL, &op, app_now_s(), &keys, s->error,
                         sizeof s->error);
    atomic_init(&s->app.keys.keys, keys);
    admin_key_list_take(&j->after, keys);
    j->job = (struct store_job){.run = run_tell};
    if (rc == TEDDY_OK && store_write_wait(s->app.store, &j->job) != TEDDY_OK) {
        snprintf(s->error, sizeof s->error, "the audit trail cannot be written; the log says why");
        rc = TEDDY_ESTORE;
    }
    return rc;
}

void jwt_keys_close(struct server *s)
{
    keys_free(atomic_load(&s->app.keys.keys));
}

/* A set that was replaced: a loop may be reading it until it has run a task posted since. */
struct replaced {
    struct keys *keys;
    atomic_uint left;
    struct leaving {
        struct loop_task task;
        struct replaced *of;
    } by_loop[];
};

static void loop_left(struct loop *loop, struct loop_task *task)
{
    struct replaced *r = CONTAINER(task, struct leaving, task)->of;
    (void)loop;
    if (atomic_fetch_sub(&r->left, 1) > 1)
        return;
    keys_free(r->keys);
    free(r);
}

static struct replaced *replaced_new(const struct server *s)
{
    unsigned loops = s->app.loop_count;
    struct replaced *r = calloc(1, sizeof *r + loops * sizeof r->by_loop[0]);
    if (r == NULL)
        return NULL;
    atomic_init(&r->left, loops);
    for (unsigned i = 0; i < loops; i++)
        r->by_loop[i] = (struct leaving){.task = {.run = loop_left}, .of = r};
    return r;
}

static void log_signer(const struct server *s)
{
    struct key_info keys[KEYRING_MAX];
    size_t count = keyring_list(in_use(s), keys);
    for (size_t i = 0; i < count; i++)
        if (keys[i].state == KEY_SIGNING)
            LOG(LOG_INFO, "jwt_keys", LOG_S("signs", keys[i].kid),
                LOG_S("alg", alg_name(keys[i].alg)), LOG_N("keys", count));
}

int jwt_keys_change(void *server, struct keyring_op *op, char *err, size_t cap)
{
    struct server *s = server;
    struct jwt_keys *j = &s->jwt_keys;
    struct replaced *r = replaced_new(s);
    struct keys *after;
    int rc = TEDDY_ENOMEM;
    if (r == NULL)
        snprintf(err, cap, "out of memory");
    else
        rc = keyring_run(j->path, &j->policy, in_use(s), op, app_now_s(), &after, err, cap);
    if (rc != TEDDY_OK) {
        free(r);
        return rc;
    }
    r->keys = atomic_exchange_explicit(&s->app.keys.keys, after, memory_order_acq_rel);
    /* Behind the exchange: a session that began under the key before it is there to be closed, and
     * none begins after it. */
    for (unsigned i = 0; op->closes >= 0 && i < s->app.loop_count; i++)
        hub_post_close_key(s->app.hubs[i], (uint8_t)op->closes, WS_CLOSE_POLICY, "token_revoked");
    for (unsigned i = 0, loops = s->app.loop_count; i < loops; i++)
        loop_post(s->app.loops[i], &r->by_loop[i].task); /* the last one posted may free it */
    log_signer(s);
    return TEDDY_OK;
}

static int run_tend(struct store_tx *tx, struct store_job *job)
{
    struct jwt_keys *j = CONTAINER(job, struct jwt_keys, job);
    struct server *s = CONTAINER(j, struct server, jwt_keys);
    struct keyring_op op = {.verb = KEYRING_TEND};
    char err[ERROR_MAX];
    if (!j->tended) { /* a job that is repeated tells it again, and changes nothing */
        admin_key_list_take(&j->before, in_use(s));
        if (jwt_keys_change(s, &op, err, sizeof err) != TEDDY_OK)
            LOG(LOG_ERROR, "jwt_keys_not_changed", LOG_S("error", err),
                LOG_S("do", "it is tried again within a minute"));
        admin_key_list_take(&j->after, in_use(s));
    }
    j->tended = true;
    return run_tell(tx, job);
}

static void tend_done(struct store_job *job)
{
    struct jwt_keys *j = CONTAINER(job, struct jwt_keys, job);
    loop_post(CONTAINER(j, struct server, jwt_keys)->app.loops[0], &j->task);
}

/* The clock may be set meanwhile, and another change may come: it looks once a minute. */
static void plan(struct server *s, bool again)
{
    uint64_t next_s = keys_next_s(in_use(s)), now_s = app_now_s();
    uint64_t after_ms = TEND_MS;
    if (next_s > now_s && next_s - now_s < TEND_MS / 1000)
        after_ms = (next_s - now_s) * 1000;
    else if (next_s <= now_s && !again)
        after_ms = 0;
    loop_timer_set(s->app.loops[0], &s->jwt_keys.timer, loop_now_ms(s->app.loops[0]) + after_ms);
}

static void tended(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    plan(CONTAINER(CONTAINER(task, struct jwt_keys, task), struct server, jwt_keys), true);
}

static void due(struct loop *loop, struct loop_timer *timer)
{
    struct jwt_keys *j = CONTAINER(timer, struct jwt_keys, timer);
    struct server *s = CONTAINER(j, struct server, jwt_keys);
    (void)loop;
    if (app_now_s() < keys_next_s(in_use(s))) {
        plan(s, false);
        return;
    }
    j->job = (struct store_job){.run = run_tend, .done = tend_done};
    j->tended = false;
    if (store_write(s->app.store, &j->job) != TEDDY_OK)
        plan(s, true);
}

void jwt_keys_start(struct server *s)
{
    s->jwt_keys.timer.fire = due;
    s->jwt_keys.task.run = tended;
    plan(s, false);
}

void jwt_keys_stop(struct server *s)
{
    if (s->jwt_keys.timer.fire != NULL)
        loop_timer_unset(s->app.loops[0], &s->jwt_keys.timer);
}
