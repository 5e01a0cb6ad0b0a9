#include "ops/refusals.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ops/metrics.h"

/* The top byte of a block. */
enum { BLOCK_OTHER, BLOCK_LOCAL, BLOCK_SESSION, BLOCK_V4, BLOCK_V6, BLOCK_ALL };

struct table {
    _Alignas(64) pthread_mutex_t lock; /* the loop's and, once a minute, the collector's */
    struct refusals refusals;
};

static struct table tables[METRIC_LOOPS_MAX] = {
    [0 ... METRIC_LOOPS_MAX - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};

static uint64_t block_of(unsigned kind, const uint8_t *bytes, unsigned len)
{
    uint64_t block = (uint64_t)kind << 56;
    for (unsigned i = 0; i < len; i++)
        block |= (uint64_t)bytes[i] << (48 - 8 * i);
    return block;
}

uint64_t refusal_block(const struct sockaddr_storage *client)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)client;
    if (client == NULL)
        return block_of(BLOCK_SESSION, NULL, 0);
    if (client->ss_family == AF_INET)
        return block_of(BLOCK_V4, (const uint8_t *)&((const struct sockaddr_in *)client)->sin_addr,
                        3);
    if (client->ss_family != AF_INET6)
        return block_of(BLOCK_LOCAL, NULL, 0);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return block_of(BLOCK_V4, (const uint8_t *)&in6->sin6_addr + 12, 3);
    return block_of(BLOCK_V6, (const uint8_t *)&in6->sin6_addr, 6);
}

void refusal_block_text(uint64_t block, char out[REFUSALS_BLOCK_LEN])
{
    static const char *const names[] = {
        [BLOCK_OTHER] = "other", [BLOCK_LOCAL] = "local", [BLOCK_SESSION] = "session"};
    uint8_t address[16] = {0};
    char text[INET6_ADDRSTRLEN];
    unsigned kind = (unsigned)(block >> 56);

    for (unsigned i = 0; i < 6; i++)
        address[i] = (uint8_t)(block >> (48 - 8 * i));
    if (kind < BLOCK_V4)
        (void)snprintf(out, REFUSALS_BLOCK_LEN, "%s", names[kind]);
    else if (kind == BLOCK_ALL)
        (void)snprintf(out, REFUSALS_BLOCK_LEN, "all");
    else if (inet_ntop(kind == BLOCK_V4 ? AF_INET : AF_INET6, address, text, sizeof text) != NULL)
        (void)snprintf(out, REFUSALS_BLOCK_LEN, "%s/%s", text, kind == BLOCK_V4 ? "24" : "48");
}

static struct refusal *find(struct refusals *t, const struct refusal *r)
{
    for (unsigned i = 0; i < t->count; i++) {
        struct refusal *e = &t->entry[i];
        if (e->block == r->block && e->minute == r->minute && strcmp(e->reason, r->reason) == 0 &&
            strcmp(e->event, r->event) == 0 && strcmp(e->actor, r->actor) == 0)
            return e;
    }
    return NULL;
}

void refusals_add(struct refusals *to, const struct refusal *r)
{
    struct refusal want = *r;
    struct refusal *e = find(to, &want);

    if (e == NULL && want.block != BLOCK_OTHER && to->blocks == REFUSALS_BLOCKS) {
        want.block = BLOCK_OTHER; /* strangers make blocks, and no actors: who is known stays so */
        e = find(to, &want);
    }
    /* There are fewer reasons than that in a minute. Should there be more, as while the store
     * fails, the last entry says of the rest what is true of all of it: how many. */
    if (e == NULL && to->count >= REFUSALS_MAX - 1) {
        want = (struct refusal){"refusals.left_out", "other", "", 0, r->minute, r->count};
        e = to->count == REFUSALS_MAX ? &to->entry[REFUSALS_MAX - 1] : NULL;
    }
    if (e != NULL) {
        e->count += want.count;
        return;
    }
    to->blocks += want.block != BLOCK_OTHER;
    to->entry[to->count++] = want;
}

void refusal_count(unsigned loop, const char *event, const char *reason,
                   const struct sockaddr_storage *client)
{
    refusal_count_by(loop, event, reason, "", refusal_block(client));
}

void refusal_count_by(unsigned loop, const char *event, const char *reason, const char *actor,
                      uint64_t block)
{
    struct table *t = &tables[loop % METRIC_LOOPS_MAX];
    metric_refused(loop, event, reason);
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    struct refusal r = {.event = event,
                        .reason = reason,
                        .block = block,
                        .minute = (uint64_t)now.tv_sec / 60,
                        .count = 1};
    (void)snprintf(r.actor, sizeof r.actor, "%s", actor);
    pthread_mutex_lock(&t->lock);
    refusals_add(&t->refusals, &r);
    pthread_mutex_unlock(&t->lock);
}

static void collect(struct refusals *from, struct refusals *into, uint64_t minute)
{
    unsigned kept = 0;

    from->blocks = 0;
    for (unsigned i = 0; i < from->count; i++) {
        if (from->entry[i].minute != minute) { /* or of one to come: the clock was set back */
            refusals_add(into, &from->entry[i]);
            continue;
        }
        from->blocks += from->entry[i].block != BLOCK_OTHER;
        from->entry[kept++] = from->entry[i];
    }
    from->count = kept;
}

void refusals_collect(struct refusals *into, uint64_t minute)
{
    for (unsigned i = 0; i < METRIC_LOOPS_MAX; i++) {
        pthread_mutex_lock(&tables[i].lock);
        collect(&tables[i].refusals, into, minute);
        pthread_mutex_unlock(&tables[i].lock);
    }
}
