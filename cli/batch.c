/* teddyctl batch: the toys of a production run. The order is what makes a batch exist whole or not
 * at all: its files are on the disk, then one transaction of the registry has all of its devices,
 * then its directory gets its name. Whoever comes after a crash sends what is whole again: the
 * server may still be at the first request, so that a registry that does not have the batch may
 * have it a moment later. Which of the two makes it does not matter: the batch's id is in both, and
 * there is one of an id. So its files, the only ones with its secrets, are thrown away for one
 * reason: others have its ids, and then no request can ever make it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/admin.h"
#include "cli/batch.h"
#include "identity/rules.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/writer.h"

#define DIGITS_DEFAULT 6
#define CSV_HEADER     "device_id,oob_secret\n"

static unsigned digits_of(uint64_t n)
{
    unsigned digits = 1;

    for (; n > 9; n /= 10)
        digits++;
    return digits;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    return u64_parse(span_of(text), out) == TEDDY_OK && *out >= min && *out <= max;
}

/* ---- What is to be made ---- */

static int read_options(const struct ctl *ctl, struct batch_row *row)
{
    const struct ctl_batch *o = &ctl->batch;
    uint64_t digits = 0;

    if (o->count == NULL || ctl->prefix == NULL || o->out == NULL)
        return usage("batch create takes --count N, --prefix P and --out DIR; see teddyctl batch "
                     "create --help");
    if (!number(o->count, 1, BATCH_COUNT_MAX, &row->count))
        return usage("--count takes a number from 1 to %u; more of them are several batches",
                     BATCH_COUNT_MAX);
    if (!id_ok(span_of(ctl->prefix)))
        return usage("--prefix takes 1 to 63 of the characters A-Z a-z 0-9 _ -");
    if (o->first != NULL && !number(o->first, 0, STORE_NUMBER_MAX - BATCH_COUNT_MAX, &row->first))
        return usage("--first takes a number of at most 18 digits");
    if (o->digits != NULL && !number(o->digits, 1, 18, &digits))
        return usage("--digits takes a number from 1 to 18");
    row->digits = (unsigned)digits;
    (void)snprintf(row->prefix, sizeof row->prefix, "%s", ctl->prefix);
    return CTL_DONE;
}

/* The numbers follow those that the prefix has, and as many digits as they need. With --first the
 * registry is asked as well: it is there from now on, or the reason why not is known. */
static int take_numbers(struct ctl *ctl, struct batch_row *row)
{
    struct batch_row of = {0};
    struct ctl_call call = {.verb = ADMIN_BATCH_LIST, .batch = &of, .begins = true};
    json_t *reply = NULL;
    int rc;

    memcpy(of.prefix, row->prefix, sizeof of.prefix);
    rc = link_call(ctl, &call, "", &reply);
    if (ctl->batch.first == NULL)
        row->first = (uint64_t)json_integer_value(json_object_get(reply, "next_number"));
    json_decref(reply);
    if (rc != CTL_DONE)
        return rc;
    unsigned needed = digits_of(row->first + row->count - 1);
    if (row->first > STORE_NUMBER_MAX - row->count || (row->digits != 0 && needed > row->digits))
        return fail("number %llu does not fit in %u digits",
                    (unsigned long long)(row->first + row->count - 1),
                    row->digits != 0 ? row->digits : 18);
    if (row->digits == 0)
        row->digits = needed > DIGITS_DEFAULT ? needed : DIGITS_DEFAULT;
    if (strlen(row->prefix) + row->digits > LIMIT_ID_LEN)
        return fail("an id has at most %d characters; the prefix and %u digits have %zu",
                    LIMIT_ID_LEN, row->digits, strlen(row->prefix) + row->digits);
    return CTL_DONE;
}

/* The rows as mfg_gen.py and an import take them. */
static int make_csv(struct batch *b)
{
    size_t line = strlen(b->row.prefix) + b->row.digits + 2 * LIMIT_SECRET_LEN + 2;
    size_t cap = sizeof CSV_HEADER + b->row.count * line + 1;
    char id[LIMIT_ID_LEN + 1];
    struct writer w;

    b->csv = malloc(cap);
    if (b->csv == NULL)
        return fail("out of memory");
    w = writer_on(b->csv, cap);
    writer_text(&w, CSV_HEADER);
    for (uint64_t n = 0; n < b->row.count; n++) {
        admin_batch_device(&b->row, n, id);
        writer_text(&w, id);
        writer_text(&w, ",");
        writer_hex(&w, b->secrets[n], LIMIT_SECRET_LEN);
        writer_text(&w, "\n");
    }
    b->csv_len = w.len;
    return writer_end(&w) == TEDDY_OK ? CTL_DONE : fail("out of memory");
}

static int make_batch(struct batch *b)
{
    uint8_t id[STORE_BATCH_ID_LEN / 2];
    struct writer w = writer_on(b->row.id, sizeof b->row.id);
    size_t len = b->row.count * LIMIT_SECRET_LEN;

    b->row.created_s = (uint64_t)time(NULL);
    b->secrets = malloc(len);
    if (b->secrets == NULL)
        return fail("out of memory");
    if (identity_random(b->secrets[0], len) != TEDDY_OK ||
        identity_random(id, sizeof id) != TEDDY_OK)
        return fail("OpenSSL has no random numbers");
    writer_hex(&w, id, sizeof id);
    return writer_end(&w) == TEDDY_OK ? make_csv(b) : fail("out of memory");
}

static void batch_fini(struct batch *b)
{
    if (b->secrets != NULL)
        wipe(b->secrets, b->row.count * LIMIT_SECRET_LEN);
    if (b->csv != NULL)
        wipe(b->csv, b->csv_len);
    free(b->secrets);
    free(b->csv);
    b->secrets = NULL;
    b->csv = NULL;
}

/* ---- The transaction, and what is known after it ---- */

/* Whether the registry has the batch of this id. One that is not there at all was never asked
 * before: it is not the one that might. */
static int ask_registry(struct ctl *ctl, const struct batch_row *row, bool *there)
{
    struct batch_row of = {0};
    struct ctl_call call = {.verb = ADMIN_BATCH_LIST, .batch = &of};
    json_t *reply = NULL;
    int rc;

    memcpy(of.id, row->id, sizeof of.id);
    rc = link_call(ctl, &call, "", &reply);
    *there = json_array_size(json_object_get(reply, "batches")) == 1;
    json_decref(reply);
    return rc;
}

/* What is known of a batch that was sent. */
enum sent {
    SENT_THERE,   /* by this request or by another of the same */
    SENT_TAKEN,   /* others have its ids: it is not there, and will not be */
    SENT_UNKNOWN, /* no answer, or the refusal of this request alone; a line has been printed */
};

static enum sent add_batch(struct ctl *ctl, const struct batch *b)
{
    struct ctl_call call = {
        .verb = ADMIN_BATCH_ADD, .batch = &b->row, .text = {b->csv, b->csv_len}};
    enum sent sent = SENT_UNKNOWN;
    json_t *reply = NULL;
    int rc = link_call(ctl, &call, NULL, &reply);
    const char *code = json_string_value(json_object_get(reply, "code"));

    if (rc == CTL_DONE || (code != NULL && strcmp(code, "batch_exists") == 0))
        sent = SENT_THERE;
    else if (code != NULL && strcmp(code, "batch_conflict") == 0)
        sent = SENT_TAKEN;
    if (sent != SENT_THERE && reply != NULL)
        (void)link_refused(reply, "nvs-values.csv");
    json_decref(reply);
    return sent;
}

/* Where no answer came, it may be there all the same, or will be. */
static int register_batch(struct ctl *ctl, const struct batch *b, struct package *p)
{
    enum sent sent = add_batch(ctl, b);
    bool there = sent == SENT_THERE;

    if (sent == SENT_TAKEN) {
        package_discard(p);
        return CTL_FAILED;
    }
    if (!there && (ask_registry(ctl, &b->row, &there) != CTL_DONE || !there))
        return fail("%s is kept: run the same command again to finish it", p->partial);
    return package_finish(p);
}

/* ---- The command ---- */

static int print_batch(const struct ctl *ctl, const struct batch_row *row, const struct package *p,
                       double seconds, bool resumed)
{
    char first[LIMIT_ID_LEN + 1], last[LIMIT_ID_LEN + 1];
    json_t *json;
    int rc;

    admin_batch_device(row, 0, first);
    admin_batch_device(row, row->count - 1, last);
    if (!ctl->json) {
        (void)printf("batch %s: %llu device%s, %s to %s, in %s (%s%.1f s)\n", row->id,
                     (unsigned long long)row->count, row->count == 1 ? "" : "s", first, last,
                     p->path, resumed ? "begun before, finished now; " : "", seconds);
        return CTL_DONE;
    }
    json = json_pack("{s:s, s:s, s:I, s:I, s:i, s:s, s:s, s:s, s:b, s:f}", "id", row->id, "prefix",
                     row->prefix, "first", (json_int_t)row->first, "count", (json_int_t)row->count,
                     "digits", (int)row->digits, "first_id", first, "last_id", last, "out", p->path,
                     "resumed", resumed, "seconds", seconds);
    rc = json != NULL ? print_json(json) : fail("out of memory");
    json_decref(json);
    return rc;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

static int create(struct ctl *ctl, struct batch *b, struct package *p)
{
    struct progress progress = progress_begin(ctl, "pages");
    int rc = take_numbers(ctl, &b->row);

    if (rc == CTL_DONE)
        rc = make_batch(b);
    if (rc == CTL_DONE)
        rc = package_write(p, b, &progress);
    progress_end(&progress);
    if (rc != CTL_DONE) {
        package_discard(p);
        return rc;
    }
    progress_busy(&progress, "registering");
    rc = register_batch(ctl, b, p);
    progress_end(&progress);
    return rc;
}

/* Whether what is asked for is what another run left. */
static bool is_asked(const struct ctl *ctl, const struct batch_row *asked,
                     const struct batch_row *left)
{
    return left->count == asked->count && strcmp(left->prefix, asked->prefix) == 0 &&
           (ctl->batch.first == NULL || left->first == asked->first) &&
           (ctl->batch.digits == NULL || left->digits == asked->digits);
}

static int finish_another(struct package *p, const struct batch_row *left)
{
    int rc = package_finish(p);

    return rc != CTL_DONE
               ? rc
               : fail("%s is batch %s, an earlier one that was interrupted: %llu devices, prefix "
                      "%s; say another --out for this one",
                      p->path, left->id, (unsigned long long)left->count, left->prefix);
}

/* What another run left and is whole: it may have been sent, and the registry may get it yet. */
static int finish_left(struct ctl *ctl, struct batch *b, struct package *p,
                       const struct batch_row *left)
{
    bool asked = is_asked(ctl, &b->row, left), there = false;
    int rc = ask_registry(ctl, left, &there);

    if (rc != CTL_DONE)
        return rc;
    if (there && !asked)
        return finish_another(p, left);
    if (!asked)
        return fail("%s is batch %s of an earlier run, which may be registered yet: finish it with "
                    "its own --count %llu --prefix %s --first %llu --digits %u, or remove it",
                    p->partial, left->id, (unsigned long long)left->count, left->prefix,
                    (unsigned long long)left->first, left->digits);
    b->row = *left;
    return there ? package_finish(p) : register_batch(ctl, b, p);
}

/* A registered batch has files that were whole: it is not its own run that has damaged them. */
static int clear_left(struct ctl *ctl, struct batch *b, struct package *p,
                      const struct batch_row *left)
{
    bool there = false;
    int rc = left->id[0] != '\0' ? ask_registry(ctl, left, &there) : CTL_DONE;

    if (rc == CTL_DONE && there)
        rc = fail("%s is batch %s, which is registered, but its files are not those that its "
                  "manifest lists",
                  p->partial, left->id);
    batch_fini(b);
    return rc == CTL_DONE ? package_clear(p) : rc;
}

/* What another run left. Where a file is missing or not as the manifest has it, that run had not
 * synced them all, and so had sent nothing: *resumed false, and the files are gone. */
static int take_up(struct ctl *ctl, struct batch *b, struct package *p,
                   const struct batch_row *left, bool *resumed)
{
    int rc = left->id[0] != '\0' ? package_load(p, b, resumed) : CTL_DONE;

    if (rc != CTL_DONE)
        return rc;
    return *resumed ? finish_left(ctl, b, p, left) : clear_left(ctl, b, p, left);
}

int run_batch_create(struct ctl *ctl, const char *arg)
{
    struct timespec start;
    struct batch b = {0};
    struct batch_row left;
    struct package p;
    bool resumed = false;
    int rc = read_options(ctl, &b.row);

    (void)arg;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    if (rc == CTL_DONE)
        rc = package_open(&p, ctl->batch.out, &left);
    if (rc != CTL_DONE)
        return rc;
    rc = take_up(ctl, &b, &p, &left, &resumed);
    if (rc == CTL_DONE && !resumed)
        rc = create(ctl, &b, &p);
    if (rc == CTL_DONE)
        rc = print_batch(ctl, &b.row, &p, seconds_since(&start), resumed);
    batch_fini(&b);
    package_close(&p);
    return rc;
}

/* ---- The others ---- */

static int list_all(struct ctl *ctl, json_t *all)
{
    struct batch_row of = {0};
    struct ctl_call call = {.verb = ADMIN_BATCH_LIST, .batch = &of};
    int64_t next = 0;
    int rc;

    if (ctl->prefix != NULL)
        (void)snprintf(of.prefix, sizeof of.prefix, "%s", ctl->prefix);
    do {
        json_t *page = NULL;
        of.row = next;
        rc = link_call(ctl, &call, "", &page);
        if (rc == CTL_DONE && json_array_extend(all, json_object_get(page, "batches")) != 0)
            rc = fail("the server's answer was not understood");
        next = json_integer_value(json_object_get(page, "next"));
        json_decref(page);
    } while (rc == CTL_DONE && next > of.row);
    return rc;
}

static bool prefix_is_good(const struct ctl *ctl)
{
    if (ctl->prefix == NULL || id_ok(span_of(ctl->prefix)))
        return true;
    (void)usage("--prefix takes 1 to 63 of the characters A-Z a-z 0-9 _ -");
    return false;
}

int run_batch_list(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {{"BATCH", "id"},      {"PREFIX", "prefix"},
                                                  {"FIRST", "first"},   {"COUNT", "count"},
                                                  {"DIGITS", "digits"}, {"CREATED", "created"}};
    json_t *all = json_array(), *object;
    int rc = prefix_is_good(ctl) ? list_all(ctl, all) : CTL_USAGE;

    (void)arg;
    if (rc == CTL_DONE && ctl->json) {
        object = json_pack("{s:O}", "batches", all);
        rc = object != NULL ? print_json(object) : fail("out of memory");
        json_decref(object);
    } else if (rc == CTL_DONE) {
        rc = print_rows(all, columns, sizeof columns / sizeof columns[0]);
    }
    json_decref(all);
    return rc;
}

static int print_import(const struct ctl *ctl, const json_t *reply)
{
    long long already = json_integer_value(json_object_get(reply, "already"));

    if (ctl->json)
        return print_json(reply);
    (void)printf("%lld imported",
                 (long long)json_integer_value(json_object_get(reply, "imported")));
    if (already > 0)
        (void)printf(", %lld registered already", already);
    (void)printf("\n");
    return CTL_DONE;
}

static void imported(void *arg, uint64_t done, uint64_t all)
{
    progress_show(arg, "importing", done, all);
}

int run_import(struct ctl *ctl, const char *file)
{
    struct progress progress = progress_begin(ctl, "toys");
    struct ctl_call call = {.verb = ADMIN_IMPORT, .id = ctl->prefix != NULL ? ctl->prefix : ""};
    json_t *reply = NULL;
    char *text = NULL;
    size_t len = 0;
    int rc = prefix_is_good(ctl) ? read_file(file, ADMIN_BODY_MAX, &text, &len) : CTL_USAGE;

    if (rc != CTL_DONE)
        return rc;
    call.text = (struct span){text, len};
    call.watch = imported;
    call.arg = &progress;
    progress_busy(&progress, "importing");
    rc = link_call(ctl, &call, strcmp(file, "-") == 0 ? "standard input" : file, &reply);
    progress_end(&progress);
    wipe(text, len);
    free(text);
    if (rc == CTL_DONE)
        rc = print_import(ctl, reply);
    json_decref(reply);
    return rc;
}
