/* teddyctl restore: a backup in the database's place. The copy is made ready beside it, as
 * teddy.db.restore; then the keys of the tokens are replaced; then the copy takes the place. */
#include "cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "identity/audit_key.h"
#include "identity/audit_verify.h"
#include "identity/keyring.h"
#include "identity/master_key.h"
#include "ops/datalock.h"
#include "store/restore.h"

#define LOST                                                                                       \
    "What it knows, and the backup cannot, would come back: claims that were used up, secrets, "   \
    "bindings and devices that were replaced, ended or disabled. If it is lost, say --lost"

struct restore {
    const char *file;
    int fd, lock;
    char database[3200], copy[3240], kept[3264];
    bool former; /* there is one, and it has been used */
    uint64_t now_s;
    struct backup_manifest manifest;
    struct restore_counts counts;
    struct progress progress;
};

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int open_backup(struct restore *r, const char *file)
{
    r->file = file;
    r->fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0)
        return fail("%s: cannot be opened: %s", file, strerror(errno));
    return backup_manifest_read(r->fd, &r->manifest)
               ? CTL_DONE
               : fail("%s: it is no backup by teddyctl, or was cut short; take another", file);
}

/* Its bytes are those of its manifest, and SQLite finds no fault in them. to: see backup_digest. */
static int verify(struct restore *r, int to)
{
    const struct backup_manifest *m = &r->manifest;
    struct backup_facts facts;
    struct backup_watch watch = {.progress = backup_progress, .arg = &r->progress};
    uint8_t sha256[BACKUP_SHA256_LEN];
    char err[512];
    int rc = backup_digest(r->fd, r->file, m->bytes, to, r->copy, &watch, sha256, err, sizeof err);

    progress_end(&r->progress);
    if (rc != TEDDY_OK)
        return fail("%s", err);
    if (memcmp(sha256, m->sha256, sizeof sha256) != 0)
        return fail(
            "%s: it is damaged: its SHA-256 is not that of its manifest; take another backup",
            r->file);
    progress_busy(&r->progress, "checking the copy");
    rc = store_backup_check(to >= 0 ? r->copy : r->file, r->file, true, &facts, err, sizeof err);
    progress_end(&r->progress);
    if (rc != TEDDY_OK)
        return fail("%s", err);
    if (facts.schema != m->facts.schema || facts.devices != m->facts.devices ||
        memcmp(facts.master_id, m->facts.master_id, SEAL_ID_LEN) != 0)
        return fail("%s: it is not what its manifest says; take another backup", r->file);
    return CTL_DONE;
}

static void say_id(const uint8_t id[SEAL_ID_LEN], char out[2 * SEAL_ID_LEN + 1])
{
    for (size_t i = 0; i < SEAL_ID_LEN; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", id[i]);
}

/* *fits: one of the keys is that of the backup. */
static int find_master(const struct ctl *ctl, const struct restore *r, struct master_key *m,
                       bool *fits)
{
    uint8_t id[SEAL_ID_LEN];
    char err[512];

    *fits = false;
    if (master_key_find(m, ctl->master_key_file, ctl->dir, err, sizeof err) != TEDDY_OK)
        return fail("%s", err);
    for (unsigned i = 0; i < m->keys.count; i++)
        *fits |= seal_id(m->keys.key[i], id) == TEDDY_OK &&
                 memcmp(id, r->manifest.facts.master_id, sizeof id) == 0;
    return CTL_DONE;
}

static int wrong_master(const struct restore *r, const struct master_key *m)
{
    char id[2 * SEAL_ID_LEN + 1];

    say_id(r->manifest.facts.master_id, id);
    if (m->keys.count == 0)
        return fail("%s: it is sealed under master key %s, and there is none: looked in %s; put it "
                    "there, from where you keep it",
                    r->file, id, m->keys.from);
    return fail("%s: it is sealed under master key %s, which is not in %s; add that behind the "
                "present one, on a line of its own, and try again",
                r->file, id, m->keys.from);
}

/* ---- restore --check ---- */

/* Where there is a data directory: whether its key opens the backup. */
static int check_master(struct ctl *ctl, const struct restore *r, const char **says)
{
    struct master_key m;
    bool fits = false;
    int rc = link_dir(ctl, false, true);

    *says = "not here";
    if (rc < 0)
        return CTL_DONE;
    if (rc == CTL_DONE && !link_become_owner(ctl->dir))
        rc = fail("%s: its owner's rights cannot be taken: %s", ctl->dir, strerror(errno));
    if (rc != CTL_DONE)
        return rc;
    rc = find_master(ctl, r, &m, &fits);
    link_become_self();
    if (rc != CTL_DONE)
        return rc;
    if (fits)
        *says = "here";
    else if (m.keys.count > 0)
        rc = wrong_master(r, &m);
    master_key_forget(&m);
    return rc;
}

static int run_check(struct ctl *ctl, struct restore *r)
{
    const char *master = NULL;
    int rc = verify(r, -1);

    if (rc == CTL_DONE)
        rc = check_master(ctl, r, &master);
    if (rc != CTL_DONE)
        return rc;
    json_t *json = backup_manifest_json(&r->manifest, r->file);
    if (json == NULL || json_object_set_new(json, "whole", json_true()) != 0 ||
        json_object_set_new(json, "master_key_is", json_string(master)) != 0)
        rc = fail("out of memory");
    else
        rc = ctl->json ? print_json(json) : print_object(json);
    json_decref(json);
    return rc;
}

/* ---- restore ---- */

static int lock_directory(struct ctl *ctl, struct restore *r)
{
    char err[512];
    int rc = link_dir(ctl, true, false);

    if (rc != CTL_DONE)
        return rc;
    if (!link_become_owner(ctl->dir))
        return fail("%s: its owner's rights cannot be taken: %s", ctl->dir, strerror(errno));
    rc = data_lock(ctl->dir, &r->lock, err, sizeof err);
    if (rc == TEDDY_OK)
        return CTL_DONE;
    return rc == TEDDY_AGAIN ? fail("%s; stop that first", err)
                             : fail("%s; run teddyctl as the user that the server runs as", err);
}

static void name_files(const struct ctl *ctl, struct restore *r)
{
    char at[32];

    backup_time(r->now_s, true, at);
    (void)snprintf(r->database, sizeof r->database, "%s/teddy.db", ctl->dir);
    (void)snprintf(r->copy, sizeof r->copy, "%s" STORE_RESTORE_SUFFIX, r->database);
    (void)snprintf(r->kept, sizeof r->kept, "%s.before-%s", r->database, at);
    for (unsigned n = 2; exists(r->kept) && n < 1000; n++)
        (void)snprintf(r->kept, sizeof r->kept, "%s.before-%s-%u", r->database, at, n);
}

static int make_copy(struct restore *r)
{
    int rc, to = open(r->copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (to < 0)
        return fail("%s: cannot be made: %s", r->copy, strerror(errno));
    rc = verify(r, to);
    if (close(to) != 0 && rc == CTL_DONE)
        rc = fail("%s: cannot be written: %s", r->copy, strerror(errno));
    return rc;
}

static void stepped(void *progress, unsigned done, unsigned all)
{
    progress_show(progress, "merging", done, all);
}

static int sign_trail(struct store_tx *tx, void *key)
{
    return audit_sign_grown(tx, key, (uint64_t)time(NULL) * 1000);
}

/* With --lost what there is of the former database is used as well, if it can be. */
static int prepare(const struct ctl *ctl, struct restore *r, struct master_key *m)
{
    char actor[32], path[sizeof ctl->dir + 32], err[1024];
    struct audit_key *key = NULL;
    struct restore_job job = {.store = {.path = r->copy, .master = &m->keys},
                              .former = r->database,
                              .now_s = r->now_s,
                              .made_s = r->manifest.made_s,
                              .actor = actor,
                              .sign = sign_trail,
                              .stepped = stepped,
                              .arg = &r->progress};
    int rc;

    (void)snprintf(actor, sizeof actor, "uid:%u", ctl->uid);
    r->former = exists(r->database);
    if (!r->former && !ctl->backup.lost)
        return fail("%s is not there. " LOST, r->database);
    if (!r->former)
        job.former = NULL;
    (void)snprintf(path, sizeof path, "%s/" AUDIT_KEY_FILE, ctl->dir);
    if (audit_key_load(path, &key, err, sizeof err) != TEDDY_OK)
        return fail("%s", err);
    job.signer = key;
    r->progress.unit = "steps";
    progress_busy(&r->progress, "merging");
    rc = store_restore(&job, &r->counts, err, sizeof err);
    if (rc == TEDDY_EAUTH && ctl->backup.lost) {
        r->former = false;
        job.former = NULL;
        rc = store_restore(&job, &r->counts, err, sizeof err);
    }
    progress_end(&r->progress);
    audit_key_free(key);
    if (rc == TEDDY_EAUTH)
        return fail("the present database cannot be used: %s. " LOST, err);
    return rc == TEDDY_OK ? CTL_DONE : fail("%s", err);
}

static int renew_keys(const struct ctl *ctl, const struct restore *r)
{
    struct keyring_policy policy = {.alg = ctl->es256 ? JWT_ES256 : JWT_HS256};
    struct keyring_op op = {.verb = KEYRING_RENEW};
    char path[sizeof ctl->dir + 32], err[512] = "";
    struct keys *keys = NULL;
    int rc;

    (void)snprintf(path, sizeof path, "%s/" KEYRING_FILE, ctl->dir);
    rc = keyring_run(path, &policy, NULL, &op, r->now_s, &keys, err, sizeof err);
    keys_free(keys);
    return rc == TEDDY_OK ? CTL_DONE : fail("%s", err);
}

/* Until the copy has the database's name, all that has changed is the keys of the tokens: toys
 * claim anew. */
static int replace(const struct ctl *ctl, struct restore *r, struct master_key *m)
{
    bool there = exists(r->database);
    char err[1024];
    int rc = renew_keys(ctl, r);

    if (rc != CTL_DONE)
        return rc;
    if (store_swap(r->database, there ? r->kept : NULL, err, sizeof err) != TEDDY_OK)
        return fail("%s", err);
    if (!there)
        r->kept[0] = '\0';
    if (master_key_settle(m, err, sizeof err) != TEDDY_OK)
        (void)fail("%s", err); /* it is found again at the next start */
    return CTL_DONE;
}

static int restore(struct ctl *ctl, struct restore *r)
{
    struct master_key m;
    bool fits = false;
    int rc = make_copy(r);

    if (rc == CTL_DONE)
        rc = find_master(ctl, r, &m, &fits);
    if (rc != CTL_DONE)
        return rc;
    rc = fits ? prepare(ctl, r, &m) : wrong_master(r, &m);
    if (rc == CTL_DONE)
        rc = replace(ctl, r, &m);
    master_key_forget(&m);
    return rc;
}

static json_t *report(const struct restore *r)
{
    const struct restore_counts *c = &r->counts;
    json_t *json = backup_manifest_json(&r->manifest, r->file);
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {
        {"token_families_ended", c->families},
        {"admin_tokens_revoked", c->admin_tokens},
        {"claims_kept", c->claims},
        {"secrets_kept", c->secrets},
        {"kept_disabled", c->disabled},
        {"removed_now_disabled", c->removed},
        {"bindings_kept_ended", c->unbound},
        {"messages_kept_gone", c->messages},
    };

    for (size_t i = 0; json != NULL && i < sizeof counts / sizeof counts[0]; i++)
        (void)json_object_set_new(json, counts[i].name, json_integer((json_int_t)counts[i].n));
    if (json != NULL) {
        (void)json_object_set_new(json, "former_used", json_boolean(r->former));
        (void)json_object_set_new(json, "former_kept",
                                  r->kept[0] != '\0' ? json_string(r->kept) : json_null());
    }
    return json;
}

static int print_restore(const struct ctl *ctl, const struct restore *r)
{
    json_t *json = report(r);
    int rc = json == NULL ? fail("out of memory")
             : ctl->json  ? print_json(json)
                          : print_object(json);

    json_decref(json);
    if (rc != CTL_DONE || ctl->json)
        return rc;
    if (r->kept[0] != '\0')
        (void)fprintf(stderr, "Remove %s when all is well: forgetting a child does not reach it.\n",
                      r->kept);
    if (!r->former)
        (void)fputs("The former database was not used: a claim that somebody recorded since the "
                    "backup could be\nplayed once more; rotate the secrets of toys for which that "
                    "matters.\n",
                    stderr);
    return rc;
}

int run_restore(struct ctl *ctl, const char *file)
{
    struct restore r = {.fd = -1, .lock = -1, .progress = progress_begin(ctl, "bytes")};
    int rc;

    r.now_s = (uint64_t)time(NULL);
    if (ctl->backup.check && ctl->backup.lost)
        return usage("--check and --lost exclude each other");
    rc = open_backup(&r, file);
    if (rc == CTL_DONE && ctl->backup.check) {
        rc = run_check(ctl, &r);
        (void)close(r.fd);
        return rc;
    }
    if (rc == CTL_DONE)
        rc = lock_directory(ctl, &r);
    if (rc == CTL_DONE) {
        name_files(ctl, &r);
        store_swap_tidy(r.database);
        rc = restore(ctl, &r);
        store_swap_tidy(r.database);
    }
    data_unlock(r.lock);
    link_become_self();
    if (r.fd >= 0)
        (void)close(r.fd);
    return rc == CTL_DONE ? print_restore(ctl, &r) : rc;
}
