#include "talk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"
#include "proto/text.h"
#include "show.h"

#define ANSWER_MS 30000 /* an answer that takes longer is not waited for */

struct talk {
    const struct args *args;
    struct teddy_posix *port;
    struct teddy_client client;
    struct show show;
    struct lines lines;
    size_t unanswered; /* echoed, and the reply is still to come */
    uint64_t answer_until_ms;
    uint64_t progress_ms; /* when something was last answered, or the input ended */
    size_t said, echoed;
    size_t unsaid; /* lines that could not be said at all */
    bool was_online, stopping;
    uint8_t rx[LIMIT_WS_MESSAGE + 1024];
    uint8_t outbox[4 * LIMIT_UTTERANCE];
};

static void on_log(void *user, enum teddy_log_level level, const char *line)
{
    struct talk *t = user;

    show_note(&t->show, level, line);
}

static void one_answered(struct talk *t)
{
    if (t->unanswered > 0)
        t->unanswered--;
}

static void on_event(void *user, const struct teddy_event *e)
{
    struct talk *t = user;
    bool online = e->type == TEDDY_EVENT_STATE && e->state == TEDDY_STATE_ONLINE;
    struct teddy_posix_peer peer;

    if (e->type == TEDDY_EVENT_ECHO || e->type == TEDDY_EVENT_REPLY || online)
        t->progress_ms = teddy_posix_now_ms();
    if (e->type == TEDDY_EVENT_ECHO)
        t->echoed++;
    if (e->type == TEDDY_EVENT_ECHO && !e->done) {
        t->unanswered++;
        t->answer_until_ms = t->progress_ms + ANSWER_MS;
    } else if (e->type == TEDDY_EVENT_REPLY && e->done) {
        one_answered(t);
    } else if (e->type == TEDDY_EVENT_ERROR && e->seq != 0) {
        one_answered(t);
    } else if (e->type == TEDDY_EVENT_STATE) {
        t->was_online = t->was_online || online;
        if (e->state == TEDDY_STATE_WAITING && t->unanswered > 0) {
            t->unanswered = 0; /* answers end with their session */
            show_note(&t->show, TEDDY_LOG_WARN, "an answer was lost with the session");
        }
    }
    teddy_posix_peer(t->port, &peer);
    show_event(&t->show, e, &peer);
}

/* Printed is taken: it is acked, and does not come again. */
static bool on_message(void *user, const struct teddy_message *m)
{
    struct talk *t = user;

    show_message(&t->show, m);
    return true;
}

/* Nothing before the first session, so that what is shown reads in its order. */
static bool may_say(struct talk *t)
{
    return t->was_online && !t->stopping &&
           teddy_client_pending(&t->client) + t->unanswered < t->args->ahead;
}

/* Says what stdin has; a full outbox or an answer to come leaves the rest, unread, to the pipe. */
static void say_lines(struct talk *t)
{
    while (may_say(t)) {
        const char *text;
        size_t len;
        uint64_t id;
        switch (lines_next(&t->lines, &text, &len)) {
        case LINES_LINE:
            if (teddy_client_say(&t->client, text, len, NULL, &id) != TEDDY_OK)
                return;
            t->said++;
            show_said(&t->show, text, len, id);
            lines_drop(&t->lines);
            break;
        case LINES_TOO_LONG:
            t->unsaid++;
            show_note(&t->show, TEDDY_LOG_WARN,
                      "a line was not said: it is longer than 4096 bytes");
            break;
        case LINES_NOT_UTF8:
            t->unsaid++;
            show_note(&t->show, TEDDY_LOG_WARN, "a line was not said: it is not UTF-8 text");
            break;
        case LINES_NONE:
            show_prompt(&t->show);
            return;
        case LINES_END:
            return;
        }
    }
}

static uint64_t linger_until(const struct talk *t)
{
    return t->progress_ms + t->args->linger_s * UINT64_C(1000);
}

/* True when nothing is left to do: a toy that was given nothing to say has at least been online. */
static bool finished(struct talk *t)
{
    if (t->stopping)
        return true;
    if (!t->lines.ended)
        return false;
    if (teddy_posix_now_ms() >= linger_until(t))
        return true;
    return t->lines.len == 0 && teddy_client_pending(&t->client) == 0 && t->unanswered == 0 &&
           t->was_online;
}

static void sooner(uint32_t *wait_ms, uint64_t at_ms)
{
    uint64_t now = teddy_posix_now_ms();
    uint64_t left = at_ms > now ? at_ms - now : 0;

    if (left < *wait_ms)
        *wait_ms = (uint32_t)left;
}

static int wait_for_something(struct talk *t, uint32_t wait_ms, int signals)
{
    struct pollfd extra[2] = {{.fd = signals, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    int err;

    /* No further than the buffer: what we cannot say yet waits in the pipe, and its writer too. */
    if (!t->lines.ended && t->lines.len < sizeof t->lines.buf)
        extra[1].fd = t->lines.fd;
    if (t->lines.ended)
        sooner(&wait_ms, linger_until(t));
    if (t->unanswered > 0)
        sooner(&wait_ms, t->answer_until_ms);
    err = teddy_posix_wait(t->port, wait_ms, teddy_client_wants(&t->client), extra, 2);
    if (extra[0].revents != 0)
        t->stopping = true;
    if (extra[1].revents != 0) {
        lines_fill(&t->lines);
        t->progress_ms = teddy_posix_now_ms();
    }
    return err;
}

static void give_up_answers(struct talk *t)
{
    if (t->unanswered == 0 || teddy_posix_now_ms() < t->answer_until_ms)
        return;
    t->unanswered = 0;
    show_note(&t->show, TEDDY_LOG_WARN, "no answer came");
}

/* What keeps the next line from being said. */
static size_t obstacles(const struct talk *t)
{
    return teddy_client_pending(&t->client) + t->unanswered + !t->was_online;
}

static int run(struct talk *t, int signals)
{
    while (!finished(t)) {
        uint32_t wait_ms;
        say_lines(t);
        size_t before = obstacles(t);
        teddy_client_step(&t->client, teddy_posix_now_ms(), &wait_ms);
        give_up_answers(t);
        if (obstacles(t) < before)
            continue; /* there is room for the next line now */
        if (!finished(t) && wait_for_something(t, wait_ms, signals) != TEDDY_OK)
            return TEDDY_EIO;
    }
    return TEDDY_OK;
}

/* The exit status; a failure with the one line that says why and what to do. */
static int verdict(struct talk *t, int err)
{
    const char *why =
        t->show.reason[0] != '\0' ? t->show.reason : "the server did not answer in time";

    if (err)
        fprintf(stderr, "teddy-device: cannot wait for the network: try again\n");
    else if (t->said > t->echoed)
        fprintf(stderr, "teddy-device: %zu of what was said was never echoed: %s\n",
                t->said - t->echoed, why);
    else if (t->unsaid > 0)
        fprintf(stderr,
                "teddy-device: %zu lines were not said: lines are UTF-8 of at most 4096 bytes\n",
                t->unsaid);
    else if (t->lines.len > 0 && !t->stopping)
        fprintf(stderr, "teddy-device: not all of the input was said: %s\n", why);
    else if (!t->was_online && !t->stopping)
        fprintf(stderr, "teddy-device: never online: %s\n", why);
    else
        return EXIT_DONE;
    return EXIT_FAILED;
}

static int open_port(struct talk *t)
{
    const struct args *a = t->args;
    struct teddy_posix_options o = {
        .ca_file = a->ca,
        .secret_file = a->secret_file,
        .state_file = a->state,
        .bind_addr = a->bind,
        .log = on_log,
        .log_user = t,
    };
    char why[400] = "";
    int err = teddy_posix_new(&t->port, &o, why, sizeof why);

    if (err)
        fprintf(stderr, "teddy-device: %s\n", why[0] != '\0' ? why : teddy_err_text(err));
    return err;
}

static int open_client(struct talk *t)
{
    const struct args *a = t->args;
    struct teddy_client_config config = {
        .server_url = a->server,
        .claim_endpoint = a->claim_endpoint,
        .ws_endpoint = a->ws_endpoint,
        .device_id = a->id,
        .child_id = a->child,
        .firmware = a->firmware,
        .allow_plain = a->allow_plain,
        .times = &a->times,
        .on_event = on_event,
        .user = t,
    };

    int err = teddy_client_init(&t->client, &config, &teddy_posix_port, t->port, t->rx,
                                sizeof t->rx, t->outbox, sizeof t->outbox);

    if (err == TEDDY_OK)
        teddy_client_on_message(&t->client, on_message);
    return err;
}

int talk(const struct args *args, int signals)
{
    struct talk *t = calloc(1, sizeof *t);
    int status = EXIT_FAILED, err;

    if (!t) {
        fprintf(stderr, "teddy-device: out of memory\n");
        return status;
    }
    t->args = args;
    show_init(&t->show, args);
    lines_init(&t->lines, STDIN_FILENO);
    if (open_port(t) == TEDDY_OK) {
        if (open_client(t) != TEDDY_OK) {
            status = EXIT_USAGE; /* the log has said which option */
        } else {
            err = run(t, signals);
            status = verdict(t, err);
            teddy_client_stop(&t->client);
        }
        teddy_posix_free(t->port);
    }
    wipe(t, sizeof *t);
    free(t);
    return status;
}
