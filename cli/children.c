/* teddyctl child: forget, with a receipt that can be verified; export; revoke. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/receipt.h"
#include "cli/ctl.h"
#include "proto/endpoints.h"
#include "proto/ids.h"
#include "proto/text.h"

#define RECEIPT_FILE_MAX 4096

/* A file of --out is there, and its writer's alone, before anything is done: a new one, as one that
 * is there may be open to others, or another child's only receipt. *out is stdout without one. */
static int open_out(const struct ctl *ctl, FILE **out)
{
    const char *name = ctl->batch.out;
    int fd;

    *out = stdout;
    if (name == NULL)
        return CTL_DONE;
    fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (*out != NULL)
        return CTL_DONE;
    if (fd >= 0)
        (void)close(fd);
    if (errno == EEXIST)
        return fail("%s is there already; choose another name", name);
    return fail("%s: cannot be written: %s", name, strerror(errno));
}

/* rc: how what was to be written has ended. Half of it is not left behind. */
static int close_out(const struct ctl *ctl, FILE *out, int rc)
{
    bool ok = fflush(out) == 0 && !ferror(out) && (out == stdout || fsync(fileno(out)) == 0);

    if (out != stdout)
        ok &= fclose(out) == 0;
    if (rc == CTL_DONE && !ok)
        rc = fail("%s could not be written", out == stdout ? "the output" : ctl->batch.out);
    if (rc != CTL_DONE && out != stdout)
        (void)unlink(ctl->batch.out);
    return rc;
}

int run_child_forget(struct ctl *ctl, const char *child_id)
{
    struct ctl_call call = {.verb = ADMIN_FORGET, .id = child_id};
    json_t *reply = NULL;
    FILE *out = NULL;
    int rc = id_is_good(child_id) ? open_out(ctl, &out) : CTL_USAGE;

    if (rc != CTL_DONE)
        return rc;
    rc = link_call(ctl, &call, "", &reply);
    if (rc == CTL_DONE && out != stdout &&
        (json_dumpf(reply, out, JSON_COMPACT) != 0 || fputc('\n', out) == EOF))
        rc = fail("%s could not be written, but the child is forgotten; its receipt is",
                  ctl->batch.out);
    if (out != stdout)
        rc = close_out(ctl, out, rc);
    if (reply != NULL && print_json(reply) != CTL_DONE)
        rc = CTL_FAILED;
    json_decref(reply);
    return rc;
}

int run_child_revoke(struct ctl *ctl, const char *child_id)
{
    struct ctl_call call = {.verb = ADMIN_CHILD_REVOKE, .id = child_id};
    json_t *reply = NULL;
    int rc = id_is_good(child_id) ? link_call(ctl, &call, "", &reply) : CTL_USAGE;

    if (rc == CTL_DONE && ctl->json) {
        rc = print_json(reply);
    } else if (rc == CTL_DONE) {
        long long devices = json_integer_value(json_object_get(reply, "revoked"));
        (void)printf("%lld toy%s revoked\n", devices, devices == 1 ? "" : "s");
    }
    json_decref(reply);
    return rc;
}

/* ---- export: one object, whose arrays go out as their pages come. ---- */

struct export
{
    FILE *out;
    const char *open; /* the array that is being written; NULL: none */
    bool any;         /* it has an element */
};

static bool turn_to(struct export *e, const char *name)
{
    if (e->open != NULL && name != NULL && strcmp(e->open, name) == 0)
        return true;
    if (e->open != NULL)
        (void)fputs("]", e->out);
    e->open = name;
    e->any = false;
    if (name != NULL)
        (void)fprintf(e->out, ",\"%s\":[", name);
    return !ferror(e->out);
}

static bool put_all(struct export *e, const char *name, const json_t *items)
{
    bool ok = turn_to(e, name);

    for (size_t i = 0; ok && i < json_array_size(items); i++) {
        if (e->any)
            (void)fputc(',', e->out);
        e->any = true;
        ok = json_dumpf(json_array_get(items, i), e->out, JSON_COMPACT | JSON_REAL_PRECISION(15)) ==
                 0 &&
             !ferror(e->out);
    }
    return ok;
}

/* The parts come in this order; none is turned to before something of it, or of one behind it, is
 * there. */
static bool put_page(struct export *e, const json_t *page, bool last)
{
    static const char *const parts[] = {"bindings", "messages", "conversations", "history",
                                        "events"};
    size_t from = 0, to = 0;

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (e->open != NULL && strcmp(e->open, parts[i]) == 0)
            from = i;
        if (last || json_array_size(json_object_get(page, parts[i])) > 0)
            to = i;
    }
    for (size_t i = from; i <= to; i++)
        if (!put_all(e, parts[i], json_object_get(page, parts[i])))
            return false;
    return true;
}

static bool put_head(struct export *e, const json_t *page)
{
    (void)fputs("{\"child_id\":", e->out);
    (void)json_dumpf(json_object_get(page, "child_id"), e->out, JSON_ENCODE_ANY);
    (void)fputs(",\"child\":", e->out);
    (void)json_dumpf(json_object_get(page, "child"), e->out, JSON_ENCODE_ANY);
    return !ferror(e->out);
}

static int export_pages(struct ctl *ctl, const char *child_id, struct export *e)
{
    char after[LIMIT_ID_LEN + 1] = "";
    struct ctl_call call = {.verb = ADMIN_CHILD_EXPORT, .id = child_id, .after = after};
    bool more = true;
    int rc = CTL_DONE;

    while (rc == CTL_DONE && more) {
        json_t *page = NULL;
        bool first = after[0] == '\0';
        rc = link_call(ctl, &call, "", &page);
        const char *next = json_string_value(json_object_get(page, "next"));
        more = next != NULL && strlen(next) < sizeof after && strcmp(next, after) != 0;
        if (rc == CTL_DONE && ((first && !put_head(e, page)) || !put_page(e, page, !more)))
            rc = fail("the output could not be written");
        if (more)
            (void)snprintf(after, sizeof after, "%s", next);
        json_decref(page);
    }
    return rc;
}

/* Of a server that runs; without one there are none. */
static int export_sessions(struct ctl *ctl, const char *child_id, struct export *e)
{
    char path[160];
    json_t *reply = NULL;
    int rc;

    (void)snprintf(path, sizeof path, ENDPOINT_ADMIN "/sessions?limit=10000&child_id=%s", child_id);
    rc = link_server(ctl, "GET", path, NULL, &reply);
    if (rc == CTL_DONE &&
        (!put_all(e, "sessions", json_object_get(reply, "sessions")) || !turn_to(e, NULL)))
        rc = fail("the output could not be written");
    json_decref(reply);
    return rc;
}

int run_child_export(struct ctl *ctl, const char *child_id)
{
    struct export e = {0};
    int rc = id_is_good(child_id) ? open_out(ctl, &e.out) : CTL_USAGE;

    if (rc != CTL_DONE)
        return rc;
    rc = export_pages(ctl, child_id, &e);
    if (rc == CTL_DONE)
        rc = export_sessions(ctl, child_id, &e);
    if (rc == CTL_DONE)
        (void)fputs("}\n", e.out);
    return close_out(ctl, e.out, rc);
}

/* ---- verify-receipt ---- */

int run_child_verify(struct ctl *ctl, const char *file)
{
    struct audit_key *key = NULL;
    char err[512], *text = NULL;
    const char *fault = "it is no receipt of a forgotten child";
    json_t *receipt = NULL;
    size_t len = 0;
    int rc;

    if (ctl->audit.key == NULL)
        return usage(
            "child verify-receipt needs --key FILE; see teddyctl child verify-receipt --help");
    rc = read_file(file, RECEIPT_FILE_MAX, &text, &len);
    if (rc == CTL_DONE && audit_key_load_public(ctl->audit.key, &key, err, sizeof err) != TEDDY_OK)
        rc = fail("%s", err);
    if (rc == CTL_DONE) {
        receipt = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
        if (receipt != NULL)
            fault = receipt_fault(receipt, key);
        rc = fault == NULL ? CTL_DONE : fail("%s: %s", file, fault);
    }
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(receipt);
    else if (rc == CTL_DONE)
        rc = print_object(receipt);
    json_decref(receipt);
    audit_key_free(key);
    free(text);
    return rc;
}
