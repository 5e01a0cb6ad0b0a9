/* teddyctl audit tail, head, key; and the forms in which events and heads are written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/audit.h"
#include "proto/text.h"
#include "proto/utc.h"
#include "proto/writer.h"

#define TAIL_DEFAULT    20
#define FOLLOW_MS       250
#define PEM_MAX         512
#define DEVICE_TAIL_MAX 100000

int audit_files_open(struct ctl *ctl, struct audit_files *f)
{
    char path[sizeof ctl->dir + 32], err[512];
    int rc = link_files(ctl);

    *f = (struct audit_files){0};
    if (rc != CTL_DONE)
        return rc;
    (void)snprintf(path, sizeof path, "%s/teddy.db", ctl->dir);
    if (audit_open(path, &f->tx, err, sizeof err) != TEDDY_OK)
        return fail("%s", err);
    (void)snprintf(path, sizeof path, "%s/" AUDIT_KEY_FILE, ctl->dir);
    if (audit_key_load(path, &f->key, err, sizeof err) == TEDDY_OK)
        return CTL_DONE;
    audit_files_close(f);
    return fail("%s", err);
}

void audit_files_close(struct audit_files *f)
{
    audit_close(f->tx);
    audit_key_free(f->key);
    *f = (struct audit_files){0};
}

struct signing {
    struct store_job job; /* first */
    struct audit_key *key;
};

static int run_sign(struct store_tx *tx, struct store_job *job)
{
    const struct signing *s = (const struct signing *)job;

    return audit_sign_grown(tx, s->key, (uint64_t)time(NULL) * 1000);
}

void audit_store_close(const struct ctl *ctl, struct store *store)
{
    struct signing s = {.job.run = run_sign};
    char path[sizeof ctl->dir + 32], err[512];

    if (store == NULL)
        return;
    (void)snprintf(path, sizeof path, "%s/" AUDIT_KEY_FILE, ctl->dir);
    if (audit_key_load(path, &s.key, err, sizeof err) != TEDDY_OK)
        (void)fail("%s", err);
    else if (store_write_wait(store, &s.job) != TEDDY_OK)
        (void)fail("the audit trail could not be signed; the server does it when it starts");
    audit_key_free(s.key);
    store_close(store);
}

bool audit_hex_read(const json_t *object, const char *name, uint8_t *out, size_t len)
{
    const char *hex = json_string_value(json_object_get(object, name));

    return hex != NULL && hex_decode(span_of(hex), out, len) == TEDDY_OK;
}

static bool number_read(const json_t *object, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(object, name);

    *out = json_integer_value(value);
    return json_is_integer(value);
}

static bool text_read(const json_t *object, const char *name, struct span *out)
{
    const json_t *value = json_object_get(object, name);

    *out = (struct span){json_string_value(value), json_string_length(value)};
    return json_is_string(value);
}

bool audit_row_read(const json_t *json, struct audit_row *row,
                    uint8_t room[AUDIT_CHILD_LEN + AUDIT_HASH_LEN])
{
    struct span child;
    int64_t at_ms = 0;

    *row = (struct audit_row){.hash = room + AUDIT_CHILD_LEN};
    if (!number_read(json, "n", &row->n) || !number_read(json, "at_ms", &at_ms) ||
        !text_read(json, "event", &row->event) || !text_read(json, "device_id", &row->device_id) ||
        !text_read(json, "child", &child) || !text_read(json, "actor", &row->actor) ||
        !text_read(json, "detail", &row->detail) ||
        !audit_hex_read(json, "hash", room + AUDIT_CHILD_LEN, AUDIT_HASH_LEN))
        return false;
    row->at_ms = (uint64_t)at_ms;
    if (child.len > 0)
        row->child = room;
    return child.len == 0 || hex_decode(child, room, AUDIT_CHILD_LEN) == TEDDY_OK;
}

bool audit_head_read(const json_t *json, struct audit_head *head)
{
    int64_t at_ms = 0;
    bool ok = number_read(json, "n", &head->n) && number_read(json, "at_ms", &at_ms) &&
              audit_hex_read(json, "hash", head->hash, sizeof head->hash) &&
              audit_hex_read(json, "signature", head->signature, sizeof head->signature);

    head->at_ms = (uint64_t)at_ms;
    return ok;
}

int audit_sign_end(struct audit_files *f, struct audit_head *head)
{
    struct timespec t;

    if (audit_last(f->tx, head) != TEDDY_OK)
        return fail("the audit trail cannot be read");
    clock_gettime(CLOCK_REALTIME, &t);
    head->at_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    if (audit_key_sign(f->key, AUDIT_SIGNED_HEAD, head) != TEDDY_OK)
        return fail("the head cannot be signed");
    return CTL_DONE;
}

void audit_progress_step(struct audit_progress *p)
{
    if (++p->done % 4096 != 0)
        return;
    if (p->all > 0)
        progress_show(&p->shown, p->what, p->done, p->all);
    else
        progress_busy(&p->shown, p->what);
}

struct tail {
    bool json, terminal, failed;
    int64_t n;
};

/* What a file may hold may not steer the terminal. */
static void print_line(const struct tail *t, const struct audit_row *row)
{
    char when[UTC_TEXT], child[2 * AUDIT_CHILD_LEN + 1] = "-", line[1024];
    struct writer w = writer_on(child, sizeof child);
    const struct span *s[] = {&row->event, &row->device_id, &row->actor, &row->detail};
    const char *format = t->terminal ? "%-7lld %s  %-22.*s %-24.*s %-32s  %-14.*s %.*s"
                                     : "%lld\t%s\t%.*s\t%.*s\t%s\t%.*s\t%.*s";

    if (row->child != NULL) {
        writer_hex(&w, row->child, AUDIT_CHILD_LEN);
        (void)writer_end(&w);
    }
    (void)utc_text(row->at_ms / 1000, when);
    struct span shown[4];
    for (int i = 0; i < 4; i++)
        shown[i] = s[i]->len > 0 ? *s[i] : span_of("-");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(line, sizeof line, format, (long long)row->n, when, (int)shown[0].len,
                   shown[0].p, (int)shown[1].len, shown[1].p, child, (int)shown[2].len, shown[2].p,
                   (int)shown[3].len, shown[3].p);
#pragma GCC diagnostic pop
    for (char *p = line; *p != '\0'; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || (unsigned char)*p >= 0x7F)
            *p = '?';
    (void)puts(line);
}

static bool print_event(void *arg, const struct audit_row *row)
{
    struct tail *t = arg;

    t->n = row->n;
    if (!t->json) {
        print_line(t, row);
        return !ferror(stdout);
    }
    json_t *json = audit_row_json(row);
    t->failed = json == NULL || print_json(json) != CTL_DONE;
    json_decref(json);
    return !t->failed;
}

static int show(const struct ctl *ctl, struct audit_files *f, struct tail *t)
{
    const struct timespec pause = {0, FOLLOW_MS * 1000000L};

    do {
        if (audit_rows(f->tx, t->n, print_event, t) != TEDDY_OK || t->failed)
            return fail("the audit trail cannot be read behind event %lld; teddyctl audit verify "
                        "says more",
                        (long long)t->n);
        if (fflush(stdout) != 0 || ferror(stdout))
            return CTL_FAILED;
    } while (ctl->audit.follow && nanosleep(&pause, NULL) == 0);
    return CTL_DONE;
}

/* The numbers of one toy's last events, newest first. */
struct listed {
    int64_t *n;
    uint64_t count, max;
};

static bool take_number(void *arg, const struct audit_row *row)
{
    struct listed *l = arg;

    l->n[l->count++] = row->n;
    return l->count < l->max;
}

static bool print_one(void *arg, const struct audit_row *row)
{
    (void)print_event(arg, row);
    return false;
}

static int show_device(const struct ctl *ctl, struct audit_files *f, struct tail *t, uint64_t count)
{
    struct listed l = {.max = count < DEVICE_TAIL_MAX ? count : DEVICE_TAIL_MAX};
    bool listed = false;

    if (l.max == 0)
        return CTL_DONE;
    l.n = calloc(l.max, sizeof *l.n);
    if (l.n == NULL)
        return fail("out of memory");
    int rc = audit_of_device(f->tx, ctl->talk.device, 0, take_number, &l, &listed);
    while (rc == TEDDY_OK && !t->failed && l.count > 0)
        rc = audit_rows(f->tx, l.n[--l.count] - 1, print_one, t);
    free(l.n);
    if (rc != TEDDY_OK || t->failed)
        return fail("the audit trail cannot be read; teddyctl audit verify says more");
    if (!listed)
        return fail("%s has no list of events: it is not registered, or has none since the upgrade;"
                    " teddyctl audit export has those of all",
                    ctl->talk.device);
    return CTL_DONE;
}

int run_audit_tail(struct ctl *ctl, const char *arg)
{
    struct tail t = {.json = ctl->json, .terminal = isatty(STDOUT_FILENO) == 1};
    struct audit_head last;
    struct audit_files f;
    uint64_t count = TAIL_DEFAULT;
    int rc;

    (void)arg;
    if (ctl->audit.last != NULL &&
        (u64_parse(span_of(ctl->audit.last), &count) != TEDDY_OK || count > INT64_MAX))
        return usage("-n takes a whole number of events");
    if (ctl->talk.device != NULL && ctl->audit.follow)
        return usage("-f and --device exclude each other");
    if (ctl->talk.device != NULL && !id_is_good(ctl->talk.device))
        return CTL_USAGE;
    rc = audit_files_open(ctl, &f);
    if (rc != CTL_DONE)
        return rc;
    if (ctl->talk.device != NULL) {
        rc = show_device(ctl, &f, &t, count);
    } else if (audit_last(f.tx, &last) != TEDDY_OK) {
        rc = fail("the audit trail cannot be read");
    } else {
        t.n = last.n > (int64_t)count ? last.n - (int64_t)count : 0;
        rc = show(ctl, &f, &t);
    }
    audit_files_close(&f);
    return rc;
}

int run_audit_head(struct ctl *ctl, const char *arg)
{
    struct audit_head head;
    struct audit_files f;
    int rc = audit_files_open(ctl, &f);

    (void)arg;
    if (rc != CTL_DONE)
        return rc;
    rc = audit_sign_end(&f, &head);
    if (rc == CTL_DONE) {
        json_t *json = audit_head_json(&head, f.key);
        rc = json != NULL ? print_json(json) : fail("out of memory");
        json_decref(json);
    }
    audit_files_close(&f);
    return rc;
}

int run_audit_key(struct ctl *ctl, const char *arg)
{
    struct audit_files f;
    uint8_t raw[AUDIT_PUBLIC_LEN];
    char pem[PEM_MAX];
    int rc = audit_files_open(ctl, &f);

    (void)arg;
    if (rc != CTL_DONE)
        return rc;
    if (audit_key_pem(f.key, pem, sizeof pem) != TEDDY_OK ||
        audit_key_public(f.key, raw) != TEDDY_OK) {
        rc = fail("the key cannot be written");
    } else if (ctl->json) {
        json_t *json = json_pack("{s:o, s:s}", "key", audit_hex_json(raw, sizeof raw), "pem", pem);
        rc = json != NULL ? print_json(json) : fail("out of memory");
        json_decref(json);
    } else {
        (void)fputs(pem, stdout);
        rc = fflush(stdout) == 0 ? CTL_DONE : fail("the output could not be written");
    }
    audit_files_close(&f);
    return rc;
}
