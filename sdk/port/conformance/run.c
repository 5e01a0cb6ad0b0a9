/* Goes through the checks, prints their lines and the summary. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "parts.h"

static const struct check *const parts[] = {checks_machine, checks_records, checks_link,
                                            checks_steps};
#define PARTS (sizeof parts / sizeof parts[0])

static const char faults_section[] = "bad servers";

static void verdict(struct conformance *c, enum verdict v, const char *format, va_list args)
{
    if (c->verdict == VERDICT_FAIL)
        return;
    c->verdict = v;
    vsnprintf(c->why, sizeof c->why, format, args);
}

void check_pass(struct conformance *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    verdict(c, VERDICT_PASS, format, args);
    va_end(args);
}

bool check_fail(struct conformance *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    verdict(c, VERDICT_FAIL, format, args);
    va_end(args);
    return false;
}

void check_skip(struct conformance *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    verdict(c, VERDICT_SKIP, format, args);
    va_end(args);
}

static void print(const struct conformance *c, const char *line)
{
    c->config.board->print(c->config.board_ctx, line);
}

static void report(struct conformance *c, const char *name)
{
    static const char *const words[] = {"pass", "pass", "FAIL", "skip"};
    char line[640];

    c->passed += c->verdict == VERDICT_NONE || c->verdict == VERDICT_PASS;
    c->failed += c->verdict == VERDICT_FAIL;
    c->skipped += c->verdict == VERDICT_SKIP;
    if (c->why[0] != '\0')
        snprintf(line, sizeof line, "%s  %s (%s)", words[c->verdict], name, c->why);
    else
        snprintf(line, sizeof line, "%s  %s", words[c->verdict], name);
    print(c, line);
}

static bool wanted(const struct conformance *c, const char *name)
{
    return c->config.only == NULL || strstr(name, c->config.only) != NULL;
}

/* Each check begins with a fresh boot, whatever the one before left behind. */
static bool begin(struct conformance *c)
{
    c->verdict = VERDICT_NONE;
    c->why[0] = '\0';
    c->leave_messages = false;
    tap_reset(&c->tap);
    return board_reboot(c);
}

static void finish(struct conformance *c, const char *name)
{
    toy_stop(c);
    if (c->open)
        hang_up(c);
    if (c->tap.broken[0] != '\0')
        check_fail(c, "%s; see teddy/port.h", c->tap.broken);
    report(c, name);
}

static void run_check(struct conformance *c, const struct check *k)
{
    char name[160];

    snprintf(name, sizeof name, "%s: %s", k->section, k->title);
    if (!wanted(c, name))
        return;
    if (begin(c))
        k->run(c);
    finish(c, name);
}

static void run_fault(struct conformance *c, const struct fault *f)
{
    char name[160];

    snprintf(name, sizeof name, "%s: %s", faults_section, f->title);
    if (!wanted(c, name))
        return;
    if (begin(c))
        fault_run(c, f);
    finish(c, name);
}

static void summary(struct conformance *c)
{
    char line[160];
    size_t at = 0;

    for (size_t i = 1; i < TAP_CALLS; i++) {
        if (c->tap.ever_ms[i] > c->tap.ever_ms[at])
            at = i;
    }
    snprintf(line, sizeof line, "the longest call of all: %s, %lu ms", tap_name((enum tap_call)at),
             (unsigned long)c->tap.ever_ms[at]);
    print(c, line);
    snprintf(line, sizeof line, "%u passed, %u failed, %u skipped", c->passed, c->failed,
             c->skipped);
    print(c, line);
}

static bool table_whole(const struct teddy_port *p)
{
    return p->random && p->hmac_sha256 && p->sha1 && p->load && p->save && p->erase && p->resolve &&
           p->connect && p->send && p->recv && p->disconnect && p->wall_time && p->server_time;
}

static bool prepare(struct conformance *c, const struct conformance_config *config)
{
    struct conformance_config *k = &c->config;

    memset(c, 0, sizeof *c);
    *k = *config;
    c->tap.config = k;
    if (k->device_id == NULL)
        k->device_id = CONFORMANCE_DEVICE;
    if (k->child_id == NULL)
        k->child_id = CONFORMANCE_CHILD;
    if (k->step_timeout_ms == 0)
        k->step_timeout_ms = 5000;
    if (k->call_max_ms == 0)
        k->call_max_ms = 50;
    if (k->message_wait_ms == 0)
        k->message_wait_ms = 2000;
    if (k->home_wait_ms == 0)
        k->home_wait_ms = 90000;
    if (!table_whole(k->port)) {
        print(c, "FAIL  the port's table has a NULL: only log may be NULL");
        return false;
    }
    if (k->server_url == NULL || strncmp(k->server_url, "https://", 8) != 0) {
        print(c, "FAIL  the server must be https://host[:port]: TLS is part of what is checked");
        return false;
    }
    if (k->desk != NULL && !desk_line(c, "host", c->desk_host, sizeof c->desk_host)) {
        print(c, "FAIL  the desk's list has no line \"host NAME\": give what desk.py printed");
        return false;
    }
    return true;
}

int conformance_run(const struct conformance_config *config)
{
    static struct conformance run;
    struct conformance *c = &run;

    if (!prepare(c, config))
        return 2;
    for (size_t i = 0; i < PARTS; i++) {
        for (const struct check *k = parts[i]; k->run != NULL; k++)
            run_check(c, k);
    }
    for (const struct fault *f = faults; f->name != NULL; f++)
        run_fault(c, f);
    if (c->open) {
        (void)until_erased(c);
        c->config.board->close(c->config.board_ctx, c->tap.ctx);
        c->open = false;
    }
    if (c->passed + c->failed + c->skipped == 0) {
        print(c, "no check has that in its name");
        return 2;
    }
    summary(c);
    return c->failed > 0 ? 1 : 0;
}

void conformance_list(const struct conformance_board *board, void *board_ctx)
{
    char line[160];

    for (size_t i = 0; i < PARTS; i++) {
        for (const struct check *k = parts[i]; k->run != NULL; k++) {
            snprintf(line, sizeof line, "%s: %s", k->section, k->title);
            board->print(board_ctx, line);
        }
    }
    for (const struct fault *f = faults; f->name != NULL; f++) {
        snprintf(line, sizeof line, "%s: %s", faults_section, f->title);
        board->print(board_ctx, line);
    }
}
