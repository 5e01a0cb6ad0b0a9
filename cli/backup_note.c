/* What is remembered of the last backup: teddyctl status shows it. */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup.h"

static void note_name(const struct ctl *ctl, char out[], size_t cap)
{
    (void)snprintf(out, cap, "%s/" BACKUP_NOTE, ctl->dir);
}

void backup_note(const struct ctl *ctl, const struct backup_manifest *m, const char *file)
{
    char path[sizeof ctl->dir + 32], partial[sizeof path + 8], whole[PATH_MAX];
    json_t *json = backup_manifest_json(m, realpath(file, whole) != NULL ? whole : file);

    note_name(ctl, path, sizeof path);
    (void)snprintf(partial, sizeof partial, "%s.new", path);
    if (json != NULL)
        (void)json_object_set_new(json, "made_s", json_integer((json_int_t)m->made_s));
    if (json == NULL || !link_become_owner(ctl->dir)) {
        json_decref(json);
        return;
    }
    mode_t before = umask(077);
    if (json_dump_file(json, partial, JSON_COMPACT) != 0 || rename(partial, path) != 0)
        (void)unlink(partial);
    (void)umask(before);
    link_become_self();
    json_decref(json);
}

json_t *backup_last(const struct ctl *ctl)
{
    char path[sizeof ctl->dir + 32];
    json_t *json = NULL;

    note_name(ctl, path, sizeof path);
    if (link_become_owner(ctl->dir)) {
        json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
        link_become_self();
    }
    if (json_is_string(json_object_get(json, "made")) &&
        json_is_string(json_object_get(json, "file")))
        return json;
    json_decref(json);
    return NULL;
}
