#include "verify.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/endpoints.h"
#include "proto/text.h"
#include "sdk/core/core.h"
#include "verify_parts.h"

static void line(struct verify *v, const char *verdict, const char *colour, const char *what,
                 const char *seen)
{
    printf("%s%-4s%s  %s (%s)\n", v->colour ? colour : "", verdict, v->colour ? "\033[0m" : "",
           what, seen);
    fflush(stdout);
}

bool check(struct verify *v, bool ok, const char *what, const char *seen, ...)
{
    char text[700];
    va_list args;

    va_start(args, seen);
    vsnprintf(text, sizeof text, seen, args);
    va_end(args);
    if (ok)
        v->passed++;
    else
        v->failed++;
    line(v, ok ? "pass" : "FAIL", ok ? "\033[32m" : "\033[31m", what, text);
    return ok;
}

void skip(struct verify *v, const char *what, const char *why, ...)
{
    char text[700];
    va_list args;

    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    v->skipped++;
    line(v, "skip", "\033[33m", what, text);
}

static void on_log(void *user, enum teddy_log_level level, const char *text)
{
    struct verify *v = user;

    (void)level;
    snprintf(v->last_log, sizeof v->last_log, "%s", text);
}

static int open_wire(struct verify *v, struct wire *w)
{
    const struct args *a = v->args;
    struct teddy_posix_options o = {
        .ca_file = a->ca,
        .secret_file = a->secret_file,
        .bind_addr = a->bind,
        .log = on_log,
        .log_user = v,
    };
    char why[400] = "";
    int err = teddy_posix_new(&w->port, &o, why, sizeof why);

    w->url = &v->url;
    w->host = v->host;
    if (err)
        fprintf(stderr, "teddy-device: %s\n", why[0] != '\0' ? why : teddy_err_text(err));
    return err;
}

static int prepare(struct verify *v, const struct args *args)
{
    const char *ws = args->ws_endpoint ? args->ws_endpoint : ENDPOINT_WS;

    v->args = args;
    v->colour = isatty(STDOUT_FILENO);
    v->claim_path = args->claim_endpoint ? args->claim_endpoint : ENDPOINT_CLAIM;
    if (sdk_url_parse(args->server, args->allow_plain, &v->url) != TEDDY_OK) {
        fprintf(stderr,
                "teddy-device: --server must be https://host[:port]%s; see teddy-device --help\n",
                args->allow_plain ? " or http://host[:port]" : "");
        return EXIT_USAGE;
    }
    if (!sdk_path_ok(v->claim_path) || !sdk_path_ok(ws)) {
        fprintf(stderr, "teddy-device: an endpoint must be a path that begins with /; see "
                        "teddy-device --help\n");
        return EXIT_USAGE;
    }
    snprintf(v->host, sizeof v->host, "%.*s", (int)v->url.host_len, v->url.host);
    snprintf(v->ws_path, sizeof v->ws_path, "%s/%s", ws, args->id);
    return open_wire(v, &v->main) || open_wire(v, &v->other) ? EXIT_FAILED : EXIT_DONE;
}

static void walk(struct verify *v)
{
    if (!verify_reach(v) || !verify_claim(v)) {
        skip(v, "everything else", "it needs what failed above");
        return;
    }
    verify_errors(v);
    verify_upgrades(v);
    verify_session(v);
    verify_closes(v);
    verify_policy(v);
    verify_refresh(v);
    if (v->problems > 0)
        check(v, v->bad_problems == 0,
              "every error is problem+json with type, title, status, detail, request_id, code",
              "%u seen%s%s", v->problems, v->bad_problems ? "; wrong: " : "", v->bad_problem);
}

int verify(const struct args *args)
{
    struct verify *v = calloc(1, sizeof *v);
    int status;

    if (!v) {
        fprintf(stderr, "teddy-device: out of memory\n");
        return EXIT_FAILED;
    }
    signal(SIGPIPE, SIG_IGN);
    status = prepare(v, args);
    if (status == EXIT_DONE) {
        walk(v);
        printf("%u passed, %u failed, %u skipped\n", v->passed, v->failed, v->skipped);
        if (v->failed > 0) {
            fprintf(stderr,
                    "teddy-device: %s does not keep the contract in %u points: see the lines "
                    "marked FAIL\n",
                    args->server, v->failed);
            status = EXIT_FAILED;
        }
    }
    teddy_posix_free(v->main.port);
    teddy_posix_free(v->other.port);
    wipe(v, sizeof *v);
    free(v);
    return status;
}
