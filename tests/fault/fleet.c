/* Many toys in one process, each the SDK's own core on the POSIX port, for the storm: they claim,
 * connect and talk while everything around them breaks.
 *
 *   fleet URL CA_FILE FOLDER COUNT      FOLDER holds storm-0000.secret, …; states are kept there
 *
 * Prints a line for each claim and each time a toy comes online. A toy says something each time it
 * comes online, and every few seconds forgets its tokens and has to claim anew. The line "settle"
 * on stdin means: no more faults; every toy says one thing more, and once all are online and all
 * was echoed a line {"settled":…} is the report. Exit 0 if that came to be. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sdk/port/posix/teddy_posix.h"
#include "teddy/client.h"

#define SETTLE_MS 90000

struct toy {
    struct teddy_client client;
    struct teddy_posix *port;
    uint8_t rx[4096], outbox[4096];
    uint64_t step_at, forget_at;
    unsigned index, onlines, said, echoed;
    bool online;
    char id[32];
};

static struct {
    unsigned claims, refreshes, unknown_tokens, refused;
    bool settling;
} seen;

/* A token that the server answered and does not know any more. */
static bool means_unknown(const struct teddy_event *e)
{
    return strcmp(e->code, "token_revoked") == 0 || strcmp(e->code, "bad_token") == 0 ||
           strcmp(e->code, "token_reused") == 0;
}

static void say(struct toy *t, const char *what)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s number %u", what, t->said + 1);
    if (teddy_client_say(&t->client, text, (size_t)len, NULL, NULL) == TEDDY_OK)
        t->said++;
}

static void on_event(void *user, const struct teddy_event *e)
{
    struct toy *t = user;
    if (e->type == TEDDY_EVENT_CLAIMED) {
        seen.claims++;
        printf("claimed %s\n", t->id);
    }
    if (e->type == TEDDY_EVENT_REFRESHED)
        seen.refreshes++;
    if (e->type == TEDDY_EVENT_ECHO)
        t->echoed++;
    if (e->type != TEDDY_EVENT_STATE)
        return;
    t->online = e->state == TEDDY_STATE_ONLINE;
    if (t->online) {
        t->onlines++;
        printf("online %s\n", t->id);
        say(t, "hello");
    }
    if (e->state == TEDDY_STATE_WAITING && means_unknown(e)) {
        seen.unknown_tokens++;
        fprintf(stderr, "%s: %s (%d, %d)\n", t->id, e->code, e->status, e->close);
    }
    if (e->state == TEDDY_STATE_WAITING &&
        (e->status == 401 || e->status == 403 || e->status == 404))
        seen.refused++;
}

static int toy_start(struct toy *t, unsigned i, const char *url,
                     const struct teddy_posix_trust *trust, const char *folder)
{
    char secret[512], state[512], address[32], why[256] = "";
    t->index = i;
    snprintf(t->id, sizeof t->id, "storm-%04u", i);
    snprintf(secret, sizeof secret, "%s/%s.secret", folder, t->id);
    snprintf(state, sizeof state, "%s/%s.state", folder, t->id);
    snprintf(address, sizeof address, "127.%u.%u.%u", 10 + i % 40, 1 + i / 200, 1 + i % 200);
    struct teddy_posix_options options = {
        .trust = trust, .secret_file = secret, .state_file = state, .bind_addr = address};
    struct teddy_client_config config = {
        .server_url = url,
        .device_id = t->id,
        .child_id = "storm-child",
        .firmware = "fleet",
        .backoff_floor_ms = 50,
        .backoff_base_ms = 200,
        .backoff_cap_ms = 2000,
        .backoff_refused_ms = 3000,
        .step_timeout_ms = 8000,
        .echo_timeout_ms = 4000,
        .on_event = on_event,
        .user = t,
    };
    int rc = teddy_posix_new(&t->port, &options, why, sizeof why);
    if (rc == TEDDY_OK)
        rc = teddy_client_init(&t->client, &config, &teddy_posix_port, t->port, t->rx, sizeof t->rx,
                               t->outbox, sizeof t->outbox);
    if (rc != TEDDY_OK)
        fprintf(stderr, "fleet: %s: %s %s\n", t->id, teddy_err_text(rc), why);
    return rc;
}

/* As after a factory reset: the next step claims. Spread, so that claims are under way at any
 * moment. */
static void toy_forget(struct toy *t, uint64_t now)
{
    if (t->forget_at && teddy_client_forget(&t->client) != TEDDY_OK)
        fprintf(stderr, "%s: cannot forget its tokens\n", t->id);
    t->forget_at = now + 1500 + t->index * 7919 % 4000;
}

/* Where each toy's descriptors stand in the poll set of this round. */
struct waiting {
    struct pollfd *fds;
    size_t *first; /* count + 1 entries; [i] to [i + 1] are toy i's */
};

static uint32_t gather(struct toy *toys, unsigned count, struct waiting *w, uint64_t now)
{
    uint32_t wait_ms = 1000;
    w->fds[0] = (struct pollfd){.fd = seen.settling ? -1 : STDIN_FILENO, .events = POLLIN};
    size_t n = 1;
    for (unsigned i = 0; i < count; i++) {
        struct toy *t = &toys[i];
        uint32_t left = t->step_at > now ? (uint32_t)(t->step_at - now) : 0;
        w->first[i] = n;
        n += teddy_posix_poll(t->port, teddy_client_wants_write(&t->client), w->fds + n,
                              TEDDY_POSIX_POLL_MAX, &left);
        t->step_at = now + left;
        wait_ms = left < wait_ms ? left : wait_ms;
    }
    w->first[count] = n;
    return wait_ms;
}

static void step_ready(struct toy *toys, unsigned count, const struct waiting *w)
{
    uint64_t now = teddy_posix_now_ms();
    for (unsigned i = 0; i < count; i++) {
        bool ready = toys[i].step_at <= now;
        for (size_t f = w->first[i]; f < w->first[i + 1]; f++)
            ready |= w->fds[f].revents != 0;
        if (!ready)
            continue;
        if (toys[i].online && toys[i].forget_at <= now && !seen.settling &&
            teddy_client_pending(&toys[i].client) == 0)
            toy_forget(&toys[i], now);
        uint32_t wait_ms;
        teddy_client_step(&toys[i].client, now, &wait_ms);
        toys[i].step_at = now + wait_ms;
    }
}

static bool all_settled(struct toy *toys, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!toys[i].online || teddy_client_pending(&toys[i].client) > 0 ||
            toys[i].echoed < toys[i].said)
            return false;
    return true;
}

static void report(const struct toy *toys, unsigned count, bool settled)
{
    unsigned online = 0, said = 0, echoed = 0, onlines = 0;
    for (unsigned i = 0; i < count; i++) {
        online += toys[i].online;
        said += toys[i].said;
        echoed += toys[i].echoed;
        onlines += toys[i].onlines;
    }
    printf("{\"settled\":%s,\"toys\":%u,\"online\":%u,\"claims\":%u,\"refreshes\":%u,"
           "\"reconnects\":%u,\"said\":%u,"
           "\"unechoed\":%u,\"unknown_tokens\":%u,\"refused\":%u}\n",
           settled ? "true" : "false", count, online, seen.claims, seen.refreshes, onlines, said,
           said - echoed, seen.unknown_tokens, seen.refused);
    fflush(stdout);
}

/* Reads "settle"; the end of stdin ends the run. False then. */
static bool read_order(struct toy *toys, unsigned count)
{
    char line[64];
    ssize_t got = read(STDIN_FILENO, line, sizeof line);
    if (got <= 0)
        return false;
    seen.settling = true;
    for (unsigned i = 0; i < count; i++) {
        say(&toys[i], "goodnight");
        toys[i].step_at = 0;
    }
    return true;
}

static int run(struct toy *toys, unsigned count)
{
    struct waiting w = {calloc(1 + (size_t)count * TEDDY_POSIX_POLL_MAX, sizeof *w.fds),
                        calloc((size_t)count + 1, sizeof *w.first)};
    uint64_t settle_by = UINT64_MAX;
    int status = 1;
    while (w.fds && w.first) {
        uint64_t now = teddy_posix_now_ms();
        if (seen.settling && (all_settled(toys, count) || now > settle_by)) {
            status = all_settled(toys, count) ? 0 : 1;
            report(toys, count, status == 0);
            break;
        }
        uint32_t wait_ms = gather(toys, count, &w, now);
        if (poll(w.fds, w.first[count], (int)wait_ms) < 0)
            continue;
        if (w.fds[0].revents) {
            if (!read_order(toys, count))
                break;
            settle_by = now + SETTLE_MS;
        }
        step_ready(toys, count, &w);
    }
    free(w.fds);
    free(w.first);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: fleet URL CA_FILE FOLDER COUNT\n");
        return 2;
    }
    unsigned long count = strtoul(argv[4], NULL, 10);
    if (count < 1 || count > 10000)
        return 2;
    struct rlimit files;
    setvbuf(stdout, NULL, _IOLBF, 0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    char why[256] = "";
    struct teddy_posix_trust *trust = NULL;
    struct toy *toys = calloc(count, sizeof *toys);
    int status = 1;
    if (!toys || teddy_posix_trust_load(&trust, argv[2], why, sizeof why) != TEDDY_OK) {
        fprintf(stderr, "fleet: %s\n", why);
        free(toys);
        return 1;
    }
    unsigned started = 0;
    while (started < count &&
           toy_start(&toys[started], started, argv[1], trust, argv[3]) == TEDDY_OK)
        started++;
    if (started == count)
        status = run(toys, (unsigned)count);
    for (unsigned i = 0; i <= started && i < count; i++)
        teddy_posix_free(toys[i].port);
    teddy_posix_trust_free(trust);
    free(toys);
    return status;
}
