/* teddyctl audit verify: the database's chain, or that of an export, with the heads that are kept
 * and those that were kept elsewhere. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/audit.h"

static int in_order(const void *a, const void *b)
{
    const struct audit_head *x = a, *y = b;

    return x->n < y->n ? -1 : x->n > y->n;
}

/* What is in a file of --head: one head a line, or several. */
static int read_heads(const char *name, struct audit_head_list *h)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    struct audit_head head;
    size_t before = h->count;
    json_error_t why;
    json_t *json;
    bool good = true;

    if (f == NULL)
        return fail("%s: cannot be read: %s", name, strerror(errno));
    while (good && (json = json_loadf(f, JSON_DISABLE_EOF_CHECK, &why)) != NULL) {
        const json_t *inner = json_object_get(json, "head");
        good = audit_head_read(inner != NULL ? inner : json, &head) &&
               audit_head_list_add(h, &head) == TEDDY_OK;
        json_decref(json);
    }
    good = good && feof(f) && h->count > before;
    if (f != stdin)
        (void)fclose(f);
    return good ? CTL_DONE : fail("%s: is not what teddyctl audit head prints", name);
}

struct check {
    struct audit_verifier v;
    struct audit_progress progress;
    uint8_t expected[AUDIT_HASH_LEN]; /* the hash that stands where the chain broke */
    int64_t found;                    /* where the event that belongs there stands; 0: nowhere */
};

static bool check_row(void *arg, const struct audit_row *row)
{
    struct check *c = arg;

    audit_progress_step(&c->progress);
    if (audit_verify_row(&c->v, row) == TEDDY_OK)
        return true;
    if (c->v.fault_content && row->hash != NULL)
        memcpy(c->expected, row->hash, sizeof c->expected);
    return false;
}

static bool seek_row(void *arg, const struct audit_row *row)
{
    struct check *c = arg;

    if (!audit_verify_belongs(&c->v, row, c->expected))
        return true;
    c->found = row->n;
    return false;
}

static int report(const struct ctl *ctl, const struct check *c, const char *signer)
{
    const struct audit_verifier *v = &c->v;
    bool good = v->fault[0] == '\0';
    json_t *json;
    int rc;

    if (good && !ctl->json) {
        (void)printf("%llu events up to %lld, %llu signed heads: whole%s\n",
                     (unsigned long long)v->events, (long long)v->n,
                     (unsigned long long)v->heads_good, signer);
        if (v->unsigned_events > 0)
            (void)printf("%llu of them are newer than the last head: nothing proves those yet\n",
                         (unsigned long long)v->unsigned_events);
        return fflush(stdout) == 0 ? CTL_DONE : fail("the output could not be written");
    }
    if (!ctl->json)
        return fail("audit: %s", v->fault);
    json = audit_verdict_json(v);
    rc = json != NULL ? print_json(json) : fail("out of memory");
    json_decref(json);
    return rc == CTL_DONE && !good ? CTL_FAILED : rc;
}

/* Swapped events are told from edited ones: what was written here stands elsewhere. */
static void seek_moved(struct check *c, struct store_tx *tx)
{
    if (c->v.fault_content && audit_rows(tx, INT64_MIN, seek_row, c) == TEDDY_OK && c->found != 0)
        (void)snprintf(c->v.fault, sizeof c->v.fault,
                       "event %lld is not what was written there: it was reordered, and stands as "
                       "event %lld",
                       (long long)c->v.fault_n, (long long)c->found);
}

static int check_chain(struct check *c, struct store_tx *tx)
{
    struct audit_head last;
    int rc = audit_verify_store(&c->v, tx);

    if (rc != TEDDY_OK)
        return rc;
    (void)audit_last(tx, &last); /* how far it is; whether that is damaged will be seen */
    c->progress.what = "verifying";
    c->progress.all = (uint64_t)(last.n - c->v.n);
    rc = audit_rows(tx, INT64_MIN, check_row, c);
    if (rc == TEDDY_OK && c->v.fault[0] == '\0')
        rc = audit_verify_store_end(&c->v);
    seek_moved(c, tx);
    return rc;
}

static int verify_store(struct ctl *ctl, struct audit_head_list *h, struct audit_key *given)
{
    struct audit_files f;
    struct check c = {.progress.shown = progress_begin(ctl, "events")};
    int rc = audit_files_open(ctl, &f);

    if (rc != CTL_DONE)
        return rc;
    rc = audit_snapshot(f.tx, true);
    if (rc == TEDDY_OK)
        rc = audit_head_list_take(h, f.tx);
    if (rc == TEDDY_OK && h->count > 0)
        qsort(h->head, h->count, sizeof *h->head, in_order);
    c.v = (struct audit_verifier){
        .key = given != NULL ? given : f.key, .heads = h->head, .head_count = h->count};
    if (rc == TEDDY_OK)
        rc = check_chain(&c, f.tx);
    progress_end(&c.progress.shown);
    audit_verify_fini(&c.v);
    audit_files_close(&f);
    if (rc == TEDDY_OK || rc == TEDDY_EPROTO)
        return report(ctl, &c, "");
    return fail("the audit trail cannot be read: %s", teddy_err_text(rc));
}

/* The first line: where the chain begins, and whose it is. */
static bool begin_export(struct check *c, const json_t *line, struct audit_head_list *h,
                         struct audit_key **own)
{
    struct audit_head before = {0};
    uint8_t raw[AUDIT_PUBLIC_LEN];

    before.n = json_integer_value(json_object_get(line, "from")) - 1;
    if (json_integer_value(json_object_get(line, "teddy_audit")) != 1 || before.n < 0 ||
        !audit_hex_read(line, "before", before.hash, sizeof before.hash) ||
        !audit_hex_read(line, "key", raw, sizeof raw))
        return false;
    if (c->v.key == NULL)
        c->v.key = *own = audit_key_of(raw);
    while (h->count > 0 && h->head[0].n < before.n) /* of events that are not in the export */
        memmove(h->head, h->head + 1, --h->count * sizeof *h->head);
    c->v.heads = h->head;
    c->v.head_count = h->count;
    return c->v.key != NULL && audit_verify_begin(&c->v, before.n > 0 ? &before : NULL) == TEDDY_OK;
}

static void end_export(struct check *c, const json_t *line)
{
    struct audit_head head;

    if (audit_verify_end(&c->v) != TEDDY_OK)
        return;
    c->v.heads = &head;
    c->v.head_count = 1;
    c->v.head_at = 0;
    if (!audit_head_read(json_object_get(line, "head"), &head))
        (void)snprintf(c->v.fault, sizeof c->v.fault,
                       "there is no signed head behind event %lld: the tail is cut off",
                       (long long)c->v.n);
    else if (head.n > c->v.n)
        (void)audit_verify_end(&c->v);
    else if (audit_verify_heads(&c->v) == TEDDY_OK && head.n != c->v.n)
        (void)snprintf(c->v.fault, sizeof c->v.fault, "the head is not that of event %lld",
                       (long long)c->v.n);
    c->v.fault_n = c->v.fault[0] != '\0' ? c->v.n : 0;
    c->v.heads = NULL;
    c->v.head_count = 0;
}

/* False: the file is no export. Otherwise what is found is in c->v. */
static bool check_export(struct check *c, FILE *f, struct audit_head_list *h,
                         struct audit_key **own)
{
    uint8_t room[AUDIT_CHILD_LEN + AUDIT_HASH_LEN];
    struct audit_row row;
    json_error_t why;
    json_t *line = json_loadf(f, JSON_DISABLE_EOF_CHECK, &why);
    bool good = line != NULL && begin_export(c, line, h, own);

    json_decref(line);
    while (good && c->v.fault[0] == '\0') {
        line = json_loadf(f, JSON_DISABLE_EOF_CHECK, &why);
        bool event = line != NULL && audit_row_read(line, &row, room);
        if (event)
            (void)check_row(c, &row);
        else
            end_export(c, line);
        json_decref(line);
        if (!event)
            break;
    }
    return good;
}

static int verify_export(struct ctl *ctl, struct audit_head_list *h, struct audit_key *given)
{
    const char *name = ctl->audit.from_export;
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    struct audit_key *own = NULL;
    struct check c = {.v.key = given,
                      .progress = {.shown = progress_begin(ctl, "events"), .what = "verifying"}};
    int rc;

    if (f == NULL)
        return fail("%s: cannot be read: %s", name, strerror(errno));
    if (h->count > 0)
        qsort(h->head, h->count, sizeof *h->head, in_order);
    bool good = check_export(&c, f, h, &own);
    progress_end(&c.progress.shown);
    rc = good ? report(ctl, &c,
                       own != NULL ? "; the key is the export's own, name the right one with --key"
                                   : "")
              : fail("%s: is not what teddyctl audit export writes", name);
    audit_verify_fini(&c.v);
    audit_key_free(own);
    if (f != stdin)
        (void)fclose(f);
    return rc;
}

int run_audit_verify(struct ctl *ctl, const char *arg)
{
    struct audit_key *given = NULL;
    struct audit_head_list h = {0};
    char err[512];
    int rc = CTL_DONE;

    (void)arg;
    if (ctl->audit.key != NULL &&
        audit_key_load_public(ctl->audit.key, &given, err, sizeof err) != TEDDY_OK)
        return fail("%s", err);
    if (ctl->audit.head != NULL)
        rc = read_heads(ctl->audit.head, &h);
    if (rc == CTL_DONE)
        rc = ctl->audit.from_export != NULL ? verify_export(ctl, &h, given)
                                            : verify_store(ctl, &h, given);
    free(h.head);
    audit_key_free(given);
    return rc;
}
