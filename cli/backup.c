/* teddyctl backup: the database as it is at one moment, while whoever works on it goes on. */
#include "cli/backup.h"

#include <stdlib.h>
#include <string.h>

#include "proto/utf8.h"
#include "proto/writer.h"

struct backup_run {
    const struct ctl *ctl;
    struct progress progress;
};

void backup_progress(void *progress, const char *what, uint64_t done, uint64_t all)
{
    struct progress *p = progress;

    if (p->busy)
        progress_end(p);
    if (all == 0)
        progress_busy(p, what);
    else
        progress_show(p, what, done, all);
}

/* The copy is made in pages, and read again in bytes. */
static void show(void *arg, const char *what, uint64_t done, uint64_t all)
{
    struct backup_run *run = arg;

    run->progress.unit = strcmp(what, "copying") == 0 ? "pages" : "bytes";
    backup_progress(&run->progress, what, done, all);
}

/* The database is its owner's, the copy is of who makes it. */
static bool opening(void *arg)
{
    const struct backup_run *run = arg;

    return link_become_owner(run->ctl->dir);
}

static void opened(void *arg)
{
    (void)arg;
    link_become_self();
}

static void hex(const uint8_t *data, size_t len, char *out, size_t cap)
{
    struct writer w = writer_on(out, cap);

    writer_hex(&w, data, len);
    (void)writer_end(&w);
}

json_t *backup_manifest_json(const struct backup_manifest *m, const char *file)
{
    char made[32], sha256[2 * BACKUP_SHA256_LEN + 1], master[2 * SEAL_ID_LEN + 1];

    backup_time(m->made_s, false, made);
    hex(m->sha256, sizeof m->sha256, sha256, sizeof sha256);
    hex(m->facts.master_id, SEAL_ID_LEN, master, sizeof master);
    char *clean = utf8_ok(file, strlen(file)) ? NULL : print_clean(file); /* JSON is UTF-8 */
    json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:s, s:s}", "file",
                             clean != NULL ? clean : file, "made", made, "version", m->version,
                             "schema", m->facts.schema, "devices", (json_int_t)m->facts.devices,
                             "bytes", (json_int_t)m->bytes, "sha256", sha256, "master_key", master);
    free(clean);
    return json;
}

static int print_backup(const struct ctl *ctl, const struct backup_manifest *m, const char *file)
{
    json_t *json = backup_manifest_json(m, file);
    int rc = json == NULL ? fail("out of memory")
             : ctl->json  ? print_json(json)
                          : print_object(json);

    json_decref(json);
    if (rc == CTL_DONE && !ctl->json)
        (void)fputs("It needs the master key to be restored, which is not in it: keep that in "
                    "another place.\n",
                    stderr);
    return rc;
}

int run_backup(struct ctl *ctl, const char *file)
{
    struct backup_run run = {ctl, progress_begin(ctl, "pages")};
    struct backup_watch watch = {opening, opened, show, &run};
    struct backup_manifest m;
    char path[sizeof ctl->dir + 32], err[512];
    int rc = link_dir(ctl, false, false);

    if (rc == CTL_DONE)
        rc = link_may(ctl);
    if (rc != CTL_DONE)
        return rc;
    (void)snprintf(path, sizeof path, "%s/teddy.db", ctl->dir);
    rc = store_backup_make(path, file, ctl->backup.force, &watch, &m, err, sizeof err);
    progress_end(&run.progress);
    if (rc == TEDDY_EINVAL)
        return usage("FILE is too long");
    if (rc != TEDDY_OK)
        return fail("%s", err);
    backup_note(ctl, &m, file);
    return print_backup(ctl, &m, file);
}
