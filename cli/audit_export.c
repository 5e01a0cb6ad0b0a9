/* teddyctl audit export: lines of JSON, first what they are, then the events, last the signed
 * head. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/audit.h"
#include "proto/text.h"

struct export
{
    FILE *out;
    int64_t from, n;
    uint8_t before[AUDIT_HASH_LEN]; /* the hash of the event before the first */
    bool begun, failed;
    struct audit_progress progress;
};

static bool put(FILE *out, json_t *json)
{
    bool ok = json != NULL && json_dumpf(json, out, JSON_COMPACT) == 0 && fputc('\n', out) != EOF;

    json_decref(json);
    return ok;
}

static bool put_head_line(struct export *e, const struct audit_key *key)
{
    uint8_t raw[AUDIT_PUBLIC_LEN];

    e->begun = true;
    return audit_key_public(key, raw) == TEDDY_OK &&
           put(e->out,
               json_pack("{s:i, s:I, s:o, s:o}", "teddy_audit", 1, "from", (json_int_t)e->from,
                         "before", audit_hex_json(e->before, AUDIT_HASH_LEN), "key",
                         audit_hex_json(raw, sizeof raw)));
}

static bool take_before(void *arg, const struct audit_row *row)
{
    struct export *e = arg;

    if (row->n == e->from - 1 && !row->damaged)
        memcpy(e->before, row->hash, AUDIT_HASH_LEN);
    else
        e->failed = true;
    return false;
}

static bool put_row(void *arg, const struct audit_row *row)
{
    struct export *e = arg;

    e->n = row->n;
    e->failed = !put(e->out, audit_row_json(row));
    audit_progress_step(&e->progress);
    return !e->failed;
}

/* Where it begins: with the anchor, or at --from. */
static int find_beginning(struct audit_files *f, struct export *e, const struct audit_head *last)
{
    struct audit_head anchor = {0};
    int rc = audit_anchor(f->tx, &anchor);

    if (rc != TEDDY_OK && rc != TEDDY_ENOTFOUND)
        return fail("the audit trail cannot be read");
    if (e->from > last->n + 1)
        return fail("there are only %lld events", (long long)last->n);
    if (e->from <= anchor.n + 1) {
        e->from = anchor.n + 1;
        memcpy(e->before, anchor.hash, AUDIT_HASH_LEN);
    } else if (audit_rows(f->tx, e->from - 2, take_before, e) != TEDDY_OK || e->failed) {
        return fail("event %lld is not there; teddyctl audit verify says more",
                    (long long)e->from - 1);
    }
    e->progress.what = "exporting";
    e->progress.all = (uint64_t)(last->n - e->from + 1);
    return CTL_DONE;
}

static int write_all(struct audit_files *f, struct export *e)
{
    struct audit_head head;
    int rc = audit_sign_end(f, &head);

    if (rc == CTL_DONE)
        rc = find_beginning(f, e, &head);
    if (rc != CTL_DONE)
        return rc;
    if (!put_head_line(e, f->key) || audit_rows(f->tx, e->from - 1, put_row, e) != TEDDY_OK ||
        e->failed)
        return fail("event %lld could not be exported: it is damaged, or there is no room",
                    (long long)e->n);
    if (!put(e->out, json_pack("{s:o}", "head", audit_head_json(&head, f->key))))
        return fail("the export could not be written");
    return CTL_DONE;
}

static FILE *open_out(const char *name)
{
    if (strcmp(name, "-") == 0)
        return stdout;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out == NULL)
        (void)fail("%s: cannot be written: %s", name, strerror(errno));
    return out;
}

static int finish(const struct ctl *ctl, struct export *e, const char *name, int rc)
{
    bool ok = fflush(e->out) == 0 && !ferror(e->out);

    if (e->out != stdout)
        ok = fsync(fileno(e->out)) == 0 && fclose(e->out) == 0 && ok;
    progress_end(&e->progress.shown);
    if (rc == CTL_DONE && !ok)
        rc = fail("%s: could not be written", name);
    if (rc != CTL_DONE || strcmp(name, "-") == 0)
        return rc;
    if (!ctl->json)
        return printf("%llu events exported\n", (unsigned long long)e->progress.done) > 0
                   ? CTL_DONE
                   : CTL_FAILED;
    json_t *json = json_pack("{s:s, s:I}", "file", name, "events", (json_int_t)e->progress.done);
    rc = json != NULL ? print_json(json) : fail("out of memory");
    json_decref(json);
    return rc;
}

int run_audit_export(struct ctl *ctl, const char *name)
{
    struct export e = {.from = 1, .progress.shown = progress_begin(ctl, "events")};
    struct audit_files f;
    uint64_t from = 1;
    int rc;

    if (ctl->audit.from != NULL &&
        (u64_parse(span_of(ctl->audit.from), &from) != TEDDY_OK || from == 0 || from > INT64_MAX))
        return usage("--from takes the number of an event");
    e.from = (int64_t)from;
    e.out = open_out(name);
    if (e.out == NULL)
        return CTL_FAILED;
    rc = audit_files_open(ctl, &f);
    if (rc == CTL_DONE) {
        rc = audit_snapshot(f.tx, true) == TEDDY_OK ? write_all(&f, &e)
                                                    : fail("the audit trail cannot be read");
        audit_files_close(&f);
    }
    return finish(ctl, &e, name, rc);
}
