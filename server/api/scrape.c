/* GET /metrics (docs/metrics.md): what the loops have counted, and what is asked of its owner at
 * the scrape. Into a stream that grows: there is no size at which a family goes missing. */
#include <stdio.h>
#include <stdlib.h>

#include "api/app.h"
#include "api/handlers.h"
#include "net/tls.h"
#include "ops/process_stats.h"

static void write_store(FILE *out, const struct store *store)
{
    uint64_t commits, jobs;
    unsigned waiting;
    store_stats(store, &commits, &jobs, &waiting);
    metric_print(out, "teddy_store_commits_total", "Transactions committed", (double)commits);
    metric_print(out, "teddy_store_jobs_total", "Jobs written", (double)jobs);
    metric_print(out, "teddy_store_waiting", "Jobs that wait for the store", waiting);
}

static void write_server(FILE *out, const struct app *app)
{
    (void)fputs("# HELP teddy_build_info The version that runs; always 1\n"
                "# TYPE teddy_build_info gauge\n"
                "teddy_build_info{version=\"" TEDDY_VERSION "\"} 1\n",
                out);
    metric_print(out, "teddy_connections", "Connections open now", conn_count());
    metric_print(out, "teddy_connections_max", "Connections from which on sessions are turned away",
                 app->config.connections_max);
    if (app->tls)
        metric_print(out, "teddy_tls_certificate_expires_timestamp_seconds",
                     "When the certificate in use expires, in seconds since 1970",
                     (double)tls_context_expires_s(app->tls));
    metric_print(out, "teddy_loops", "Event loops", app->loop_count);
    metric_print(out, "teddy_draining", "1 while the server is on its way out",
                 atomic_load(&app->draining) ? 1 : 0);
}

void handle_metrics(struct http_request *req)
{
    struct app *app = app_of(req);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out) {
        write_server(out, app);
        write_store(out, app->store);
        metrics_write(out);
        process_stats_write(out);
    }
    bool failed = !out || ferror(out);
    if (out)
        failed = fclose(out) != 0 || failed;
    if (failed)
        http_problem(req, 503, "internal", "Out of memory.");
    else
        http_respond(req, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
    free(text);
}
