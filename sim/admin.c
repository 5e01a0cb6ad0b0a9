/* The operator: posts messages for the toys through the server's admin socket, in threads of its
 * own, each with its share of the toys, so that a toy's messages keep their order. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/endpoints.h"
#include "sim/sim.h"

#define TIMEOUT_S 20L
#define RETRY_MS  100
#define BURST     4

struct poster {
    struct sim *sim;
    unsigned number;
    CURL *curl;
    struct curl_slist *fields;
    uint64_t sent;
};

static size_t drop(char *data, size_t size, size_t n, void *user)
{
    (void)data;
    (void)user;
    return size * n;
}

static void rest(unsigned ms)
{
    (void)nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static bool set_up(struct poster *p)
{
    CURLcode rc = CURLE_OK;

    p->curl = curl_easy_init();
    p->fields = curl_slist_append(NULL, "Content-Type: application/json");
    if (p->curl == NULL || p->fields == NULL)
        return false;
    rc |= curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
    rc |= curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->fields);
    rc |= curl_easy_setopt(p->curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    rc |= curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, drop);
    rc |= curl_easy_setopt(p->curl, CURLOPT_POST, 1L);
    /* On a connection that was kept and turns out dead libcurl asks again by itself: the message
     * would be posted twice. */
    rc |= curl_easy_setopt(p->curl, CURLOPT_FORBID_REUSE, 1L);
    return rc == CURLE_OK;
}

/* The answer's status; 0: none came, so that nobody knows whether it was queued; -1: the server was
 * not reached. */
static long post(struct poster *p, const struct toy *t, uint32_t n)
{
    const struct sim_args *a = p->sim->args;
    char url[256], body[160], path[512];
    CURLcode rc = CURLE_OK;
    long status = 0;

    snprintf(path, sizeof path, "%s/admin.sock", t->index < a->tls ? a->tls_admin : a->admin);
    snprintf(url, sizeof url, "http://localhost%s/devices/%s/messages", ENDPOINT_ADMIN, t->id);
    snprintf(body, sizeof body, "{\"text\":\"%s%s %u\"}", p->sim->run, t->id, n);
    rc |= curl_easy_setopt(p->curl, CURLOPT_UNIX_SOCKET_PATH, path);
    rc |= curl_easy_setopt(p->curl, CURLOPT_URL, url);
    rc |= curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, body);
    if (rc == CURLE_OK)
        rc = curl_easy_perform(p->curl);
    if (rc == CURLE_COULDNT_CONNECT)
        return -1;
    if (rc != CURLE_OK || curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
        return 0;
    return status;
}

/* A message that may or may not have been queued is never posted again: it would then be our own
 * doubling. It may arrive or not. */
static void post_one(struct poster *p, struct toy *t, uint32_t n)
{
    struct sim *sim = p->sim;
    long status;

    for (;;) {
        status = post(p, t, n);
        /* Not reached, not able to, or the toy's queue is full: nothing was queued. */
        if (status != -1 && status != 503 && status != 429 && status != 409)
            break;
        if (atomic_load(&sim->end_posting))
            return;
        rest(RETRY_MS);
    }
    if (status == 200 || status == 201) {
        (void)tally_take(&t->posted, n);
        sim->posted++;
    } else if (status == 0) {
        sim->unanswered++;
    } else if (sim->refused_posts++ == 0) {
        fprintf(stderr, "teddy-sim: a message for %s was answered %ld\n", t->id, status);
    }
}

/* The same pace as what is said: --rate, of all posters together. */
static void keep_pace(struct poster *p, uint64_t began)
{
    uint64_t due = began + p->sent * SIM_POSTERS * 1000 / p->sim->args->rate;
    uint64_t now = teddy_posix_now_ms();

    if (due > now)
        rest((unsigned)(due - now < 1000 ? due - now : 1000));
}

/* Only a toy that was online: the first claim of a device empties its queue. */
static bool await_bound(struct sim *sim, struct toy *t)
{
    while (!atomic_load(&t->bound)) {
        if (atomic_load(&sim->end_posting))
            return false;
        rest(10);
    }
    return true;
}

/* Some at a time, so that several are on their way when the toy's connection breaks. False: it is
 * time to end. */
static bool post_burst(struct poster *p, struct toy *t, uint32_t from, uint64_t began)
{
    struct sim *sim = p->sim;

    if (!await_bound(sim, t))
        return false;
    for (uint32_t n = from; n < from + BURST && n < sim->args->down; n++) {
        post_one(p, t, n);
        p->sent++;
    }
    keep_pace(p, began);
    return !atomic_load(&sim->end_posting);
}

static void *poster_run(void *arg)
{
    struct poster *p = arg;
    struct sim *sim = p->sim;
    uint64_t began = teddy_posix_now_ms();
    bool ready = set_up(p);

    if (!ready)
        fprintf(stderr, "teddy-sim: libcurl could not be set up\n");
    for (uint32_t n = 0; ready && n < sim->args->down; n += BURST)
        for (uint32_t i = p->number; i < sim->args->devices; i += SIM_POSTERS)
            if (!post_burst(p, &sim->toys[i], n, began))
                goto out;
out:
    curl_slist_free_all(p->fields);
    curl_easy_cleanup(p->curl);
    free(p);
    sim->posters_done++;
    return NULL;
}

bool admin_start(struct sim *sim)
{
    if (sim->args->down == 0)
        return true;
    for (unsigned i = 0; i < SIM_POSTERS; i++) {
        struct poster *p = calloc(1, sizeof *p);
        if (p == NULL)
            return false;
        *p = (struct poster){.sim = sim, .number = i};
        if (pthread_create(&sim->posters[i], NULL, poster_run, p) != 0) {
            free(p);
            return false;
        }
        sim->poster_count++;
    }
    return true;
}

void admin_join(struct sim *sim)
{
    sim->end_posting = true;
    for (unsigned i = 0; i < sim->poster_count; i++)
        (void)pthread_join(sim->posters[i], NULL);
}
