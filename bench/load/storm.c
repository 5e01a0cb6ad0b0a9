/* Storm: sessions that are held until the server goes, and then all come back, each as soon as a
 * toy would: after the wait that the close frame asked for, or else a random one that doubles. Some
 * refresh their tokens first. Toys have a processor each and these have one together: so many as it
 * can serve are on their way at once, the others wait for their turn, lest all of them time out.
 * A session is back when a ping of its own was answered: a refused one is upgraded too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/cpu.h"
#include "bench/load/exchange.h"
#include "bench/load/fleet.h"
#include "bench/load/modes.h"
#include "bench/load/random.h"
#include "proto/endpoints.h"
#include "proto/text.h"

#define STEP_MS      15000 /* what is not back after so long is begun anew */
#define BACKOFF_UP   4     /* doublings */
#define AT_ONCE      500   /* on their way back */
#define NS_PER_S     1000000000u
#define NS_PER_MS    1e6
#define REFRESH_BODY 1024

struct toy {
    struct exchange refresh; /* its own connection; open only meanwhile */
    char *refresh_token;     /* in place of its line's; NULL: that one */
    uint64_t back_ns;        /* since the storm began; 0: not yet */
    uint8_t attempts;
    bool alive, stale; /* stale: the token wants refreshing before the next upgrade */
    bool lost, refreshing;
    bool coming;  /* counted among those on their way */
    bool expires; /* its token does so in the storm, as it knows itself */
};

struct storm {
    struct fleet fleet;
    struct measure measure;
    struct toy *toys;
    uint32_t alive, lost; /* sessions now alive; those lost at least once */
    uint64_t began_ns;    /* the first loss; 0: not yet */
    uint32_t coming;
    uint32_t *queue, queue_at, queue_len; /* those whose turn it is next: a ring */
    uint64_t resumed, refreshed, attempts, timeouts;
};

static struct storm *storm_of(const struct session *s)
{
    return s->fleet->mode;
}

static struct toy *toy_of(const struct session *s)
{
    return &storm_of(s)->toys[s->index];
}

static void arm(struct storm *t)
{
    t->fleet.loop.alarm_ns = clock_ns() + (uint64_t)t->fleet.options->lasts_ms * (NS_PER_S / 1000);
}

static void on_alarm(void *arg)
{
    struct storm *t = arg;

    fprintf(stderr, "teddy-load: %u of %u are there after %u seconds, %u were lost\n", t->alive,
            t->fleet.count, t->fleet.options->lasts_ms / 1000, t->lost);
    t->measure.errors += t->fleet.count - t->alive + (t->began_ns == 0);
    t->fleet.loop.stop = true;
}

static uint32_t backoff(struct storm *t, struct toy *toy)
{
    uint32_t bound = t->fleet.options->backoff_ms << toy->attempts;

    if (toy->attempts < BACKOFF_UP)
        toy->attempts++;
    return random_below(bound);
}

static void retry(struct session *s, uint32_t in_ms)
{
    loop_wake(&s->fleet->loop, &s->timer, in_ms);
}

/* Its turn, or a place in the queue. */
static bool may_come(struct storm *t, const struct session *s)
{
    const struct options *o = t->fleet.options;

    if (t->coming >= (o->concurrency > 0 ? o->concurrency : AT_ONCE)) {
        t->queue[(t->queue_at + t->queue_len++) % t->fleet.count] = s->index;
        return false;
    }
    t->coming++;
    return toy_of(s)->coming = true;
}

/* It is there, or waits: the next one's turn. */
static void leave(struct storm *t, struct toy *toy)
{
    struct session *next;

    if (!toy->coming)
        return;
    toy->coming = false;
    t->coming--;
    if (t->queue_len == 0)
        return;
    next = &t->fleet.sessions[t->queue[t->queue_at]];
    t->queue_at = (t->queue_at + 1) % t->fleet.count;
    t->queue_len--;
    t->coming++;
    toy_of(next)->coming = true;
    retry(next, 0);
}

/* Waits as long as a toy does that did not get through. */
static void step_back(struct session *s, uint32_t told_ms)
{
    struct storm *t = storm_of(s);
    struct toy *toy = toy_of(s);

    leave(t, toy);
    retry(s, told_ms > 0 ? told_ms : backoff(t, toy));
}

static void post_refresh(struct exchange *x)
{
    struct session *s = x->user;
    const struct toy *toy = toy_of(s);
    char body[REFRESH_BODY];
    int n = snprintf(body, sizeof body, "{\"refresh\":\"%s\"}",
                     toy->refresh_token != NULL ? toy->refresh_token : session_person(s)->refresh);

    (void)exchange_post(x, ENDPOINT_REFRESH,
                        (struct span){body, (size_t)n < sizeof body ? (size_t)n : 0});
}

static bool keep_tokens(struct session *s, struct span access, struct span refresh)
{
    struct toy *toy = toy_of(s);

    free(s->token);
    free(toy->refresh_token);
    s->token = strndup(access.p, access.len);
    toy->refresh_token = strndup(refresh.p, refresh.len);
    return s->token != NULL && toy->refresh_token != NULL;
}

/* The TLS ticket goes where the next connection is. */
static void pass_ticket(struct transport *from, struct transport *to)
{
    SSL_SESSION_free(to->ticket);
    to->ticket = from->ticket;
    from->ticket = NULL;
}

static void on_refreshed(struct exchange *x, int status, struct span body)
{
    struct session *s = x->user;
    struct storm *t = storm_of(s);
    struct span access, refresh;
    char what[48];

    if (status == 503) { /* not yet: says so, and is asked again */
        transport_close(&x->transport);
        toy_of(s)->refreshing = false;
        step_back(s, 0);
        return;
    }
    if (status != 200 || !exchange_tokens(body, &access, &refresh) ||
        !keep_tokens(s, access, refresh)) {
        snprintf(what, sizeof what, "a refresh was answered %d", status);
        fleet_failed(&t->fleet, s, what, body);
        return;
    }
    t->refreshed++;
    toy_of(s)->stale = toy_of(s)->refreshing = false;
    transport_close(&x->transport);
    pass_ticket(&x->transport, &s->transport);
    retry(s, 0);
}

static void on_refresh_ended(struct exchange *x, const char *why)
{
    struct session *s = x->user;

    (void)why;
    toy_of(s)->refreshing = false;
    step_back(s, 0);
}

/* Begins its way back. */
static void come(struct session *s)
{
    struct storm *t = storm_of(s);
    struct toy *toy = toy_of(s);
    bool begun;

    t->attempts++;
    if (toy->stale) {
        pass_ticket(&s->transport, &toy->refresh.transport);
        begun = exchange_open(&toy->refresh);
        toy->refreshing = begun;
    } else {
        begun = session_open(s);
    }
    if (begun)
        retry(s, STEP_MS);
    else
        step_back(s, 0);
}

static void on_timer(struct timer *timer)
{
    struct session *s = fleet_of_timer(timer);
    struct toy *toy = toy_of(s);

    if (toy->alive || (!toy->coming && !may_come(storm_of(s), s)))
        return;
    if (toy->refreshing || s->transport.state != TRANSPORT_CLOSED) {
        storm_of(s)->timeouts++;
        transport_close(&toy->refresh.transport);
        session_close(s);
        toy->refreshing = false;
    }
    come(s);
}

static void on_open(struct session *s)
{
    (void)session_send(s, WS_PING, &s->index, sizeof s->index);
}

static void on_pong(struct session *s, struct span data)
{
    struct storm *t = storm_of(s);
    struct toy *toy = toy_of(s);

    if (toy->alive || data.len != sizeof s->index || memcmp(data.p, &s->index, data.len) != 0) {
        t->measure.wrong_bytes += data.len + 1;
        fleet_failed(s->fleet, s, "not what was pinged came back", data);
        return;
    }
    toy->alive = true;
    toy->attempts = 0;
    t->alive++;
    leave(t, toy);
    if (!toy->lost) {
        if (fleet_opened(s->fleet)) {
            printf("{\"opened\":%u}\n", t->alive);
            arm(t);
        }
        return;
    }
    toy->back_ns = clock_ns() - t->began_ns;
    t->resumed += s->transport.resumed;
    measure_add(&t->measure, toy->back_ns);
    t->fleet.loop.stop = t->lost == t->fleet.count && t->alive == t->fleet.count;
}

static void on_message(struct session *s, uint8_t opcode, struct span data)
{
    (void)opcode;
    fleet_failed(s->fleet, s, "a message that nobody asked for", data);
}

static void count_loss(struct storm *t, struct toy *toy)
{
    if (t->began_ns == 0) {
        measure_begin(&t->measure);
        t->began_ns = clock_ns();
        arm(t);
    }
    t->alive -= toy->alive;
    t->lost += !toy->lost;
    if (!toy->lost && toy->expires)
        toy->stale = true;
    toy->lost = true;
    toy->alive = false;
}

static void on_closed(struct session *s, unsigned code, struct span text)
{
    struct storm *t = storm_of(s);
    struct toy *toy = toy_of(s);
    struct span word = {NULL, 0};
    uint32_t retry_ms = 0;
    char what[32];

    ws_reason_read(text, &word, &retry_ms);
    if (code == WS_CLOSE_POLICY && span_is(word, "token_expired") && session_person(s) != NULL &&
        session_person(s)->refresh[0] != '\0') {
        toy->stale = true;
    } else if (s->fleet->open < s->fleet->count || code == WS_CLOSE_POLICY) {
        snprintf(what, sizeof what, "closed, %u", code);
        fleet_failed(s->fleet, s, what, text);
        return;
    }
    if (toy->alive)
        count_loss(t, toy);
    step_back(s, code != 0 ? retry_ms : 0);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Milliseconds until so many of a hundred were back; negative: they never were. */
static double back_ms(const uint64_t *sorted, uint32_t back, uint32_t of, uint32_t percent)
{
    uint32_t want = (uint32_t)(((uint64_t)of * percent + 99) / 100);

    return want > 0 && want <= back ? (double)sorted[want - 1] / NS_PER_MS : -1;
}

static int report(const struct storm *t)
{
    uint32_t back = 0, of = t->fleet.count;
    uint64_t *sorted = calloc(of, sizeof *sorted);
    char more[400];

    for (uint32_t i = 0; sorted != NULL && i < of; i++)
        if (t->toys[i].alive && t->toys[i].back_ns > 0)
            sorted[back++] = t->toys[i].back_ns;
    if (sorted != NULL)
        qsort(sorted, back, sizeof *sorted, by_value);
    snprintf(more, sizeof more,
             ",\"back\":%u,\"first_ms\":%.1f,\"to_50_ms\":%.1f,\"to_99_ms\":%.1f,"
             "\"to_100_ms\":%.1f,\"resumed\":%llu,\"refreshed\":%llu,\"attempts\":%llu,"
             "\"timeouts\":%llu",
             back, back > 0 ? (double)sorted[0] / NS_PER_MS : -1, back_ms(sorted, back, of, 50),
             back_ms(sorted, back, of, 99), back_ms(sorted, back, of, 100),
             (unsigned long long)t->resumed, (unsigned long long)t->refreshed,
             (unsigned long long)t->attempts, (unsigned long long)t->timeouts);
    free(sorted);
    return measure_report(&t->measure, more);
}

static bool init(struct storm *t, const struct options *o)
{
    static const struct session_events events = {on_open, on_message, on_pong, on_closed};
    static const struct exchange_events refresh = {post_refresh, on_refreshed, on_refresh_ended};

    measure_init(&t->measure, o);
    if (!fleet_init(&t->fleet, o, &t->measure, &events, 0))
        return false;
    t->fleet.mode = t;
    t->fleet.loop.due = on_timer;
    t->fleet.loop.alarm = on_alarm;
    t->fleet.loop.alarm_arg = t;
    t->toys = calloc(o->connections, sizeof *t->toys);
    t->queue = calloc(o->connections, sizeof *t->queue);
    for (uint32_t i = 0; t->toys != NULL && i < o->connections; i++) {
        exchange_init(&t->toys[i].refresh, &t->fleet.dialer, &refresh, &t->fleet.sessions[i]);
        t->toys[i].expires =
            (i + 1ull) * o->refresh_percent / 100 > (uint64_t)i * o->refresh_percent / 100;
    }
    return t->toys != NULL && t->queue != NULL;
}

static void fini(struct storm *t)
{
    for (uint32_t i = 0; t->toys != NULL && i < t->fleet.count; i++) {
        exchange_fini(&t->toys[i].refresh);
        free(t->toys[i].refresh_token);
    }
    free(t->toys);
    free(t->queue);
    fleet_fini(&t->fleet);
}

int storm_run(const struct options *o)
{
    struct storm t = {0};
    int status = EXIT_FAILED;

    if (init(&t, o)) {
        fleet_open_more(&t.fleet);
        loop_run(&t.fleet.loop);
        measure_end(&t.measure);
        status = report(&t);
    }
    fini(&t);
    return status;
}
