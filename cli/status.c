/* teddyctl status: the running server at a glance; with what lies in its files, which the server
 * does not know: the last backup, the certificate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/backup.h"
#include "cli/doctor.h"
#include "cli/table.h"
#include "proto/endpoints.h"

static void add_files(struct ctl *ctl, json_t *status)
{
    struct certificate_facts cert;
    json_t *backup = backup_last(ctl);

    (void)json_object_set_new(status, "last_backup", backup != NULL ? backup : json_null());
    if (certificate_look(ctl, &cert))
        (void)json_object_set_new(status, "certificate",
                                  json_pack("{s:s, s:s, s:I}", "file", cert.file, "expires",
                                            cert.expires, "days_left", (json_int_t)cert.days));
    else
        (void)json_object_set_new(status, "certificate", json_null());
}

static long long number(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static void say_up(const json_t *status, char out[64])
{
    long long s = number(status, "up_s");

    if (s >= 86400)
        (void)snprintf(out, 64, "%lld d %lld h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        (void)snprintf(out, 64, "%lld h %lld min", s / 3600, s % 3600 / 60);
    else
        (void)snprintf(out, 64, "%lld min %lld s", s / 60, s % 60);
}

static void row(const char *name, enum print_colour colour, const char *text)
{
    char *shown = print_clean(text);

    (void)printf("%s%-12s%s %s%s%s\n", print_colour(stdout, COLOUR_TITLE), name,
                 print_colour(stdout, COLOUR_NONE), print_colour(stdout, colour),
                 shown != NULL ? shown : "?", print_colour(stdout, COLOUR_NONE));
    free(shown);
}

static void show_breakers(const json_t *status)
{
    const char *name;
    json_t *open;
    char text[160] = "";
    size_t len = 0;

    json_object_foreach(json_object_get(status, "breakers_open"), name, open)
    {
        if (json_integer_value(open) > 0 && len < sizeof text)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s (%lld of %lld loops)",
                                    len > 0 ? ", " : "", name, (long long)json_integer_value(open),
                                    number(status, "loops"));
    }
    if (len > 0)
        row("backends", COLOUR_WRONG, text);
    else
        row("backends", COLOUR_NONE, "no breaker is open");
}

static void show_files(const json_t *status)
{
    const json_t *backup = json_object_get(status, "last_backup");
    const json_t *cert = json_object_get(status, "certificate");
    char text[1200];

    if (json_is_object(backup)) {
        (void)snprintf(text, sizeof text, "%s, %s",
                       json_string_value(json_object_get(backup, "made")),
                       json_string_value(json_object_get(backup, "file")));
        row("last backup", COLOUR_NONE, text);
    } else {
        row("last backup", COLOUR_WARNS, "none; teddyctl backup FILE");
    }
    if (!json_is_object(cert)) {
        row("certificate", COLOUR_WARNS, "none that can be read; see teddyctl doctor");
        return;
    }
    (void)snprintf(text, sizeof text, "until %s, %lld days",
                   json_string_value(json_object_get(cert, "expires")), number(cert, "days_left"));
    row("certificate",
        number(cert, "days_left") < CERTIFICATE_SOON_DAYS ? COLOUR_WARNS : COLOUR_NONE, text);
}

static void show(const json_t *status)
{
    const json_t *counts = json_object_get(status, "counts");
    const json_t *store = json_object_get(status, "store");
    bool draining = json_is_true(json_object_get(status, "draining"));
    char text[256], up[64];

    say_up(status, up);
    (void)snprintf(text, sizeof text, "teddyd %s, process %lld",
                   json_string_value(json_object_get(status, "version")), number(status, "pid"));
    row("server", COLOUR_NONE, text);
    (void)snprintf(text, sizeof text, "%s, since %s", up,
                   json_string_value(json_object_get(status, "started")));
    row("up", COLOUR_NONE, text);
    row("state", draining ? COLOUR_WARNS : COLOUR_GOOD, draining ? "draining" : "serving");
    (void)snprintf(text, sizeof text, "%lld (%lld connections, %lld requests in flight)",
                   number(status, "sessions"), number(status, "connections"),
                   number(status, "requests"));
    row("sessions", COLOUR_NONE, text);
    (void)snprintf(text, sizeof text, "%lld", number(counts, "claims"));
    row("claims", COLOUR_NONE, text);
    (void)snprintf(text, sizeof text,
                   "%lld claims, %lld beyond a limit, %lld refreshes, %lld upgrades",
                   number(counts, "claims_refused"), number(counts, "claims_limited"),
                   number(counts, "refreshes_refused"), number(counts, "upgrades_refused"));
    row("refused", COLOUR_NONE, text);
    (void)snprintf(text, sizeof text, "%lld said, %lld answered", number(counts, "utterances"),
                   number(counts, "replies"));
    row("talk", COLOUR_NONE, text);
    (void)snprintf(text, sizeof text, "%lld commits, %lld jobs waiting", number(store, "commits"),
                   number(store, "waiting"));
    row("store", COLOUR_NONE, text);
    show_breakers(status);
    show_files(status);
}

int run_status(struct ctl *ctl, const char *arg)
{
    bool redraw = ctl->watch && !ctl->json && print_colour(stdout, COLOUR_NONE)[0] != '\0';
    int rc;

    (void)arg;
    do {
        json_t *status = NULL;
        rc = link_server(ctl, "GET", ENDPOINT_ADMIN "/status",
                         "start it: systemctl start teddyd, or teddyd --data DIR", &status);
        if (rc == CTL_DONE) {
            add_files(ctl, status);
            if (redraw)
                (void)fputs("\033[H\033[2J", stdout);
            if (ctl->json)
                rc = print_json(status);
            else if (isatty(STDOUT_FILENO) == 1)
                show(status);
            else
                rc = print_object(status);
        }
        json_decref(status);
        if (fflush(stdout) != 0 || ferror(stdout))
            rc = CTL_FAILED;
    } while (ctl->watch && rc == CTL_DONE && nanosleep(&(struct timespec){1, 0}, NULL) == 0);
    return rc;
}
