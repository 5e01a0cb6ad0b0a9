/* The form of a backup's file: the database, byte for byte as SQLite reads it, and behind it a
 * manifest, one line of JSON that is filled up with spaces to BACKUP_MANIFEST_LEN bytes. Errors
 * come with err, which names the file. Threads: any. Blocks: on the disk. */
#ifndef STORE_BACKUP_FILE_H
#define STORE_BACKUP_FILE_H

#include "store/backup.h"

#define BACKUP_MANIFEST_LEN 512
#define BACKUP_SHA256_LEN   32

struct backup_manifest {
    struct backup_facts facts;
    uint64_t bytes, made_s;
    char version[32]; /* of the program that made it */
    uint8_t sha256[BACKUP_SHA256_LEN];
};

/* A backup of the database `from`, which a server may have open, as the file `file`. It is made
 * beside, as FILE.partial, mode 0600, and gets its name once it is read again, whole and synced. A
 * file of that name is refused; with `replace`, one that is no backup is. TEDDY_EINVAL: the name is
 * too long; TEDDY_EIO; TEDDY_ESTORE. */
TEDDY_MUST_CHECK int store_backup_make(const char *from, const char *file, bool replace,
                                       const struct backup_watch *w, struct backup_manifest *out,
                                       char *err, size_t cap);

/* Where fd, the file called name, has the database's bytes: their digest, and, to >= 0, a copy of
 * them. TEDDY_EIO. */
TEDDY_MUST_CHECK int backup_digest(int fd, const char *name, uint64_t bytes, int to,
                                   const char *to_name, const struct backup_watch *w,
                                   uint8_t sha256[BACKUP_SHA256_LEN], char *err, size_t cap);
/* Behind the bytes that are there. TEDDY_EIO. */
TEDDY_MUST_CHECK int backup_manifest_write(int fd, const char *name,
                                           const struct backup_manifest *m, char *err, size_t cap);
/* Whether a manifest stands at the end of the file, which is all that is read. */
TEDDY_MUST_CHECK bool backup_manifest_read(int fd, struct backup_manifest *m);
/* 2026-01-31T12:00:00Z; plain, as a part of a file's name, 20260131T120000Z. */
void backup_time(uint64_t s, bool plain, char out[32]);

#endif
