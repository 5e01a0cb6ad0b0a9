/* The data directory's files: whose they are, who may read them; the database, its key, and the
 * last backup. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/backup.h"
#include "cli/doctor.h"
#include "identity/master_key.h"
#include "store/backup.h"

#define WAL_WARNS    ((off_t)256 << 20)
#define BACKUP_OLD_S (8 * 86400)
#define LIST_MAX     2000

/* What everybody may read. */
static bool is_public(const char *name)
{
    return strcmp(name, "ca.crt") == 0 || strcmp(name, "server.crt") == 0 ||
           strcmp(name, "lock") == 0 || strcmp(name, "admin.sock") == 0;
}

/* The names of those that are wrong in one way, for one command that mends them all. */
struct list {
    char names[LIST_MAX];
    size_t len;
    unsigned count;
};

static void list_add(struct list *l, const char *dir, const char *name)
{
    char path[WORD_MAX], word[WORD_MAX];
    int n;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    n = snprintf(l->names + l->len, sizeof l->names - l->len, " %s", doctor_word(path, word));
    l->count++;
    if (n > 0 && (size_t)n < sizeof l->names - l->len)
        l->len += (size_t)n;
    else
        l->names[l->len] = '\0';
}

static void report_files(struct doctor *d, const struct list *foreign, const struct list *open)
{
    char mend[LIST_MAX + 64];

    if (foreign->count > 0) {
        /* -h: the directory's owner may have put a link in the file's place meanwhile. */
        (void)snprintf(mend, sizeof mend, "chown -h %u:%u%s", (unsigned)d->owner,
                       (unsigned)d->group, foreign->names);
        found(d, FINDING_WRONG, mend,
              "%u file%s not the directory's owner's: the server cannot write %s", foreign->count,
              foreign->count == 1 ? " is" : "s are", foreign->count == 1 ? "it" : "them");
    }
    if (open->count > 0) {
        (void)snprintf(mend, sizeof mend, "chmod go=%s", open->names);
        found(d, FINDING_WRONG, mend, "%u file%s open to other users, and hold%s secrets",
              open->count, open->count == 1 ? " is" : "s are", open->count == 1 ? "s" : "");
    }
    if (foreign->count + open->count == 0)
        found_good(d, "every file is its owner's alone");
}

static void examine_kept(struct doctor *d, const char *name)
{
    char path[WORD_MAX], word[WORD_MAX], mend[WORD_MAX + 8];

    (void)snprintf(path, sizeof path, "%s/%s", d->ctl->dir, name);
    (void)snprintf(mend, sizeof mend, "rm %s", doctor_word(path, word));
    found(d, FINDING_WARNS, mend,
          "%s is the database before a restore: what is forgotten since is still in it", name);
}

void examine_files(struct doctor *d)
{
    struct list foreign = {0}, open = {0};
    DIR *dir = opendir(d->ctl->dir);
    struct dirent *e;
    struct stat st;
    char mend[WORD_MAX + 16];

    d->area = "files";
    if (dir == NULL || fstat(dirfd(dir), &st) != 0) {
        found(d, FINDING_WRONG, "sudo teddyctl doctor", "%s: %s", d->ctl->dir, strerror(errno));
        return;
    }
    if ((st.st_mode & 077) != 0) {
        (void)snprintf(mend, sizeof mend, "chmod 700 %s", d->dir);
        found(d, FINDING_WARNS, mend, "%s is open to other users", d->ctl->dir);
    }
    while ((e = readdir(dir)) != NULL) {
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode)))
            continue;
        if (st.st_uid != d->owner)
            list_add(&foreign, d->ctl->dir, e->d_name);
        if ((st.st_mode & 077) != 0 && !is_public(e->d_name))
            list_add(&open, d->ctl->dir, e->d_name);
        if (strncmp(e->d_name, "teddy.db.before-", 16) == 0 && strstr(e->d_name, "-wal") == NULL &&
            strstr(e->d_name, "-shm") == NULL)
            examine_kept(d, e->d_name);
    }
    (void)closedir(dir);
    report_files(d, &foreign, &open);
}

/* ---- The database ---- */

static void examine_master(struct doctor *d, const struct backup_facts *facts)
{
    uint8_t id[SEAL_ID_LEN];
    struct master_key m;
    char err[512], path[WORD_MAX], word[WORD_MAX], mend[WORD_MAX + 100];
    bool fits = false;

    (void)snprintf(path, sizeof path, "%s/" MASTER_KEY_FILE, d->ctl->dir);
    (void)doctor_word(d->ctl->master_key_file[0] != '\0' ? d->ctl->master_key_file : path, word);
    (void)snprintf(mend, sizeof mend,
                   "install -o %u -g %u -m 600 /backup/master.key %s   # from where you keep it",
                   (unsigned)d->owner, (unsigned)d->group, word);
    if (master_key_find(&m, d->ctl->master_key_file, d->ctl->dir, err, sizeof err) != TEDDY_OK) {
        found(d, FINDING_WRONG, mend, "master key: %s", err);
        return;
    }
    for (unsigned i = 0; i < m.keys.count; i++)
        fits |=
            seal_id(m.keys.key[i], id) == TEDDY_OK && memcmp(id, facts->master_id, sizeof id) == 0;
    if (fits)
        found_good(d, "the master key in %s is the one that the secrets are sealed under", m.from);
    else if (d->server > 0)
        found(d, FINDING_WARNS, "teddyctl master-key status",
              "the master key that the server has is not to be seen from here (%s)",
              m.keys.count == 0 ? "there is none" : "another one is");
    else
        found(d, FINDING_WRONG, mend, "the master key %s: no toy's secret can be read",
              m.keys.count == 0 ? "is missing" : "does not fit");
    master_key_forget(&m);
}

static void examine_log(struct doctor *d, const char *path)
{
    char wal[sizeof d->ctl->dir + 40], mend[100];
    struct stat st;

    (void)snprintf(wal, sizeof wal, "%s-wal", path);
    if (stat(wal, &st) != 0 || st.st_size < WAL_WARNS)
        return;
    (void)snprintf(mend, sizeof mend, "%s",
                   d->server > 0 ? "systemctl restart teddyd   # which folds it back"
                                 : "teddyd   # folds it back at its start");
    found(d, FINDING_WARNS, mend, "%s has %.0f MB: somebody has read for a very long time", wal,
          (double)st.st_size / 1e6);
}

static void examine_backup(struct doctor *d)
{
    json_t *last = backup_last(d->ctl);
    uint64_t made_s = (uint64_t)json_integer_value(json_object_get(last, "made_s"));
    char mend[WORD_MAX + 100];

    (void)snprintf(mend, sizeof mend, "teddyctl --data %s backup /backup/teddy-$(date +%%F).db",
                   d->dir);
    if (last == NULL)
        found(d, FINDING_WARNS, mend, "no backup was made yet");
    else if (made_s + BACKUP_OLD_S < (uint64_t)time(NULL))
        found(d, FINDING_WARNS, mend, "the last backup is of %s",
              json_string_value(json_object_get(last, "made")));
    else
        found_good(d, "the last backup is of %s", json_string_value(json_object_get(last, "made")));
    json_decref(last);
}

static void wrong_database(struct doctor *d, const char *err)
{
    char mend[WORD_MAX + 100];

    if (strstr(err, "newer") != NULL)
        (void)snprintf(mend, sizeof mend,
                       "apt install --only-upgrade teddyd   # a release as new as that");
    else if (strstr(err, "start this release's teddyd") != NULL)
        (void)snprintf(mend, sizeof mend, "systemctl restart teddyd");
    else
        (void)snprintf(mend, sizeof mend,
                       "systemctl stop teddyd; teddyctl --data %s restore --lost "
                       "/backup/teddy-….db",
                       d->dir);
    found(d, FINDING_WRONG, mend, "%s", err);
}

void examine_database(struct doctor *d)
{
    struct backup_facts facts;
    char path[sizeof d->ctl->dir + 32], err[1024];

    d->area = "database";
    if (!link_become_owner(d->ctl->dir)) {
        found(d, FINDING_WARNS, "sudo teddyctl doctor", "its owner's rights cannot be taken");
        return;
    }
    (void)snprintf(path, sizeof path, "%s/teddy.db", d->ctl->dir);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        found_good(d, "there is none yet; the server makes it");
    } else if (access(path, R_OK) != 0 && errno == EACCES) {
        found(d, FINDING_WARNS, "sudo teddyctl doctor", "%s: %s", path, strerror(EACCES));
    } else if (store_backup_look(path, &facts, err, sizeof err) != TEDDY_OK) {
        wrong_database(d, err);
    } else {
        found_good(d, "whole; schema %d, %llu devices", facts.schema,
                   (unsigned long long)facts.devices);
        examine_master(d, &facts);
        examine_log(d, path);
        examine_backup(d);
    }
    link_become_self();
}
