/* The sessions of one loop: who there is, by id and by device; takeover, revocation, drain. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "net/slab.h"
#include "ops/log.h"
#include "ops/metrics.h"
#include "proto/text.h"
#include "session/internal.h"

#define BUCKETS_MIN 64u

/* A silent session's own part; it grows only on purpose (docs/performance.md). With names of 36
 * bytes, terminators and address included, it takes 168. */
_Static_assert(sizeof(void *) != 8 || offsetof(struct session, ids) <= 128, "a session has grown");

struct hub *hubs[METRIC_LOOPS_MAX];

static bool random_u64(uint64_t *out)
{
    return getrandom(out, sizeof *out, 0) == (ssize_t)sizeof *out;
}

int hub_new(struct loop *loop, const struct session_config *config, struct hub **out)
{
    *out = NULL;
    if (loop_index(loop) >= METRIC_LOOPS_MAX)
        return TEDDY_EINVAL;
    struct hub *h = calloc(1, sizeof *h);
    if (!h)
        return TEDDY_ENOMEM;
    h->loop = loop;
    h->config = config;
    h->bucket_count = BUCKETS_MIN;
    /* Each byte of an utterance, or of a message to a toy, takes six at its worst, and around it
     * stand an id and a few words.
     */
    uint32_t longest =
        config->utterance_max > config->downlink_max ? config->utterance_max : config->downlink_max;
    h->out_cap = 6u * (size_t)(longest + LIMIT_UTTERANCE_ID) + 2048;
    h->buckets = calloc(h->bucket_count, sizeof(struct session *));
    h->out = malloc(h->out_cap);
    if (!h->buckets || !h->out || !random_u64(&h->seed) || !random_u64(&h->registered)) {
        hub_free(h);
        return TEDDY_ENOMEM;
    }
    if (config->store) {
        h->history = history_new(loop, config->store, &config->telemetry);
        if (!h->history) {
            hub_free(h);
            return TEDDY_ENOMEM;
        }
    }
    recent_init(&h->recent, h->seed, RECENT_BYTES_MAX);
    hubs[loop_index(loop)] = h;
    *out = h;
    return TEDDY_OK;
}

struct hub *hub_of(const struct loop *loop)
{
    return hubs[loop_index(loop)];
}

static uint32_t device_hash(const char *device, uint64_t seed)
{
    uint64_t h = 14695981039346656037u ^ seed; /* FNV-1a */
    for (; *device; device++)
        h = (h ^ (uint8_t)*device) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

unsigned hub_index(const char *device_id, unsigned loops)
{
    return loops ? device_hash(device_id, 0) % loops : 0;
}

static struct session **bucket_of(const struct hub *h, uint64_t id)
{
    return &h->buckets[id & (h->bucket_count - 1)];
}

static struct session **device_bucket(const struct hub *h, const char *device)
{
    return bucket_of(h, device_hash(device, h->seed));
}

static void enlist(struct hub *h, struct session *s)
{
    struct session **bucket = bucket_of(h, s->id);
    s->next = *bucket;
    *bucket = s;
}

static void delist(struct hub *h, struct session *s)
{
    struct session **at = bucket_of(h, s->id);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

/* Twice the buckets once there are two sessions to each; when there is no memory it stays as it is.
 */
static void grow(struct hub *h)
{
    unsigned old_count = h->bucket_count, count = old_count * 2;
    struct session **old = h->buckets, **buckets = calloc(count, sizeof(struct session *));
    if (!buckets)
        return;
    h->buckets = buckets;
    h->bucket_count = count;
    for (unsigned i = 0; i < old_count; i++)
        for (struct session *s = old[i], *next; s; s = next) {
            next = s->next;
            enlist(h, s);
        }
    free(old);
}

struct session *hub_find(const struct hub *h, uint64_t id)
{
    struct session *s = *bucket_of(h, id);
    while (s && s->id != id)
        s = s->next;
    return s;
}

void session_id_text(uint64_t id, char out[17])
{
    snprintf(out, 17, "%014llx", (unsigned long long)id);
}

/* The device's hash, so that one table finds a session by either, and above it a count. Both begin
 * at random, so that no two sessions share an id across restarts; together they stay within what a
 * JSON number holds exactly. */
static uint64_t new_id(struct hub *h, const char *device)
{
    uint64_t id;
    do
        id = (h->registered++ & 0x1FFFFF) << 32 | device_hash(device, h->seed);
    while (id == 0 || hub_find(h, id));
    return id;
}

static const void *address_bytes(const struct sockaddr_storage *a, size_t *len)
{
    *len = 0;
    if (a && a->ss_family == AF_INET) {
        *len = 4;
        return &((const struct sockaddr_in *)a)->sin_addr;
    }
    if (a && a->ss_family == AF_INET6) {
        *len = 16;
        return &((const struct sockaddr_in6 *)a)->sin6_addr;
    }
    return NULL;
}

static struct session *session_new(struct hub *h, const struct session_owner *owner)
{
    size_t device = strlen(owner->device_id) + 1, child = strlen(owner->child_id) + 1, client;
    const void *address = address_bytes(owner->client, &client);
    struct session *s = slab_new(session_size(device - 1, child - 1, client));
    if (!s)
        return NULL;
    memcpy(s->ids, owner->device_id, device);
    memcpy(s->ids + device, owner->child_id, child);
    if (client)
        memcpy(s->ids + device + child, address, client);
    s->client = client == 4 ? CLIENT_IPV4 : client == 16 ? CLIENT_IPV6 : CLIENT_UNKNOWN;
    memcpy(s->sid, owner->sid, sizeof s->sid);
    s->child_at = (uint8_t)device;
    s->id = new_id(h, owner->device_id);
    s->loop = (uint8_t)loop_index(h->loop);
    s->key = owner->key & 63u;
    session_set_exp(s, owner->exp_s);
    return s;
}

uint64_t session_register(struct hub *hub, const struct session_owner *owner)
{
    if (hub->count >= 2 * hub->bucket_count)
        grow(hub);
    struct session *s = session_new(hub, owner);
    if (!s)
        return 0;
    enlist(hub, s);
    hub->count++;
    return s->id;
}

void hub_forget(struct session *s)
{
    struct hub *h = session_hub(s);
    delist(h, s);
    h->count--;
    session_free(s);
}

/* Counts how often the device's sessions replace each other; the count goes on from one to the
 * next. */
static void count_replacement(struct session *s, const struct session *old)
{
    uint32_t now = (uint32_t)session_now(s);
    bool run = old->replaced && now - old->replaced_ms <= CLONED_WINDOW_MS;
    unsigned replaced = run ? old->replaced + 1u : 1;
    s->replaced_ms = run ? old->replaced_ms : now;
    s->replaced = (replaced % CLONED_REPLACEMENTS) & 3; /* tell again after as many more */
    if (replaced < CLONED_REPLACEMENTS)
        return;
    metric_add(loop_index(session_hub(s)->loop), METRIC_DEVICE_CLONED, 1);
    LOG(LOG_WARN, "device_cloned", LOG_S("device", session_device(s)),
        LOG_N("replacements", CLONED_REPLACEMENTS), LOG_N("within_s", CLONED_WINDOW_MS / 1000));
}

static void take_over(struct session *s)
{
    struct session *old = *device_bucket(session_hub(s), session_device(s));
    for (; old; old = old->next) {
        if (old == s || old->state != SESSION_LIVE ||
            strcmp(session_device(old), session_device(s)) != 0)
            continue;
        count_replacement(s, old);
        session_close(old, WS_CLOSE_REPLACED, "replaced", false);
    }
}

void session_start(struct hub *hub, uint64_t session_id, struct conn *conn)
{
    struct session *s = hub_find(hub, session_id);
    if (!s || s->state != SESSION_REGISTERED) {
        conn_abort(conn);
        return;
    }
    if (!s->close_code && hub->drain_word) {
        s->close_code = hub->drain_code;
        s->close_word = hub->drain_word;
    }
    if (s->close_code) {
        char reason[LIMIT_CLOSE_REASON + 1];
        session_reason(hub->config, s->close_word, s->close_word == hub->drain_word, reason,
                       sizeof reason);
        metric_add(loop_index(hub->loop), METRIC_UPGRADES_REFUSED, 1);
        session_refuse(hub, conn, s->close_code, reason);
        hub_forget(s);
        return;
    }
    take_over(s);
    session_go_live(s, conn);
}

void session_unregister(struct hub *hub, uint64_t session_id)
{
    struct session *s = hub_find(hub, session_id);
    if (s && s->state == SESSION_REGISTERED)
        hub_forget(s);
}

static size_t refused_data(struct conn *c, uint8_t *data, size_t len)
{
    (void)c;
    (void)data;
    return len;
}

static void refused_closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
}

void session_refuse(struct hub *hub, struct conn *conn, uint16_t code, const char *reason)
{
    static const struct conn_handler REFUSED = {refused_data, NULL, NULL, refused_closed};
    struct wsio ws; /* needed only until the close frame is on its way */
    (void)hub;
    conn_set_handler(conn, &REFUSED, NULL);
    wsio_init(&ws, conn);
    wsio_fail(&ws, code, reason);
}

void session_refreshed(struct hub *hub, uint64_t session_id, const char *access,
                       const char *refresh, uint32_t expires_in, uint64_t exp_s,
                       const char *error_code, uint16_t close_code)
{
    struct session *s = hub_find(hub, session_id);
    if (!s || s->state != SESSION_LIVE)
        return;
    s->refreshing = false;
    if (error_code && close_code) {
        session_close(s, close_code, error_code, false);
    } else if (error_code) {
        send_error(s, 0, (struct span){"", 0}, error_code, "The refresh was refused.");
    } else {
        session_set_exp(s, exp_s);
        send_tokens(s, access, refresh, expires_in);
    }
    session_rearm(s);
}

void session_set_key(struct hub *hub, uint64_t session_id, uint8_t key)
{
    struct session *s = hub_find(hub, session_id);
    if (s)
        s->key = key & 63u;
}

void session_close_device(struct hub *hub, const char *device_id, const uint8_t *keep_sid,
                          uint16_t code, const char *word)
{
    struct session *s = *device_bucket(hub, device_id);
    for (; s; s = s->next) {
        if (strcmp(session_device(s), device_id) != 0 ||
            (keep_sid && ct_equal(s->sid, keep_sid, sizeof s->sid)))
            continue;
        session_close(s, code, word, false);
    }
    if (keep_sid)
        return;
    recent_drop(&hub->recent, device_id); /* nothing of its child's words stays behind */
    if (hub->history)
        history_forget(hub->history, device_id, NULL);
}

struct closing {
    struct loop_task task;
    struct hub *hub;
    const char *word;
    uint16_t code;
    bool keep;
    uint8_t keep_sid[STORE_JTI_LEN];
    char device_id[LIMIT_ID_LEN + 1]; /* "": all of the child, or whose token this key signed */
    char child_id[LIMIT_ID_LEN + 1];
    uint8_t key;
};

static void close_child(struct hub *hub, const char *child_id, uint16_t code, const char *word)
{
    for (unsigned i = 0; i < hub->bucket_count; i++)
        for (struct session *s = hub->buckets[i]; s; s = s->next)
            if (strcmp(session_child(s), child_id) == 0)
                session_close(s, code, word, false);
    recent_drop_child(&hub->recent, child_id);
    if (hub->history)
        history_forget(hub->history, NULL, child_id);
}

static void close_key(struct hub *hub, uint8_t key, uint16_t code, const char *word)
{
    for (unsigned i = 0; i < hub->bucket_count; i++)
        for (struct session *s = hub->buckets[i]; s; s = s->next)
            if (s->key == key)
                session_close(s, code, word, false);
}

static void close_here(struct loop *loop, struct loop_task *task)
{
    struct closing *c = (struct closing *)task;
    (void)loop;
    if (c->device_id[0])
        session_close_device(c->hub, c->device_id, c->keep ? c->keep_sid : NULL, c->code, c->word);
    else if (c->child_id[0])
        close_child(c->hub, c->child_id, c->code, c->word);
    else
        close_key(c->hub, c->key, c->code, c->word);
    free(c);
}

static struct closing *closing_new(struct hub *hub, uint16_t code, const char *word)
{
    struct closing *c = calloc(1, sizeof *c);
    if (!c) {
        LOG(LOG_ERROR, "out_of_memory", LOG_S("at", "hub_post_close"));
        abort();
    }
    c->task.run = close_here;
    c->hub = hub;
    c->word = word;
    c->code = code;
    return c;
}

void hub_post_close_child(struct hub *hub, const char *child_id, uint16_t code, const char *word)
{
    struct closing *c = closing_new(hub, code, word);
    snprintf(c->child_id, sizeof c->child_id, "%s", child_id);
    loop_post(hub->loop, &c->task);
}

void hub_post_close_key(struct hub *hub, uint8_t key, uint16_t code, const char *word)
{
    struct closing *c = closing_new(hub, code, word);
    c->key = key;
    loop_post(hub->loop, &c->task);
}

void hub_post_close(struct hub *hub, const char *device_id, const uint8_t *keep_sid, uint16_t code,
                    const char *word)
{
    struct closing *c = closing_new(hub, code, word);
    c->keep = keep_sid != NULL;
    if (keep_sid)
        memcpy(c->keep_sid, keep_sid, sizeof c->keep_sid);
    snprintf(c->device_id, sizeof c->device_id, "%s", device_id);
    loop_post(hub->loop, &c->task);
}

struct waking {
    struct loop_task task;
    struct hub *hub;
    char device_id[LIMIT_ID_LEN + 1];
};

static void wake_here(struct loop *loop, struct loop_task *task)
{
    struct waking *w = (struct waking *)task;
    (void)loop;
    for (struct session *s = *device_bucket(w->hub, w->device_id); s; s = s->next)
        if (strcmp(session_device(s), w->device_id) == 0)
            downlink_go(s);
    free(w);
}

void hub_post_downlink(struct hub *hub, const char *device_id)
{
    struct waking *w = calloc(1, sizeof *w);
    if (!w) {
        LOG(LOG_WARN, "out_of_memory", LOG_S("at", "hub_post_downlink"));
        return;
    }
    w->task.run = wake_here;
    w->hub = hub;
    snprintf(w->device_id, sizeof w->device_id, "%s", device_id);
    loop_post(hub->loop, &w->task);
}

void hub_drain(struct hub *hub, uint16_t code, const char *word)
{
    hub->drain_code = code;
    hub->drain_word = word;
    for (unsigned i = 0; i < hub->bucket_count; i++)
        for (struct session *s = hub->buckets[i]; s; s = s->next)
            if (s->state == SESSION_LIVE)
                session_close(s, code, word, true);
}

bool hub_draining(const struct hub *hub, uint16_t *code, const char **word)
{
    if (!hub->drain_word)
        return false;
    *code = hub->drain_code;
    *word = hub->drain_word;
    return true;
}

unsigned hub_sessions(const struct hub *hub)
{
    return hub->count;
}

/* Without the port, which nobody knows of a client behind a proxy. */
static void client_text(const struct session *s, char *out, size_t cap)
{
    const char *child = session_child(s), *bytes = child + strlen(child) + 1;
    int family = s->client == CLIENT_IPV4 ? AF_INET : AF_INET6;
    if (s->client == CLIENT_UNKNOWN || !inet_ntop(family, bytes, out, (socklen_t)cap))
        snprintf(out, cap, "unix");
}

static struct session_info info_of(const struct session *s, uint64_t now_s)
{
    struct session_info info = {
        .id = s->id,
        .device_id = session_device(s),
        .child_id = session_child(s),
        .since_s = now_s - (session_now(s) - s->since_ms) / 1000,
        .seq = s->seq,
        .received = s->received,
        .sent = s->sent,
        .hello = s->hello,
    };
    client_text(s, info.address, sizeof info.address);
    return info;
}

void hub_each(struct hub *hub, bool (*each)(void *arg, const struct session_info *info), void *arg)
{
    uint64_t now_s = unix_ms() / 1000;
    for (unsigned i = 0; i < hub->bucket_count; i++)
        for (const struct session *s = hub->buckets[i]; s; s = s->next) {
            struct session_info info;
            if (s->state != SESSION_LIVE)
                continue;
            info = info_of(s, now_s);
            if (!each(arg, &info))
                return;
        }
}

bool hub_device(struct hub *hub, const char *device_id, struct session_info *out)
{
    for (const struct session *s = *device_bucket(hub, device_id); s; s = s->next)
        if (s->state == SESSION_LIVE && strcmp(session_device(s), device_id) == 0) {
            *out = info_of(s, unix_ms() / 1000);
            return true;
        }
    return false;
}

void hub_flush(struct hub *hub)
{
    if (hub)
        history_flush(hub->history);
}

void session_reason(const struct session_config *config, const char *word, bool retry, char *out,
                    size_t cap)
{
    uint32_t random = 0;
    if (!retry) {
        snprintf(out, cap, "%s", word);
        return;
    }
    /* Spread, so that toys sent away together do not come back together. */
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = 0;
    uint64_t span = config->retry_max_ms > config->retry_min_ms
                        ? (uint64_t)config->retry_max_ms - config->retry_min_ms + 1
                        : 1;
    uint32_t wait = config->retry_min_ms + (uint32_t)(random % span);
    snprintf(out, cap, "%s retry_ms=%u", word, wait);
}

static void let_go(struct session *s)
{
    if (s->state == SESSION_REGISTERED) {
        session_free(s);
        return;
    }
    session_silence(s);
    s->orphan = true; /* its connection's last callback frees it */
    conn_abort(s->ws.conn);
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    for (unsigned i = 0; hub->buckets && i < hub->bucket_count; i++)
        for (struct session *s = hub->buckets[i], *next; s; s = next) {
            next = s->next;
            let_go(s);
        }
    for (unsigned i = 0; i < METRIC_LOOPS_MAX; i++)
        if (hubs[i] == hub)
            hubs[i] = NULL;
    recent_fini(&hub->recent);
    history_free(hub->history);
    free(hub->buckets);
    if (hub->out)
        wipe(hub->out, hub->out_cap);
    free(hub->out);
    free(hub);
}
