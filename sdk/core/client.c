/* The walk itself: which step comes after which, how long each may take, and the public calls. */
#include "core.h"
#include "proto/ids.h"
#include "proto/text.h"

struct goal_row {
    const char *name;
    int (*prepare)(struct teddy_client *c);
};

static const struct goal_row goals[] = {
    [SDK_CLAIM] = {"claim", sdk_claim_prepare},
    [SDK_REFRESH] = {"refresh", sdk_refresh_prepare},
    [SDK_CONNECT_SESSION] = {"session", sdk_upgrade_prepare},
};

/* The state that is shown on the way to a goal. */
#define SHOWN(goal) ((enum teddy_state)(TEDDY_STATE_CLAIMING + (goal)))
_Static_assert(SHOWN(SDK_REFRESH) == TEDDY_STATE_REFRESHING &&
                   SHOWN(SDK_CONNECT_SESSION) == TEDDY_STATE_CONNECTING,
               "the goals have the states' order");

void sdk_event_clear(struct teddy_client *c)
{
    memset(&c->event, 0, sizeof c->event);
    c->event.code = c->event.purpose = c->event.id = c->event.text = "";
}

void sdk_emit(struct teddy_client *c, enum teddy_event_type type)
{
    struct teddy_event event = c->event; /* what is said from within it may make another */
    sdk_event_clear(c);
    event.type = type;
    event.state = (enum teddy_state)c->shown;
    if (c->config.on_event != NULL) {
        c->config.on_event(c->config.user, &event);
    }
}

void sdk_show(struct teddy_client *c, enum teddy_state state)
{
    if (c->shown != state) {
        c->shown = (uint8_t)state;
        sdk_emit(c, TEDDY_EVENT_STATE);
    }
}

void sdk_log(const struct teddy_client *c, enum teddy_log_level level, const char *line)
{
    if (c->port->log != NULL) {
        c->port->log(c->ctx, level, line);
    }
}

void sdk_clock_check(struct teddy_client *c, uint32_t server_s)
{
    int32_t skew = (int32_t)((uint32_t)c->port->wall_time(c->ctx) - server_s);
    if (c->url.tls) {
        c->port->server_time(c->ctx, server_s);
    }
    if (skew > SDK_CLOCK_SKEW || skew < -SDK_CLOCK_SKEW) {
        c->event.skew_s = skew;
        sdk_emit(c, TEDDY_EVENT_CLOCK);
    }
}

void sdk_failure_code(struct teddy_client *c, struct span word)
{
    char *code = c->failure.code;
    /* Otherwise it is no code of any server of ours: nothing of it is repeated. */
    if (word.len < sizeof c->failure.code && span_within(word, "_-")) {
        memcpy(code, word.p, word.len);
        code[word.len] = '\0';
    }
}

uint32_t sdk_random32(struct teddy_client *c)
{
    uint32_t r;
    if (c->port->random(c->ctx, (uint8_t *)&r, sizeof r) != TEDDY_OK) {
        return UINT32_MAX; /* without randomness: the longest wait */
    }
    return r;
}

int sdk_nonce(struct teddy_client *c)
{
    uint8_t bytes[SDK_NONCE_BYTES];
    int rc = c->port->random(c->ctx, bytes, sizeof bytes);
    base64_encode(bytes, sizeof bytes, c->proof.nonce);
    return rc == TEDDY_OK ? TEDDY_OK : TEDDY_EIO;
}

uint32_t sdk_until(const struct teddy_client *c, uint32_t at)
{
    return sdk_due(c, at) ? 0 : at - c->now;
}

static int run_idle(struct teddy_client *c)
{
    (void)c;
    return TEDDY_OK;
}

static int run_recall(struct teddy_client *c)
{
    return c->queue != NULL ? c->queue->load(c) : TEDDY_OK;
}

/* Chooses the goal, and loads the token it needs. */
static int run_load(struct teddy_client *c)
{
    if (c->goal == SDK_CONNECT_SESSION && (c->refresh_sent || sdk_tokens_expired(c))) {
        c->goal = SDK_REFRESH;
    }
    int rc = c->tokenless || c->goal == SDK_CLAIM ? TEDDY_ENOTFOUND : sdk_tokens_load(c);
    if (rc == TEDDY_ENOTFOUND) {
        sdk_tokens_drop(c);
        c->goal = SDK_CLAIM;
        rc = TEDDY_OK;
    }
    return rc;
}

static int run_prepare(struct teddy_client *c)
{
    return goals[c->goal].prepare(c);
}

static int run_resolve(struct teddy_client *c)
{
    return c->port->resolve(c->ctx, c->host);
}

static int run_connect(struct teddy_client *c)
{
    int rc = c->port->connect(c->ctx, c->host, c->url.port, c->url.tls);
    if (rc == TEDDY_OK) {
        c->event.purpose = goals[c->goal].name;
        sdk_emit(c, TEDDY_EVENT_CONNECTED);
    }
    return rc;
}

static int run_save(struct teddy_client *c)
{
    int rc = sdk_tokens_save(c);
    if (rc == TEDDY_OK) {
        c->goal = SDK_CONNECT_SESSION;
        sdk_tokens_pick(c, false); /* no need to load what is here */
    }
    return rc;
}

static int run_wait(struct teddy_client *c)
{
    return sdk_due(c, c->deadline) ? TEDDY_OK : TEDDY_AGAIN;
}

struct stage_row {
    int (*run)(struct teddy_client *c);
    uint8_t next;      /* on TEDDY_OK; there is nothing to save of a session that was opened */
    bool keeps_time;   /* looks after its own time; otherwise the step timeout ends it */
    bool on_transport; /* woken by the transport, not by polling */
};

/* On a failure every stage leads to SDK_WAIT, by way of fail. */
static const struct stage_row stages[] = {
    [SDK_IDLE] = {.run = run_idle, .next = SDK_RECALL},
    [SDK_RECALL] = {.run = run_recall, .next = SDK_LOAD},
    [SDK_LOAD] = {.run = run_load, .next = SDK_PREPARE},
    [SDK_PREPARE] = {.run = run_prepare, .next = SDK_RESOLVE},
    [SDK_RESOLVE] = {.run = run_resolve, .next = SDK_CONNECT},
    [SDK_CONNECT] = {.run = run_connect, .next = SDK_SEND},
    [SDK_SEND] = {.run = sdk_http_send, .next = SDK_RECEIVE, .on_transport = true},
    [SDK_RECEIVE] = {.run = sdk_http_receive, .next = SDK_SAVE, .on_transport = true},
    [SDK_SAVE] = {.run = run_save, .next = SDK_PREPARE},
    [SDK_SESSION] = {.run = sdk_session_run, .next = SDK_CLOSING, .keeps_time = true},
    [SDK_CLOSING] = {.run = sdk_session_closing, .next = SDK_WAIT, .on_transport = true},
    [SDK_WAIT] = {.run = run_wait, .next = SDK_RECALL, .keeps_time = true},
};

static void enter(struct teddy_client *c, enum sdk_stage stage)
{
    c->stage = stage;
    c->deadline = c->now + (stage == SDK_CLOSING ? SDK_CLOSING_MS : c->times.step_timeout_ms);
    switch (stage) {
    case SDK_RECALL:
        c->failure = (struct teddy_failure){0};
        break;
    case SDK_PREPARE:
        c->out_len = c->out_at = 0;
        sdk_show(c, SHOWN(c->goal));
        break;
    case SDK_SAVE:
        c->port->disconnect(c->ctx); /* no connection wakes the caller while the port saves */
        break;
    case SDK_SESSION:
        sdk_session_open(c);
        break;
    default:
        break;
    }
}

static uint32_t wait_for(struct teddy_client *c, bool refused)
{
    uint32_t r = sdk_random32(c);
    uint32_t wait = refused ? sdk_refused_ms(&c->times, c->refusals++, r)
                            : sdk_backoff_ms(&c->times, c->attempts++, r);
    uint32_t asked = c->failure.retry_ms;
    return sdk_least(wait < asked ? asked : wait, TEDDY_RETRY_MAX_MS);
}

/* Ends what the connection was for, and forgets what is in rx. */
static void leave(struct teddy_client *c)
{
    c->port->disconnect(c->ctx);
    sdk_session_end(c);
    wipe(c->rx, c->rx_len);
}

static void fail(struct teddy_client *c, int err)
{
    struct teddy_failure *f = &c->failure;
    if ((f->err | f->status | f->close) == 0) {
        f->err = err;
    }
    leave(c);
    c->event.purpose = goals[c->goal].name;
    unsigned verdict = sdk_verdict_of(c->goal, f);
    if ((verdict & SDK_DROP) != 0) {
        sdk_tokens_drop(c);
    }
    c->goal = verdict & SDK_NEXT;
    uint32_t wait = wait_for(c, (verdict & SDK_REFUSED) != 0);
    c->stage = SDK_WAIT;
    c->deadline = c->now + wait;
    c->shown = TEDDY_STATE_WAITING;
    c->event.err = f->err;
    c->event.status = f->status;
    c->event.close = f->close;
    c->event.code = f->code;
    c->event.wait_ms = wait;
    sdk_emit(c, TEDDY_EVENT_STATE);
}

/* Says goodbye if a frame of its own can still be begun, and forgets all that is secret. */
static void halt(struct teddy_client *c)
{
    c->stop_asked = false;
    if (c->stage == SDK_IDLE) {
        return;
    }
    if (c->stage == SDK_SESSION) {
        c->our_close = WS_CLOSE_NORMAL;
        c->wanted = SDK_FRAME_CLOSE;
        c->stage = SDK_CLOSING; /* what waits is not said behind the close */
        (void)sdk_frames_pump(c);
    }
    leave(c);
    c->deadline = c->now + 1;
    if (c->unkept) {
        (void)c->queue->save(c);
    }
    sdk_tokens_drop(c);
    c->tokenless = false; /* as far as is known */
    wipe(&c->proof, sizeof c->proof);
    c->stage = SDK_IDLE;
    sdk_show(c, TEDDY_STATE_IDLE);
}

/* One stage's work. False when nothing more can be done now. */
static bool advance(struct teddy_client *c)
{
    const struct stage_row *row = &stages[c->stage];
    int rc = row->run(c);
    if (c->stop_asked) {
        return false;
    }
    if (rc == TEDDY_AGAIN && (row->keeps_time || !sdk_due(c, c->deadline))) {
        return false;
    }
    if (rc == TEDDY_OK) {
        bool opened = row->next == SDK_SAVE && c->goal == SDK_CONNECT_SESSION;
        enter(c, opened ? SDK_SESSION : (enum sdk_stage)row->next);
    } else {
        fail(c, rc == TEDDY_AGAIN ? TEDDY_ETIMEOUT : rc);
    }
    return true;
}

static uint32_t wait_of(const struct teddy_client *c)
{
    const struct stage_row *row = &stages[c->stage];
    const struct teddy_outbox *o = &c->outbox;
    if (c->stage == SDK_IDLE) {
        return UINT32_MAX;
    }
    if (c->more) {
        return 0;
    }
    uint32_t wait = c->stage == SDK_SESSION ? sdk_session_wake(c) : sdk_until(c, c->deadline);
    if (o->expiring) {
        wait = sdk_least(wait, sdk_until(c, o->soonest));
    }
    return row->keeps_time || row->on_transport ? wait : sdk_least(wait, SDK_POLL_MS);
}

/* Time goes on, never back, and in one step no further than a time may lie ahead. */
static void tell_time(struct teddy_client *c, uint64_t now_ms)
{
    if (c->clock == 0) {
        c->clock = now_ms;
    }
    uint64_t passed = now_ms - c->clock;
    uint32_t step = (uint32_t)passed;
    int32_t high = (int32_t)(passed >> 32); /* below 0: the caller's clock went back */
    c->more = high > 0 || (high == 0 && step > SDK_SPAN_MS);
    step = high < 0 ? 0 : c->more ? SDK_SPAN_MS : step;
    c->clock += step;
    c->now = (uint32_t)c->clock;
}

void teddy_client_step(struct teddy_client *c, uint64_t now_ms, uint32_t *wait_ms)
{
    unsigned steps = 0;
    tell_time(c, now_ms);
    c->in_step = true;
    sdk_outbox_tick(c);
    while (!c->stop_asked && advance(c)) {
        if (++steps == SDK_STEPS_MAX) {
            c->more = true;
            break;
        }
    }
    sdk_outbox_tick(c); /* what was said meanwhile gets its time */
    sdk_outbox_tell_room(c);
    c->in_step = false;
    if (c->stop_asked) {
        halt(c);
    }
    *wait_ms = wait_of(c);
}

unsigned teddy_client_wants(const struct teddy_client *c)
{
    if (c->stage == SDK_SEND || c->stage == SDK_CLOSING) {
        return TEDDY_WANTS_WRITE; /* an answer that is there already must wake nobody */
    }
    if (c->stage != SDK_SESSION) {
        return TEDDY_WANTS_READ;
    }
    return (c->hold == SDK_HOLD_NONE ? TEDDY_WANTS_READ : 0) |
           (c->frame.kind != 0 ? TEDDY_WANTS_WRITE : 0);
}

enum teddy_state teddy_client_state(const struct teddy_client *c)
{
    return c->stop_asked ? TEDDY_STATE_IDLE : (enum teddy_state)c->shown;
}

void teddy_client_stop(struct teddy_client *c)
{
    c->stop_asked = true;
    if (!c->in_step) {
        halt(c);
    }
}

int teddy_client_forget(struct teddy_client *c)
{
    teddy_client_stop(c);
    sdk_outbox_clear(&c->outbox);
    c->last = (struct downlink_id){0, 0};
    c->unkept = false;
    return c->port->erase(c->ctx);
}
