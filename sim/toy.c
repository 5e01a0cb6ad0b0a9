/* One toy: the SDK's client, what it said and what it got. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "proto/text.h"
#include "sim/sim.h"

static bool over_tls_server(const struct toy *t)
{
    return t->index < t->sim->args->tls;
}

static void count_verdict(enum tally_verdict v, uint64_t *doubled, uint64_t *disordered,
                          uint64_t *strange)
{
    *doubled += v == TALLY_DOUBLED;
    *disordered += v == TALLY_LATE;
    *strange += v == TALLY_UNKNOWN;
}

/* The number behind `ID ` at the end of a text that begins with `before`; UINT32_MAX: another's. */
static uint32_t number_in(const struct toy *t, const char *before, const char *text, size_t len)
{
    char head[96];
    size_t n = (size_t)snprintf(head, sizeof head, "%s%s ", before, t->id);
    uint64_t number;

    if (len <= n || memcmp(text, head, n) != 0 ||
        u64_parse((struct span){text + n, len - n}, &number) != TEDDY_OK || number > UINT32_MAX)
        return UINT32_MAX;
    return (uint32_t)number;
}

static void on_echo(struct toy *t, const struct teddy_event *e)
{
    struct sim_stats *s = &t->sim->stats;
    uint32_t n = number_in(t, "", e->text, e->text_len);

    if (n >= t->said) {
        s->strange++;
        return;
    }
    s->echoed += !tally_has(&t->up, n);
    count_verdict(tally_take(&t->up, n), &s->up_doubled, &s->up_disordered, &s->strange);
}

static bool on_message(void *user, const struct teddy_message *m)
{
    struct toy *t = user;
    struct sim_stats *s = &t->sim->stats;
    uint32_t n = number_in(t, t->sim->run, m->text, m->text_len);

    if (strncmp(m->text, t->sim->run, strlen(t->sim->run)) != 0) {
        s->others++; /* of an earlier run, or of another operator */
        return true;
    }
    if (t->fault.kind == FAULT_SLOW && t->sim->now < t->fault.until_ms && n % 2 == 1)
        return false; /* slow in this too: it will be offered again, and others wait behind it */
    if (tally_has(&t->down, n) && n < t->down_lost_at) {
        s->down_again++; /* it had lost its record of the last one: the contract allows it */
        return true;
    }
    s->received += n < t->down.cap && !tally_has(&t->down, n);
    count_verdict(tally_take(&t->down, n), &s->down_doubled, &s->down_disordered, &s->strange);
    return true;
}

static void set_online(struct toy *t, bool online)
{
    struct sim_stats *s = &t->sim->stats;

    if (online == t->online)
        return;
    t->online = online;
    if (!online) {
        s->online--;
        t->offline_at = t->sim->now;
        return;
    }
    s->online++;
    s->sessions++;
    atomic_store(&t->bound, true);
    if (t->offline_at != 0)
        samples_add(&s->reconnects, t->sim->now - t->offline_at);
    if (s->online == t->sim->args->devices && s->rss_online == 0)
        s->rss_online = report_rss();
}

/* A claim that was given up on its way may be accepted behind the next one, and then takes the
 * place of what the toy holds. Each of them explains one such loss, and nothing else does. */
static void count_revoked(struct toy *t)
{
    struct sim_stats *s = &t->sim->stats;

    if (t->doubtful > 0) {
        t->doubtful--;
        s->overtaken++;
    } else {
        s->revoked++;
    }
}

static void on_state(struct toy *t, const struct teddy_event *e)
{
    char what[48];

    set_online(t, e->state == TEDDY_STATE_ONLINE);
    if (e->state != TEDDY_STATE_WAITING)
        return;
    if (e->status != 0 && strcmp(e->purpose, "claim") == 0)
        t->doubtful--;
    if (strcmp(e->code, "token_revoked") == 0 || strcmp(e->code, "superseded") == 0)
        count_revoked(t);
    if (e->code[0] != '\0')
        snprintf(what, sizeof what, "%d %s", e->status != 0 ? e->status : e->close, e->code);
    else if (e->err != TEDDY_OK || (e->status == 0 && e->close == 0))
        snprintf(what, sizeof what, "%s", teddy_err_text(e->err));
    else
        snprintf(what, sizeof what, "%d", e->status != 0 ? e->status : e->close);
    cause_count(&t->sim->stats, e->purpose, what);
}

static bool was_resumed(const struct toy *t)
{
    struct teddy_posix_peer peer;

    teddy_posix_peer(t->posix, &peer);
    return peer.resumed;
}

static void on_event(void *user, const struct teddy_event *e)
{
    struct toy *t = user;
    struct sim_stats *s = &t->sim->stats;

    switch (e->type) {
    case TEDDY_EVENT_STATE:
        on_state(t, e);
        break;
    case TEDDY_EVENT_CONNECTED:
        s->connections++;
        s->resumed += was_resumed(t);
        t->doubtful += strcmp(e->purpose, "claim") == 0;
        break;
    case TEDDY_EVENT_CLAIMED:
    case TEDDY_EVENT_REFRESHED:
        t->doubtful -= e->type == TEDDY_EVENT_CLAIMED;
        t->life_s = e->expires_in;
        *(e->type == TEDDY_EVENT_CLAIMED ? &s->claims : &s->refreshes) += 1;
        break;
    case TEDDY_EVENT_ECHO:
        on_echo(t, e);
        break;
    case TEDDY_EVENT_CLOCK:
        s->clock_events++;
        break;
    case TEDDY_EVENT_ERROR:
        cause_count(s, "error", e->code);
        break;
    case TEDDY_EVENT_DROPPED:
        cause_count(s, "dropped", e->code);
        break;
    case TEDDY_EVENT_REPLY:
    case TEDDY_EVENT_ROOM:
        break;
    }
}

static int client_begin(struct toy *t)
{
    const struct sim_args *a = t->sim->args;
    const char *url = over_tls_server(t) ? a->tls_server : a->server;
    const struct teddy_client_config config = {
        .server_url = url,
        .device_id = t->id,
        .child_id = a->child,
        .firmware = "teddy-sim",
        .allow_plain = args_loopback(url),
        .times = &a->times,
        .on_event = on_event,
        .user = t,
    };

    int err = teddy_client_init(&t->client, &config, &sim_port, t, t->rx, sizeof t->rx, t->outbox,
                                sizeof t->outbox);

    if (err == TEDDY_OK)
        teddy_client_on_message(&t->client, on_message);
    return err;
}

static void log_error(void *user, enum teddy_log_level level, const char *line)
{
    (void)user;
    if (level == TEDDY_LOG_ERROR)
        fprintf(stderr, "teddy-sim: %s\n", line);
}

static int posix_begin(struct toy *t, const uint8_t secret[32], char *why, size_t why_len)
{
    const struct sim_args *a = t->sim->args;
    uint32_t i = t->index;
    char address[32];
    struct teddy_posix_options options = {
        .trust = t->sim->trust, .secret = secret, .log = log_error};

    /* Each toy from an address of its own, as from homes of their own. */
    snprintf(address, sizeof address, "127.%u.%u.%u", 1 + i / 40000, 1 + i / 200 % 200,
             1 + i % 200);
    if (args_loopback(over_tls_server(t) ? a->tls_server : a->server))
        options.bind_addr = address;
    return teddy_posix_new(&t->posix, &options, why, why_len);
}

int toy_init(struct toy *t, struct sim *sim, uint32_t index, const char *id,
             const uint8_t secret[32])
{
    char why[256] = "";
    int rc = TEDDY_ENOMEM;

    t->sim = sim;
    t->index = index;
    t->fd = -1;
    t->fault.kind = FAULT_NONE;
    t->jitter = sim->args->seed + ((uint64_t)index << 32);
    t->id = strdup(id);
    if (t->id != NULL && tally_init(&t->up, sim->args->say) &&
        tally_init(&t->down, sim->args->down) && tally_init(&t->posted, sim->args->down))
        rc = posix_begin(t, secret, why, sizeof why);
    if (rc == TEDDY_OK)
        rc = client_begin(t);
    if (rc != TEDDY_OK)
        fprintf(stderr, "teddy-sim: %s: %s%s%s\n", id, teddy_err_text(rc), why[0] ? ": " : "", why);
    return rc;
}

void toy_fini(struct toy *t)
{
    if (t->sim == NULL)
        return;
    teddy_posix_free(t->posix);
    for (size_t i = 0; i < TEDDY_RECORDS; i++)
        sim_record_lose(&t->records[i]);
    tally_fini(&t->up);
    tally_fini(&t->down);
    tally_fini(&t->posted);
    free(t->id);
}

/* Level-triggered, so that what a step leaves unread is told again; nothing while a fault holds the
 * link, so that it is not told all the time. */
static void watch(struct toy *t)
{
    int fd = teddy_posix_fd(t->posix), epoll = t->sim->epoll;
    short want =
        sim_port_held(t) ? 0 : teddy_posix_events(t->posix, teddy_client_wants(&t->client));
    struct epoll_event e = {.events = (uint32_t)want, .data.ptr = t};

    /* While it connects, its socket may have been replaced by another of the same number. */
    if (fd < 0 || (fd == t->fd && want == t->events && want != EPOLLOUT))
        return;
    if (want == 0) {
        if (t->events != 0)
            (void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &e);
    } else if (t->events == 0 || epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e) != 0) {
        (void)epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    }
    t->fd = fd;
    t->events = want;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void toy_step(struct toy *t)
{
    uint32_t wait_ms;
    uint64_t now = t->sim->now = teddy_posix_now_ms();

    if (t->owed > 0)
        toy_say(t);
    teddy_client_step(&t->client, now + t->jump_ms, &wait_ms);
    uint64_t due = now + (wait_ms > 0 ? wait_ms : 1);
    if (teddy_posix_pending(t->posix))
        due = now + 1;
    if (t->fault.kind != FAULT_NONE && t->fault.until_ms > now)
        due = sooner(sim_port_held(t) ? TIMER_NEVER : due, t->fault.until_ms);
    if (t->fault.kind == FAULT_SLOW && t->fault.next_ms > now)
        due = sooner(due, t->fault.next_ms);
    timers_move(&t->sim->timers, &t->timer, due);
    watch(t);
}

void toy_say(struct toy *t)
{
    struct sim *sim = t->sim;
    char text[96];

    for (; t->owed > 0 && t->said < t->up.cap; t->owed--) {
        int len = snprintf(text, sizeof text, "%s %u", t->id, t->said);
        if (teddy_client_say(&t->client, text, (size_t)len, NULL, NULL) != TEDDY_OK)
            return; /* full: again at the next step */
        t->said++;
        sim->stats.said++;
    }
}

void toy_reboot(struct toy *t)
{
    for (uint32_t n = 0; n < t->said; n++) {
        if (tally_has(&t->up, n))
            continue;
        (void)tally_take(&t->up, n); /* it was in the outbox, which is no more */
        t->sim->stats.forgotten++;
    }
    sim_port.disconnect(t);
    teddy_posix_forget_session(t->posix);
    set_online(t, false);
    t->fault.kind = FAULT_NONE;
    if (client_begin(t) != TEDDY_OK)
        cause_count(&t->sim->stats, "reboot", "failed");
}

uint64_t toy_lost_up(const struct toy *t)
{
    return t->said - t->up.count;
}

uint64_t toy_lost_down(const struct toy *t)
{
    uint64_t lost = 0;

    for (uint32_t n = 0; n < t->posted.next; n++)
        lost += tally_has(&t->posted, n) && !tally_has(&t->down, n);
    return lost;
}

bool toy_settled(const struct toy *t)
{
    return t->online && t->owed == 0 && toy_lost_up(t) == 0 && toy_lost_down(t) == 0;
}
