/* Before the database of an older release is brought to this one's schema, which that one cannot
 * read, a backup of it is made: the way back, and a second copy should the change go wrong. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/log.h"
#include "ops/notify.h"
#include "store/backup_file.h"
#include "teddyd.h"

#define NAME_START "upgrade-from-schema-"
#define NAME_END   ".backup"
#define DAY_S      86400

static void say(void *arg, const char *what, uint64_t done, uint64_t all)
{
    (void)arg;
    notify("EXTEND_TIMEOUT_USEC=60000000\nSTATUS=Backup before the upgrade: %s, %u%%", what,
           (unsigned)(all > 0 ? 100 * done / all : 100));
}

static int keep(struct server *s, const char *database, const struct store_schema *schema)
{
    const struct backup_watch watch = {.progress = say};
    struct backup_manifest made;
    char file[PATH_MAX], why[ERROR_MAX / 2];
    snprintf(file, sizeof file, "%s/" NAME_START "%d" NAME_END, s->data, schema->version);
    LOG(LOG_INFO, "upgrade_backup", LOG_S("file", file), LOG_N("schema", schema->version),
        LOG_N("to_schema", schema->known));
    if (store_backup_make(database, file, true, &watch, &made, why, sizeof why) == TEDDY_OK)
        return TEDDY_OK;
    snprintf(s->error, sizeof s->error,
             "the backup before the upgrade from schema %d to %d: %s; or set upgrade_backup_days "
             "= 0 to go without",
             schema->version, schema->known, why);
    return TEDDY_ESTORE;
}

int upgrade_keep(struct server *s, const char *database)
{
    struct store_schema schema;
    if (s->app.config.upgrade_backup_days == 0)
        return TEDDY_OK;
    int rc = store_schema_of(database, &schema, s->error, sizeof s->error);
    if (rc != TEDDY_OK || schema.version == 0 || schema.version >= schema.known)
        return rc;
    if (schema.sealed)
        return keep(s, database, &schema);
    LOG(LOG_WARN, "upgrade_backup", LOG_N("schema", schema.version),
        LOG_S("warning", "none is made: the secrets would stand in it in the clear"));
    return TEDDY_OK;
}

/* Or what a start that was killed has left of one. Whoever wants to keep one gives it another
 * name. */
static bool is_backup(const char *name)
{
    if (strncmp(name, NAME_START, sizeof NAME_START - 1) != 0)
        return false;
    name += sizeof NAME_START - 1;
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && (strcmp(name + digits, NAME_END) == 0 ||
                          strcmp(name + digits, NAME_END ".partial") == 0);
}

/* By a clock that was wrong when it was made it would never be too old. */
static bool is_old(int dir, const char *name, const struct stat *st, uint64_t keep_s)
{
    static const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    uint64_t now_s = app_now_s(), made_s = st->st_mtime > 0 ? (uint64_t)st->st_mtime : 0;
    if (made_s > now_s)
        (void)utimensat(dir, name, now, AT_SYMLINK_NOFOLLOW);
    return made_s + keep_s <= now_s;
}

void upgrade_tidy(const struct server *s)
{
    uint64_t keep_s = DAY_S * (uint64_t)s->app.config.upgrade_backup_days;
    DIR *d = opendir(s->data);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        struct stat st;
        if (!is_backup(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !is_old(dirfd(d), e->d_name, &st, keep_s))
            continue;
        if (unlinkat(dirfd(d), e->d_name, 0) == 0)
            LOG(LOG_INFO, "upgrade_backup_removed", LOG_S("file", e->d_name));
    }
    if (d != NULL)
        closedir(d);
}
