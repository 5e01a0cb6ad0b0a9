/* teddyctl backup and restore: what they share. The file of a backup is the database, byte for byte
 * as SQLite reads it, and behind it a manifest: one line of JSON that is filled up with spaces to
 * BACKUP_MANIFEST_LEN bytes. */
#ifndef CLI_BACKUP_H
#define CLI_BACKUP_H

#include "cli/batch.h"
#include "store/backup.h"

#define BACKUP_MANIFEST_LEN 512

struct backup_manifest {
    struct backup_facts facts;
    uint64_t bytes, made_s;
    char version[32]; /* of teddyctl */
    uint8_t sha256[SHA256_LEN];
};

/* Where fd, the file called name, has the database's bytes: their digest, and, to >= 0, a copy of
 * them. */
int backup_digest(int fd, const char *name, uint64_t bytes, int to, const char *to_name,
                  struct progress *progress, uint8_t sha256[SHA256_LEN]);
/* Behind the bytes that are there. */
int backup_manifest_write(int fd, const char *name, const struct backup_manifest *m);
/* Whether a manifest stands at the end of the file, which is all that is read. */
bool backup_is_one(int fd, struct backup_manifest *m);
int backup_manifest_read(int fd, const char *name, struct backup_manifest *m);
/* The manifest as it is printed; more members may follow. NULL: out of memory. */
json_t *backup_manifest_json(const struct backup_manifest *m, const char *file);
/* What is remembered of the last backup, in the data directory's BACKUP_NOTE: as it was printed,
 * and made_s. Not to be able to write it is no failure. */
#define BACKUP_NOTE "last-backup.json"
void backup_note(const struct ctl *ctl, const struct backup_manifest *m, const char *file);
/* New; NULL: none is known. */
json_t *backup_last(const struct ctl *ctl);
/* 2026-01-31T12:00:00Z; plain, as a part of a file's name, 20260131T120000Z. */
void backup_time(uint64_t s, bool plain, char out[32]);

#endif
