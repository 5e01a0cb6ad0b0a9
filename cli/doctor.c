/* teddyctl doctor: asks each examination, and prints what they found. */
#include "cli/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/link.h"
#include "cli/progress.h"
#include "proto/endpoints.h"

static const char *const names[] = {"ok", "warning", "wrong"};

static void add(struct doctor *d, enum finding f, const char *mend, const char *text)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s?}", "area", d->area, "finding", names[f], "what",
                             text, "mend", mend);

    if (json == NULL) /* a name that is no UTF-8 */
        json = json_pack("{s:s, s:s, s:s, s:n}", "area", d->area, "finding", names[f], "what",
                         "something whose name is no text", "mend");
    (void)json_array_append_new(d->findings, json);
    d->wrong += f == FINDING_WRONG;
    d->warns += f == FINDING_WARNS;
}

void found_good(struct doctor *d, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0)
        add(d, FINDING_GOOD, NULL, text);
    va_end(args);
    free(text);
}

void found(struct doctor *d, enum finding f, const char *mend, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0)
        add(d, f, mend, text);
    va_end(args);
    free(text);
}

const char *doctor_word(const char *name, char out[WORD_MAX])
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_./@%+:,-";
    bool quotes = name[0] == '\0' || name[0] == '-' || strspn(name, plain) != strlen(name);
    size_t len = 0;

    if (quotes)
        out[len++] = '\'';
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f || len > WORD_MAX - 16)
            return memcpy(out, "…", sizeof "…");
        if (*p == '\'') {
            memcpy(out + len, "'\\''", 4);
            len += 4;
        } else {
            out[len++] = *p;
        }
    }
    if (quotes)
        out[len++] = '\'';
    out[len] = '\0';
    return out;
}

int doctor_config(const struct ctl *ctl, struct config *c, char *err, size_t cap)
{
    char *argv[6] = {(char *)(uintptr_t) "teddyd"};
    int argc = 1;

    if (ctl->config != NULL) {
        argv[argc++] = (char *)(uintptr_t) "--config";
        argv[argc++] = (char *)(uintptr_t)ctl->config;
    }
    if (ctl->data != NULL) {
        argv[argc++] = (char *)(uintptr_t) "--data";
        argv[argc++] = (char *)(uintptr_t)ctl->data;
    }
    return config_load(c, argc, argv, err, cap);
}

/* "FILE:3: …" is opened there. */
static void wrong_config(struct doctor *d, const char *err)
{
    char mend[WORD_MAX + 64], word[WORD_MAX];
    const char *file = d->config_file, *colon = file != NULL ? strstr(err, file) : NULL;

    if (colon != NULL && strncmp(colon, file, strlen(file)) == 0 && colon[strlen(file)] == ':')
        (void)snprintf(mend, sizeof mend, "${EDITOR:-vi} +%ld %s",
                       strtol(colon + strlen(file) + 1, NULL, 10), doctor_word(file, word));
    else if (strncmp(err, "environment variable ", 21) == 0)
        (void)snprintf(mend, sizeof mend, "unset %.*s", (int)strcspn(err + 21, ": "), err + 21);
    else if (file != NULL)
        (void)snprintf(mend, sizeof mend, "ls -l %s", doctor_word(file, word));
    else
        (void)snprintf(mend, sizeof mend, "teddyd --help");
    found(d, FINDING_WRONG, mend, "%s", err);
}

static bool beyond_loopback(const char *listen)
{
    char host[256];
    uint16_t port;

    return listen[0] != '\0' && config_host_port(listen, host, sizeof host, &port) == TEDDY_OK &&
           strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0 &&
           strcmp(host, "localhost") != 0;
}

static void examine_config(struct doctor *d)
{
    char err[512], mend[1200];
    const char *file = d->config_file != NULL ? d->config_file : "the environment";

    d->area = "configuration";
    if (doctor_config(d->ctl, &d->config, err, sizeof err) != TEDDY_OK) {
        wrong_config(d, err);
        /* The rest is looked at as without a file. */
        struct ctl bare = {.data = d->ctl->data};
        if (doctor_config(&bare, &d->config, err, sizeof err) != TEDDY_OK)
            memset(&d->config, 0, sizeof d->config);
        return;
    }
    found_good(d, "%s is good", file);
    if (!d->config.tls && beyond_loopback(d->config.listen)) {
        (void)snprintf(mend, sizeof mend, "teddyd --listen 127.0.0.1:8443   # in %s: tls = on",
                       file);
        found(d, FINDING_WARNS, mend,
              "it listens on %s without TLS: all that stands between are the trusted proxies",
              d->config.listen);
    }
    if (beyond_loopback(d->config.metrics_listen)) {
        (void)snprintf(mend, sizeof mend, "teddyd --metrics-listen 127.0.0.1:9464   # or in %s",
                       file);
        found(d, FINDING_WARNS, mend, "metrics are served on %s, to whoever reaches it",
              d->config.metrics_listen);
    }
    if (d->config.echo_route)
        found(d, FINDING_WARNS, "teddyd --echo-route off",
              "echo_route is on: /ws/echo takes anybody, and is for tests");
}

/* Whether there is a data directory, whose it is, and whether a server answers for it. */
static void find_server(struct doctor *d)
{
    const struct link_request r = {.method = "GET", .path = ENDPOINT_ADMIN "/status"};
    json_t *status = NULL;
    struct stat st;
    char err[512];
    int rc;

    d->area = "data";
    rc = config_data_dir(&d->config, false, d->ctl->dir, sizeof d->ctl->dir, err, sizeof err);
    (void)snprintf(d->ctl->master_key_file, sizeof d->ctl->master_key_file, "%s",
                   d->config.master_key_file);
    if (rc == TEDDY_ENOTFOUND) {
        found(d, FINDING_WARNS, "teddyd   # makes it; or say with --data where it is", "%s", err);
        return;
    }
    (void)doctor_word(d->ctl->dir, d->dir);
    if (rc != TEDDY_OK || stat(d->ctl->dir, &st) != 0) {
        char mend[WORD_MAX + 64];
        (void)snprintf(mend, sizeof mend,
                       strstr(err, "written by everybody") != NULL ? "chmod 700 %s"
                                                                   : "sudo ls -ld %s",
                       d->dir);
        found(d, FINDING_WRONG, mend, "%s", err);
        return;
    }
    d->has_dir = true;
    d->owner = st.st_uid;
    d->group = st.st_gid;
    rc = link_ask(d->ctl, &r, "", &status);
    if (rc == CTL_DONE)
        d->server = (pid_t)json_integer_value(json_object_get(status, "pid"));
    json_decref(status);
    if (rc == CTL_FAILED)
        found(d, FINDING_WARNS, "sudo teddyctl doctor",
              "%s: whether a server runs on it cannot be seen", d->ctl->dir);
    else
        found_good(d, "%s, %s", d->ctl->dir,
                   d->server > 0 ? "a server runs on it" : "no server runs on it");
}

static void print_finding(const json_t *f)
{
    static const enum print_colour colours[] = {COLOUR_GOOD, COLOUR_WARNS, COLOUR_WRONG};
    char *what = print_clean(json_string_value(json_object_get(f, "what")));
    char *mend = print_clean(json_string_value(json_object_get(f, "mend")));
    const char *name = json_string_value(json_object_get(f, "finding"));
    enum finding level = FINDING_GOOD;

    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], name) == 0)
            level = (enum finding)i;
    (void)printf("%s%-8s%s %-13s %s\n", print_colour(stdout, colours[level]), name,
                 print_colour(stdout, COLOUR_NONE), json_string_value(json_object_get(f, "area")),
                 what != NULL ? what : "?");
    if (mend != NULL)
        (void)printf("%22s mend: %s\n", "", mend);
    free(what);
    free(mend);
}

static int print_findings(struct doctor *d)
{
    size_t i;
    json_t *f;
    int rc = CTL_DONE;

    if (d->ctl->json) {
        json_t *json = json_pack("{s:O, s:i, s:i}", "findings", d->findings, "wrong", (int)d->wrong,
                                 "warnings", (int)d->warns);
        rc = json != NULL ? print_json(json) : fail("out of memory");
        json_decref(json);
    } else {
        json_array_foreach(d->findings, i, f) print_finding(f);
        rc = fflush(stdout) == 0 ? CTL_DONE : CTL_FAILED;
    }
    if (rc == CTL_DONE && d->wrong > 0)
        rc = fail("%u wrong; each line \"mend\" says what to do", d->wrong);
    return rc;
}

int run_doctor(struct ctl *ctl, const char *arg)
{
    struct progress progress = progress_begin(ctl, "");
    struct doctor d = {
        .ctl = ctl, .findings = json_array(), .config_file = ctl->config, .proc = "/proc"};
    int rc;

    (void)arg;
    if (d.config_file == NULL)
        d.config_file = getenv("TEDDY_CONFIG");
    progress_busy(&progress, "looking");
    examine_config(&d);
    find_server(&d);
    examine_limits(&d);
    examine_clock(&d);
    if (d.has_dir) {
        examine_disk(&d);
        examine_files(&d);
        examine_database(&d);
    }
    examine_certificate(&d);
    examine_ports(&d);
    progress_end(&progress);
    rc = print_findings(&d);
    json_decref(d.findings);
    return rc;
}
