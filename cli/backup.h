/* teddyctl backup and restore: what they share. */
#ifndef CLI_BACKUP_H
#define CLI_BACKUP_H

#include "cli/batch.h"
#include "store/backup_file.h"

/* A struct backup_watch whose arg is a struct progress calls it. */
void backup_progress(void *progress, const char *what, uint64_t done, uint64_t all);
/* The manifest as it is printed; more members may follow. NULL: out of memory. */
json_t *backup_manifest_json(const struct backup_manifest *m, const char *file);
/* What is remembered of the last backup, in the data directory's BACKUP_NOTE: as it was printed,
 * and made_s. Not to be able to write it is no failure. */
#define BACKUP_NOTE "last-backup.json"
void backup_note(const struct ctl *ctl, const struct backup_manifest *m, const char *file);
/* New; NULL: none is known. */
json_t *backup_last(const struct ctl *ctl);

#endif
