/* teddyd: opens everything in order, runs the loops, closes everything in the opposite order. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/token.h"
#include "api/session_refresh.h"
#include "mind/alerts.h"
#include "ops/datalock.h"
#include "ops/log.h"
#include "ops/notify.h"
#include "proto/writer.h"
#include "safety/safety.h"
#include "store/restore.h"
#include "teddyd.h"

struct tls_files server_tls_files(const struct server *s)
{
    const struct config *c = &s->app.config;
    return (struct tls_files){s->cert, s->key, c->tls_ca[0] ? c->tls_ca : NULL};
}

static void store_failed(const char *what, const char *advice, int code)
{
    LOG(LOG_ERROR, "store_failed", LOG_S("error", what), LOG_N("code", code), LOG_S("do", advice));
}

/* A wrong value names where it stands, as those that config_load finds do. */
static int read_proxies(struct server *s)
{
    const struct config *c = &s->app.config;
    char wrong[ERROR_MAX / 2];
    if (trusted_proxies_parse(c->trusted_proxies, &s->proxies, wrong, sizeof wrong) == TEDDY_OK)
        return TEDDY_OK;
    snprintf(s->error, sizeof s->error, "%s: %s", c->trusted_proxies_place, wrong);
    return strncmp(c->trusted_proxies_place, "--", 2) == 0 ? TEDDY_EINVAL : TEDDY_EPROTO;
}

static int run_epoch(struct store_tx *tx, struct store_job *job)
{
    (void)job;
    return store_epoch_open(tx, app_now_s());
}

/* Before the first message to a toy is given an id. */
static int open_epoch(struct server *s)
{
    struct store_job job = {.run = run_epoch};
    int rc = store_write_wait(s->app.store, &job);
    if (rc != TEDDY_OK)
        snprintf(s->error, sizeof s->error,
                 "teddy.db in the data directory cannot be written: %s; the log says why",
                 teddy_err_text(rc));
    return rc;
}

static void say_sealing(uint64_t done, uint64_t all)
{
    LOG(LOG_INFO, "sealing_secrets", LOG_N("done", done), LOG_N("devices", all));
    notify("EXTEND_TIMEOUT_USEC=60000000\nSTATUS=Sealing secrets: %llu of %llu",
           (unsigned long long)done, (unsigned long long)all);
}

/* The database, whose secrets are sealed under the master key. */
static int open_store(struct server *s)
{
    char path[PATH_MAX], why[ERROR_MAX], id[2 * SEAL_ID_LEN + 1];
    struct master_key *m = &s->master;
    int rc = master_key_find(m, s->app.config.master_key_file, s->data, s->error, sizeof s->error);
    if (rc != TEDDY_OK)
        return rc;
    snprintf(path, sizeof path, "%s/teddy.db", s->data);
    store_swap_tidy(path);
    rc = upgrade_keep(s, path);
    if (rc != TEDDY_OK) {
        master_key_forget(m);
        return rc;
    }
    struct store_options options = {.path = path,
                                    .master = &m->keys,
                                    .sealing = say_sealing,
                                    .readers = s->app.config.store_readers,
                                    .failed = store_failed,
                                    .committed = timed_commit};
    rc = store_open(&options, &s->app.store, s->error, sizeof s->error);
    if (rc == TEDDY_OK && master_key_settle(m, why, sizeof why) != TEDDY_OK)
        LOG(LOG_WARN, "master_key", LOG_S("warning", why));
    master_key_forget(m);
    if (rc != TEDDY_OK)
        return rc;
    struct writer w = writer_on(id, sizeof id);
    writer_hex(&w, m->id[0], SEAL_ID_LEN);
    if (writer_end(&w) == TEDDY_OK)
        LOG(LOG_INFO, m->made ? "master_key_made" : "master_key",
            LOG_S("source", master_key_source(m)), LOG_S("from", m->from), LOG_S("id", id),
            LOG_N("keys", m->keys.count));
    return rc;
}

static int open_data(struct server *s)
{
    int rc =
        config_data_dir(&s->app.config, true, s->data, sizeof s->data, s->error, sizeof s->error);
    if (rc != TEDDY_OK)
        return rc;
    rc = data_lock(s->data, &s->lock_fd, s->error, sizeof s->error);
    if (rc != TEDDY_OK)
        return rc;
    s->app.claim_policy =
        strcmp(s->app.config.claim_policy, "allow") == 0 ? CLAIM_ALLOW : CLAIM_REQUIRE_RELEASE;
    rc = open_store(s);
    return rc != TEDDY_OK ? rc : open_epoch(s);
}

static int open_tls(struct server *s)
{
    const struct config *c = &s->app.config;
    char warning[ERROR_MAX] = "";
    if (!c->tls)
        return TEDDY_OK;
    if (c->tls_cert[0]) {
        snprintf(s->cert, sizeof s->cert, "%s", c->tls_cert);
        snprintf(s->key, sizeof s->key, "%s", c->tls_key);
    } else {
        int made = 0;
        int rc = tls_dev_certificate(s->data, &made, s->error, sizeof s->error);
        if (rc != TEDDY_OK)
            return rc;
        snprintf(s->cert, sizeof s->cert, "%s/server.crt", s->data);
        snprintf(s->key, sizeof s->key, "%s/server.key", s->data);
        LOG(LOG_INFO, made ? "development_certificate_made" : "development_certificate",
            LOG_S("file", s->cert));
    }
    struct tls_files files = server_tls_files(s);
    int rc = tickets_open(s);
    if (rc == TEDDY_OK)
        rc = tls_context_new(&files, s->tickets, &s->tls, s->error, sizeof s->error, warning,
                             sizeof warning);
    s->app.tls = s->tls;
    if (rc == TEDDY_OK && warning[0] && c->tls_cert[0])
        LOG(LOG_WARN, "certificate", LOG_S("warning", warning));
    return rc;
}

static int open_limits(struct server *s)
{
    int rc = limits_open(&s->app.limits, &s->app.config);
    if (rc != TEDDY_OK)
        snprintf(s->error, sizeof s->error, "cannot make the limits: %s", teddy_err_text(rc));
    return rc;
}

static unsigned loops_wanted(const struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = c->loops ? c->loops : (unsigned)(cores > 0 ? cores : 1);
    return count < METRIC_LOOPS_MAX ? count : METRIC_LOOPS_MAX;
}

static const char *given(const char *word)
{
    return word[0] ? word : NULL;
}

/* Its words are the configuration's. */
static struct process_config process_config(const struct server *s)
{
    const struct config *c = &s->app.config;
    return (struct process_config){
        .loops = loops_wanted(c),
        .script = {given(c->script_rules)},
        .chat = {.url = given(c->chat_url),
                 .model = given(c->chat_model),
                 .key_file = given(c->chat_key_file),
                 .temperature = given(c->chat_temperature),
                 .max_tokens = c->chat_max_tokens},
        .webhook = {given(c->webhook_url), given(c->webhook_secret_file)},
        .exec = {given(c->exec_command), c->exec_workers},
        .backend = {.first_token_ms = c->backend_first_token_ms,
                    .idle_ms = c->backend_idle_ms,
                    .total_ms = c->backend_total_ms,
                    .concurrency = c->backend_concurrency,
                    .queue_max = c->backend_queue_max,
                    .reply_max = c->backend_reply_max,
                    .ca_file = given(c->backend_ca_file),
                    .proxy = given(c->backend_proxy)},
    };
}

static int open_safety(struct server *s)
{
    const struct config *c = &s->app.config;
    struct safety_config sc = {.dir = given(c->safety_dir),
                               .language = given(c->safety_language),
                               .allow_uncovered = c->safety_allow_uncovered};
    int rc = safety_open(&sc, &s->safety, s->error, sizeof s->error);
    if (rc != TEDDY_OK)
        return rc;
    struct safety_counts n = safety_counts(s->safety);
    LOG(LOG_INFO, "safety", LOG_N("languages", n.languages), LOG_N("patterns", n.patterns),
        LOG_N("bytes", n.bytes));
    return TEDDY_OK;
}

static int open_alerts(struct server *s)
{
    const struct config *c = &s->app.config;
    struct alerts_config ac = {.store = s->app.store,
                               .url = c->alert_url,
                               .secret_file = given(c->alert_secret_file),
                               .ca_file = given(c->backend_ca_file),
                               .proxy = given(c->backend_proxy)};
    return ac.url[0] ? alerts_open(&ac, &s->alerts, s->error, sizeof s->error) : TEDDY_OK;
}

static int open_minds(struct server *s)
{
    const struct config *c = &s->app.config;
    struct mind_config mc = {
        .process = processes_find(&s->processes, c->processor),
        .fallback = processes_find(&s->processes, "script"),
        .processes = &s->processes,
        .safety = s->safety,
        .store = s->app.store,
        .alerts = s->alerts,
        .memory = c->memory,
        .blocked_words = c->blocked_words,
        .memory_turns = c->memory_turns,
        .memory_bytes = c->memory_bytes,
        .prompt_file = given(c->chat_prompt_file),
        .moderation = {.url = given(c->moderation_url),
                       .model = given(c->moderation_model),
                       .key_file = given(c->moderation_key_file),
                       .late_ms = c->moderation_late_ms,
                       .ca_file = given(c->backend_ca_file),
                       .proxy = given(c->backend_proxy)},
    };
    if (!mc.process)
        return TEDDY_EINVAL; /* config_check has seen to it */
    return minds_open(&mc, &s->minds, s->error, sizeof s->error);
}

static int open_processors(struct server *s)
{
    const struct config *c = &s->app.config;
    struct process_config pc = process_config(s);
    int rc = processes_open(&pc, &s->processes, s->error, sizeof s->error);
    if (rc == TEDDY_OK)
        rc = open_safety(s);
    if (rc == TEDDY_OK)
        rc = open_alerts(s);
    if (rc == TEDDY_OK)
        rc = open_minds(s);
    if (rc != TEDDY_OK)
        return rc;
    s->app.session = (struct session_config){
        .ping_ms = c->ping_ms,
        .silence_ms = c->silence_ms,
        .expiring_notice_s = c->expiring_notice_s,
        .legacy_session_max_s = c->legacy_session_max_s,
        .message_max = c->message_max,
        .utterance_max = c->utterance_max,
        .messages_per_s = c->messages_per_s,
        .messages_burst = c->messages_burst,
        .retry_min_ms = c->retry_min_ms,
        .retry_max_ms = c->retry_max_ms,
        .minds = s->minds,
        .store = s->app.store,
        .downlink_max = c->downlink_max,
        .telemetry = {c->telemetry_interval_s,
                      telemetry_rows(c->retention_telemetry_days, c->telemetry_interval_s)},
        .refresh = session_refresh,
        .refresh_context = &s->app,
    };
    return TEDDY_OK;
}

static int open_loops(struct server *s)
{
    struct app *a = &s->app;
    for (unsigned i = 0, count = loops_wanted(&a->config); i < count; i++) {
        int rc = loop_new(&a->loops[i], i);
        if (rc == TEDDY_OK) {
            a->loop_count++;
            loop_set_watch(a->loops[i], &timed_loop);
            rc = hub_new(a->loops[i], &a->session, &a->hubs[i]);
        }
        if (rc == TEDDY_OK)
            rc = processes_start(&s->processes, a->loops[i]);
        if (rc == TEDDY_OK)
            rc = minds_start(s->minds, a->loops[i]);
        if (rc == TEDDY_OK && i == 0 && s->alerts)
            rc = alerts_start(s->alerts, a->loops[i]);
        if (rc != TEDDY_OK) {
            snprintf(s->error, sizeof s->error, "cannot make an event loop: %s",
                     teddy_err_text(rc));
            return rc;
        }
    }
    return TEDDY_OK;
}

/* The loops first: they still run what was posted to them, which may ask for a hub. */
static void close_loops(struct server *s)
{
    struct app *a = &s->app;
    alerts_stop(s->alerts);
    for (unsigned i = 0; i < a->loop_count; i++) {
        processes_stop(&s->processes, a->loops[i]);
        minds_stop(s->minds, a->loops[i]);
    }
    for (unsigned i = 0; i < a->loop_count; i++)
        loop_free(a->loops[i]);
    for (unsigned i = 0; i < a->loop_count; i++)
        hub_free(a->hubs[i]);
}

/* Its files only where they may be seen: on the administration's own listener. */
static int open_console(struct server *s)
{
    const struct config *c = &s->app.config;
    s->console.files = c->console && c->tls && console_files[0].path ? console_files : NULL;
    s->console.sessions = console_sessions_new();
    s->console.events = console_events_new(&s->admin, s->app.loops[0]);
    if (s->console.sessions && s->console.events)
        return TEDDY_OK;
    snprintf(s->error, sizeof s->error, "cannot make the console: %s",
             teddy_err_text(TEDDY_ENOMEM));
    return TEDDY_ENOMEM;
}

static int open_admin(struct server *s)
{
    s->admin = (struct admin_context){
        .store = s->app.store,
        .loops = s->app.loops,
        .hubs = s->app.hubs,
        .loop_count = s->app.loop_count,
        .drain = drain_request,
        .started_s = (uint64_t)time(NULL),
        .drain_context = s,
        .downlinks = {s->app.config.downlink_queue_max, s->app.config.downlink_expiry_s,
                      s->app.config.downlink_max},
        .failures = s->app.limits.of[LIMITS_ADMIN_FAILURES],
        .keys = &s->app.keys,
        .keys_change = jwt_keys_change,
        .keys_context = s,
        .master = &s->master,
        .processes = &s->processes,
        .minds = s->minds,
        .audit_key = s->trail.key,
        .console = &s->console,
        .cookie = s->console.files ? console_cookie : NULL,
    };
    int rc = admin_tokens_load(s->app.store, &s->admin.tokens);
    if (rc != TEDDY_OK)
        snprintf(s->error, sizeof s->error, "cannot read the admin tokens: %s", teddy_err_text(rc));
    return rc;
}

static void *run_loop(void *loop)
{
    loop_run(loop);
    return NULL;
}

static int start_threads(struct server *s)
{
    for (unsigned i = 1; i < s->app.loop_count; i++) {
        int rc = pthread_create(&s->threads[i], NULL, run_loop, s->app.loops[i]);
        if (rc != 0) {
            snprintf(s->error, sizeof s->error, "cannot start a thread: %s", strerror(rc));
            return TEDDY_EIO;
        }
        s->threads_started = i;
    }
    return TEDDY_OK;
}

static void join_threads(struct server *s)
{
    for (unsigned i = 1; i <= s->threads_started; i++) {
        loop_stop(s->app.loops[i]);
        pthread_join(s->threads[i], NULL);
    }
}

static void say_ready(const struct server *s)
{
    bool v6 = strchr(s->listen_host, ':') != NULL;
    LOG(LOG_INFO, "ready", LOG_S("host", s->listen_host), LOG_N("port", s->listen_port),
        LOG_N("loops", s->app.loop_count), LOG_S("data", s->data), LOG_S("version", TEDDY_VERSION));
    printf("ready %s://%s%s%s:%u\n", s->app.config.tls ? "https" : "http", v6 ? "[" : "",
           s->listen_host, v6 ? "]" : "", (unsigned)s->listen_port);
    fflush(stdout);
    notify("READY=1\nSTATUS=Serving");
}

static int run(struct server *s)
{
    int rc = start_threads(s);
    if (rc == TEDDY_OK) {
        say_ready(s);
        loop_run(s->app.loops[0]);
    }
    join_threads(s);
    return rc;
}

/* Opens, runs and closes; on failure s->error says why. */
static int serve(struct server *s)
{
    int rc = open_data(s);
    if (rc == TEDDY_OK)
        rc = trail_open(s);
    if (rc == TEDDY_OK)
        rc = jwt_keys_open(s);
    if (rc == TEDDY_OK)
        rc = open_tls(s);
    if (rc == TEDDY_OK)
        rc = open_limits(s);
    if (rc == TEDDY_OK)
        rc = open_processors(s);
    if (rc == TEDDY_OK)
        rc = open_loops(s);
    if (rc == TEDDY_OK)
        rc = open_console(s);
    if (rc == TEDDY_OK)
        rc = serve_open(s);
    if (rc == TEDDY_OK)
        rc = open_admin(s);
    if (rc == TEDDY_OK)
        rc = serve_start(s);
    if (rc == TEDDY_OK)
        rc = signals_open(s);
    if (rc == TEDDY_OK) {
        upkeep_start(s);
        jwt_keys_start(s);
        trail_start(s);
        tickets_start(s);
        watchdog_start(s);
        rc = run(s);
    }

    notify("STOPPING=1\nSTATUS=Closing the store");
    watchdog_stop(s);
    if (s->console.events)
        console_events_stop(s->console.events);
    /* The store first: what it still has to say, it says to loops that are there. */
    for (unsigned i = 0; i < s->app.loop_count; i++)
        hub_flush(s->app.hubs[i]);
    trail_stop(s);
    store_close(s->app.store);
    trail_close(s);
    if (http_in_flight() > 0 || conn_count() > 0) {
        /* The drain ran out of time. Everything answered is durable; the rest is the kernel's to
         * take back. */
        serve_unlink_admin(s);
        _exit(rc == TEDDY_OK ? 0 : 1);
    }
    upkeep_stop(s);
    jwt_keys_stop(s);
    tickets_stop(s);
    signals_close(s);
    serve_close(s);
    close_loops(s);
    minds_close(s->minds);
    alerts_close(s->alerts);
    safety_close(s->safety);
    processes_close(&s->processes);
    limits_close(&s->app.limits);
    admin_tokens_free(s->admin.tokens);
    console_events_free(s->console.events);
    console_sessions_free(s->console.sessions);
    tls_context_free(s->tls);
    tls_tickets_free(s->tickets);
    jwt_keys_close(s);
    data_unlock(s->lock_fd);
    return rc;
}

int main(int argc, char **argv)
{
    static struct server s = {.lock_fd = -1,
                              .public_fd = -1,
                              .admin_fd = -1,
                              .admin_https_fd = -1,
                              .metrics_fd = -1,
                              .signals = {.fd = -1}};
    int rc = config_load(&s.app.config, argc, argv, s.error, sizeof s.error);
    if (rc == TEDDY_AGAIN)
        return 0;
    if (rc == TEDDY_OK)
        rc = read_proxies(&s);
    if (rc != TEDDY_OK) {
        fprintf(stderr, "teddyd: %s\n", s.error);
        return rc == TEDDY_EINVAL ? 2 : 1;
    }
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    enum log_level level = LOG_ERROR;
    while (level < LOG_DEBUG && strcmp(levels[level], s.app.config.log_level) != 0)
        level++;
    log_setup(level, strcmp(s.app.config.log_format, "json") == 0 ? LOG_JSON : LOG_LOGFMT);
    umask(077);
    if (notify_open() != TEDDY_OK) {
        fprintf(stderr, "teddyd: NOTIFY_SOCKET or WATCHDOG_USEC cannot be used; unset them, or let "
                        "the service manager set them\n");
        return 1;
    }
    signals_block();
    rc = serve(&s);
    if (rc != TEDDY_OK) {
        fprintf(stderr, "teddyd: %s\n", s.error[0] ? s.error : teddy_err_text(rc));
        return 1;
    }
    return 0;
}
