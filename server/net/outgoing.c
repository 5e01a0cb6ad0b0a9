/* libcurl's side of the loop: which sockets it wants watched, when it wants to be called. Its own
 * functions must not be called from its callbacks; so these only keep what has come, and the
 * handlers hear of it when libcurl has returned. */
#include "net/outgoing.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "net/loop.h"
#include "proto/text.h"

#define HEAD_MAX   16384
#define TYPE_MAX   64
#define BUFFER     4096 /* libcurl's, for each transfer */
#define LET_GO_MS  1000
#define LET_GO_MAX 65536 /* bytes */
#define SPARE_MAX  32    /* transfers kept to be used again: to make one takes long */
#define SHARD_MAX  64    /* transfers */

struct transfer {
    struct outgoing *of;
    struct shard *shard;                       /* that it runs in */
    struct transfer *next, **prev;             /* of all; next also of those that are spare */
    struct transfer *next_ready, **prev_ready; /* has something to hand on; prev NULL: nothing */
    CURL *easy;
    struct curl_slist *headers;
    const struct outgoing_handler *handler; /* NULL: let go */
    void *user;
    char *bytes; /* not handed on yet */
    size_t len, cap;
    size_t head_len, left; /* of the head so far, of the body until it is too much */
    uint64_t let_go_until_ms;
    CURLcode result;
    bool told; /* the handler has heard of the head */
    bool useless, too_big, ended;
};

/* A multi handle of a few transfers. Once a second libcurl looks at all connections of a handle,
 * and for each request at those before the first that is idle: with a thousand in one handle all
 * wait for that for 10 ms. */
struct shard {
    struct outgoing *of;
    CURLM *multi;
    struct loop_timer timer; /* libcurl's */
    struct loop_task soon;   /* its timer when that is due already */
    bool soon_set;
    unsigned running;
};

struct outgoing {
    struct loop *loop;
    CURLSH *share; /* TLS sessions, to resume */
    char *ca_file, *proxy;
    uint32_t connect_ms;
    bool stopping;
    unsigned soons;          /* shards whose soon is set */
    struct loop_timer sweep; /* of those let go */
    struct transfer *all, *ready, *current, *spare;
    unsigned spares;
    unsigned shard_count;
    struct shard shards[];
};

/* A socket of libcurl's. */
struct watched {
    struct loop_io io;
    struct shard *of;
};

static void hand_on(struct shard *s);

int outgoing_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? TEDDY_OK : TEDDY_EIO;
}

static void act(struct shard *s, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(s->multi, fd, events, &running);
    hand_on(s);
}

static void on_ready(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct watched *w = CONTAINER(io, struct watched, io);
    int bits = (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
               (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
               (events & LOOP_HANGUP ? CURL_CSELECT_ERR : 0);
    (void)loop;
    act(w->of, io->fd, bits);
}

static void unwatch(struct watched *w)
{
    loop_io_del(w->of->of->loop, &w->io);
    curl_multi_assign(w->of->multi, w->io.fd, NULL);
    free(w);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *watched)
{
    struct shard *s = user;
    struct loop *loop = s->of->loop;
    struct watched *w = watched;
    uint32_t events =
        (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            unwatch(w);
        return 0;
    }
    if (w)
        return loop_io_mod(loop, &w->io, events) == TEDDY_OK ? 0 : -1;
    w = malloc(sizeof *w);
    if (!w)
        return -1;
    *w = (struct watched){.io = {.fd = fd, .ready = on_ready}, .of = s};
    if (loop_io_add(loop, &w->io, events) != TEDDY_OK) {
        free(w);
        return -1;
    }
    curl_multi_assign(s->multi, fd, w);
    return 0;
}

static void on_soon(struct loop *loop, struct loop_task *task)
{
    struct shard *s = CONTAINER(task, struct shard, soon);
    struct outgoing *o = s->of;
    (void)loop;
    s->soon_set = false;
    o->soons--;
    if (!o->stopping)
        act(s, CURL_SOCKET_TIMEOUT, 0);
    else if (o->soons == 0)
        free(o);
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    act(CONTAINER(timer, struct shard, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* The loop's timers are up to 16 ms late, too late for "at once": each request begins with that. 1
 * is what libcurl says for less than a millisecond. */
static int on_timeout(CURLM *multi, long ms, void *user)
{
    struct shard *s = user;
    struct outgoing *o = s->of;
    (void)multi;
    loop_timer_unset(o->loop, &s->timer);
    if (ms > 1)
        loop_timer_set(o->loop, &s->timer, loop_now_ms(o->loop) + (uint64_t)ms);
    else if (ms >= 0 && !s->soon_set && !o->stopping) {
        s->soon_set = true;
        o->soons++;
        loop_defer(o->loop, &s->soon);
    }
    return 0;
}

static void make_ready(struct transfer *t)
{
    struct outgoing *o = t->of;
    if (t->prev_ready)
        return;
    t->next_ready = o->ready;
    t->prev_ready = &o->ready;
    if (t->next_ready)
        t->next_ready->prev_ready = &t->next_ready;
    o->ready = t;
}

static void unready(struct transfer *t)
{
    if (!t->prev_ready)
        return;
    *t->prev_ready = t->next_ready;
    if (t->next_ready)
        t->next_ready->prev_ready = t->prev_ready;
    t->prev_ready = NULL;
}

static size_t on_head(char *data, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    (void)data;
    t->head_len += size * count;
    t->too_big |= t->head_len > HEAD_MAX;
    return t->too_big ? 0 : size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    size_t len = size * count;
    if (len > t->left) {
        t->too_big = true;
        return 0;
    }
    t->left -= len;
    if (!t->handler || t->useless)
        return len;
    if (t->cap - t->len < len) {
        size_t cap = t->len + len < BUFFER ? BUFFER : (t->len + len) * 2;
        char *grown = realloc(t->bytes, cap);
        if (!grown)
            return 0;
        t->bytes = grown;
        t->cap = cap;
    }
    memcpy(t->bytes + t->len, data, len);
    t->len += len;
    make_ready(t);
    return len;
}

static void delete (struct transfer *t)
{
    curl_easy_cleanup(t->easy);
    free(t);
}

/* What it was about is forgotten; its handle, with all that is set for any request, may stay. */
static void clear(struct transfer *t)
{
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(t->easy, CURLOPT_COPYPOSTFIELDS, NULL);
    curl_slist_free_all(t->headers);
    if (t->bytes)
        wipe(t->bytes, t->cap);
    free(t->bytes);
    *t = (struct transfer){.of = t->of, .easy = t->easy};
}

static void transfer_free(struct transfer *t)
{
    struct outgoing *o = t->of;
    if (o->current == t)
        o->current = NULL;
    unready(t);
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    curl_multi_remove_handle(t->shard->multi, t->easy);
    t->shard->running--;
    clear(t);
    if (o->spares == SPARE_MAX || o->stopping) {
        delete (t);
        return;
    }
    t->next = o->spare;
    o->spare = t;
    o->spares++;
}

/* "text/event-stream; charset=utf-8" is text/event-stream. */
static void content_type(CURL *easy, char out[TYPE_MAX])
{
    char *type = NULL;
    size_t len = 0;
    if (curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type)
        for (; len < TYPE_MAX - 1 && type[len] > ' ' && type[len] < 0x7F && type[len] != ';'; len++)
            out[len] = (char)(type[len] >= 'A' && type[len] <= 'Z' ? type[len] + 32 : type[len]);
    out[len] = '\0';
}

uint64_t transfer_retry_after_s(const struct transfer *t)
{
    curl_off_t seconds = 0;
    return curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0
               ? (uint64_t)seconds
               : 0;
}

/* False: the transfer is gone. */
static bool tell_head(struct transfer *t)
{
    struct outgoing *o = t->of;
    char type[TYPE_MAX];
    long status = 0;
    if (t->told)
        return true;
    t->told = true;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 0)
        return true;
    content_type(t->easy, type);
    bool useful = t->handler->head(t->user, status, type);
    if (o->current != t)
        return false;
    t->useless = !useful;
    return true;
}

static enum outgoing_end end_of(const struct transfer *t)
{
    if (t->useless || t->result == CURLE_OK)
        return OUTGOING_WHOLE;
    if (t->too_big)
        return OUTGOING_TOO_BIG;
    return t->head_len == 0 && t->result != CURLE_GOT_NOTHING && t->result != CURLE_RECV_ERROR &&
                   t->result != CURLE_SEND_ERROR
               ? OUTGOING_REFUSED
               : OUTGOING_BROKEN;
}

static void hand_on_one(struct transfer *t)
{
    struct outgoing *o = t->of;
    o->current = t;
    if (!t->handler) {
        if (t->ended)
            transfer_free(t);
        return;
    }
    if (!tell_head(t))
        return;
    if (t->len > 0 && !t->useless) {
        struct span bytes = {t->bytes, t->len};
        t->len = 0;
        t->handler->data(t->user, bytes);
        if (o->current != t)
            return;
    }
    if (!t->handler || (!t->ended && !t->useless))
        return;
    const struct outgoing_handler *handler = t->handler;
    void *user = t->user;
    enum outgoing_end why = end_of(t);
    const char *what = curl_easy_strerror(t->result);
    transfer_let_go(t);
    handler->end(user, why, what);
}

static void hand_on(struct shard *s)
{
    struct outgoing *o = s->of;
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &left)) != NULL;) {
        struct transfer *t = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        t->ended = true;
        t->result = m->data.result;
        make_ready(t);
    }
    while (o->ready) {
        struct transfer *t = o->ready;
        unready(t);
        hand_on_one(t);
        o->current = NULL;
    }
}

static void on_sweep(struct loop *loop, struct loop_timer *timer)
{
    struct outgoing *o = CONTAINER(timer, struct outgoing, sweep);
    uint64_t now = loop_now_ms(loop);
    bool more = false;
    for (struct transfer *t = o->all, *next; t; t = next) {
        next = t->next;
        if (!t->handler && t->let_go_until_ms <= now)
            transfer_free(t);
        else
            more |= !t->handler;
    }
    if (more)
        loop_timer_set(loop, &o->sweep, now + LET_GO_MS);
}

static bool shard_init(struct shard *s, struct outgoing *o)
{
    s->of = o;
    s->timer.fire = on_timer;
    s->soon.run = on_soon;
    s->multi = curl_multi_init();
    return s->multi &&
           curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s) == CURLM_OK &&
           curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_timeout) == CURLM_OK &&
           curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s) == CURLM_OK &&
           curl_multi_setopt(s->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_MAX) == CURLM_OK;
}

int outgoing_new(struct loop *loop, const struct outgoing_options *options, struct outgoing **out)
{
    unsigned shards = (options->transfers + SHARD_MAX - 1) / SHARD_MAX;
    struct outgoing *o = calloc(1, sizeof *o + (shards ? shards : 1) * sizeof o->shards[0]);
    if (!o)
        return TEDDY_ENOMEM;
    o->loop = loop;
    o->connect_ms = options->connect_ms;
    o->sweep.fire = on_sweep;
    o->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    o->proxy = strdup(options->proxy ? options->proxy : "");
    o->share = curl_share_init();
    bool ok =
        o->proxy && o->share && (!options->ca_file || o->ca_file) &&
        curl_share_setopt(o->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
    for (; ok && o->shard_count < (shards ? shards : 1); o->shard_count++)
        ok = shard_init(&o->shards[o->shard_count], o);
    if (!ok) {
        outgoing_free(o);
        return TEDDY_ENOMEM;
    }
    *out = o;
    return TEDDY_OK;
}

void outgoing_free(struct outgoing *o)
{
    if (!o)
        return;
    o->stopping = true;
    while (o->all)
        transfer_free(o->all);
    for (struct transfer *t; (t = o->spare) != NULL;) {
        o->spare = t->next;
        delete (t);
    }
    for (unsigned i = 0; i < o->shard_count; i++) {
        curl_multi_cleanup(o->shards[i].multi);
        loop_timer_unset(o->loop, &o->shards[i].timer);
    }
    curl_share_cleanup(o->share);
    loop_timer_unset(o->loop, &o->sweep);
    free(o->ca_file);
    free(o->proxy);
    if (o->soons == 0) /* else when the last of them is run: the loop does, before it is freed */
        free(o);
}

#define SET(option, value) (curl_easy_setopt(t->easy, CURLOPT_##option, value) == CURLE_OK)

/* The same for all requests. */
static bool set_bounds(const struct outgoing *o, struct transfer *t)
{
    /* QUICK_EXIT: a name that is still being looked up is not waited for when we give up. */
    return SET(PROTOCOLS_STR, "http,https") && SET(FOLLOWLOCATION, 0L) && SET(NOSIGNAL, 1L) &&
           SET(QUICK_EXIT, 1L) && SET(PROXY, o->proxy) && SET(SSL_VERIFYPEER, 1L) &&
           SET(SSL_VERIFYHOST, 2L) && SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(DISALLOW_USERNAME_IN_URL, 1L) && SET(TCP_KEEPALIVE, 1L) &&
           SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && SET(HTTP09_ALLOWED, 0L) &&
           SET(CONNECTTIMEOUT_MS, (long)o->connect_ms) && SET(BUFFERSIZE, (long)BUFFER) &&
           SET(UPLOAD_BUFFERSIZE, 16384L) && SET(SHARE, o->share) && SET(POST, 1L) &&
           SET(HEADERFUNCTION, on_head) && SET(HEADERDATA, t) && SET(WRITEFUNCTION, on_body) &&
           SET(WRITEDATA, t) && SET(PRIVATE, t) &&
           (!o->ca_file || (SET(CAINFO, o->ca_file) && SET(CAPATH, NULL)));
}

static bool set_request(struct transfer *t, const struct outgoing_request *r)
{
    /* No Expect: it would cost a round trip. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; list && r->headers[i]; i++) {
        t->headers = list;
        list = curl_slist_append(list, r->headers[i]);
    }
    if (!list)
        return false;
    t->headers = list;
    return SET(URL, r->url) && SET(HTTPHEADER, t->headers) &&
           SET(POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len) && SET(COPYPOSTFIELDS, r->body.p);
}

#undef SET

static void link_transfer(struct outgoing *o, struct transfer *t)
{
    t->next = o->all;
    t->prev = &o->all;
    if (t->next)
        t->next->prev = &t->next;
    o->all = t;
}

/* One that is spare, or a new one. NULL: out of memory. */
static struct transfer *transfer_take(struct outgoing *o)
{
    struct transfer *t = o->spare;
    if (t) {
        o->spare = t->next;
        o->spares--;
        return t;
    }
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->of = o;
    t->easy = curl_easy_init();
    if (t->easy && set_bounds(o, t))
        return t;
    delete (t);
    return NULL;
}

/* The first with room, so that few hold the connections that are kept; more than was said go where
 * the fewest are. */
static struct shard *shard_for(struct outgoing *o)
{
    struct shard *least = &o->shards[0];
    for (unsigned i = 0; i < o->shard_count; i++) {
        if (o->shards[i].running < SHARD_MAX)
            return &o->shards[i];
        if (o->shards[i].running < least->running)
            least = &o->shards[i];
    }
    return least;
}

int outgoing_start(struct outgoing *o, const struct outgoing_request *request,
                   const struct outgoing_handler *handler, void *user, struct transfer **out)
{
    struct transfer *t = transfer_take(o);
    if (!t)
        return TEDDY_ENOMEM;
    t->handler = handler;
    t->user = user;
    t->left = request->answer_max;
    t->shard = shard_for(o);
    t->shard->running++;
    link_transfer(o, t);
    if (!set_request(t, request) || curl_multi_add_handle(t->shard->multi, t->easy) != CURLM_OK) {
        transfer_free(t);
        return TEDDY_EINVAL;
    }
    *out = t;
    return TEDDY_OK;
}

void transfer_cancel(struct transfer *t)
{
    transfer_free(t);
}

void transfer_let_go(struct transfer *t)
{
    struct outgoing *o = t->of;
    if (t->ended) {
        transfer_free(t);
        return;
    }
    t->handler = NULL;
    t->let_go_until_ms = loop_now_ms(o->loop) + LET_GO_MS;
    t->left = t->left < LET_GO_MAX ? t->left : LET_GO_MAX;
    if (!o->sweep.prev)
        loop_timer_set(o->loop, &o->sweep, t->let_go_until_ms);
}
