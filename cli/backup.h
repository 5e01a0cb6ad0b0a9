/* teddyctl backup and restore: what they share. */
#ifndef CLI_BACKUP_H
#define CLI_BACKUP_H

#include "cli/batch.h"
#include "store/backup_file.h"

/* A struct backup_watch whose arg is a struct progress calls it. */
void backup_progress(void *progress, const char *what, uint64_t done, uint64_t all);
/* The manifest as it is printed; more members may follow. NULL: out of memory. */
json_t *backup_manifest_json(const struct backup_manifest *m, const char *file);

#endif
