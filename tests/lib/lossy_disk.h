/* What the lossy VFS knows of the disk: each file as its readers see it, and what of it a power cut
 * would take away. The caller holds one lock around all of this. */
#ifndef LOSSY_DISK_H
#define LOSSY_DISK_H

#include <stddef.h>

#include "tests/lib/lossy_vfs.h"

/* One change that no sync has confirmed: bytes at an offset, or (data NULL) the file's new length.
 */
struct disk_change {
    struct disk_change *next;
    uint64_t offset;
    size_t len;
    uint8_t *data;
};

struct disk_file {
    struct disk_file *next;
    char *path;
    uint8_t *image; /* as its readers see it */
    size_t size, cap;
    struct disk_change *first, **last;
    int fd;     /* the real one */
    bool named; /* its directory entry would survive */
};

/* The file at path, read from the real one when it is not known yet; existed: before it was opened
 * now. */
struct disk_file *disk_open(const char *path, bool existed);
struct disk_file *disk_find(const char *path);
void disk_write(struct disk_file *f, uint64_t offset, const void *data, size_t len);
void disk_truncate(struct disk_file *f, uint64_t size);
/* Puts all changes into the real file. False: the real disk failed. */
bool disk_sync(struct disk_file *f);
/* Names made and deleted in path's directory are final. */
void disk_sync_directory(const char *path);
/* Deletes the name, for now: a power cut may bring it back until its directory was synced. */
bool disk_delete(const char *path);
/* What a power cut leaves becomes the truth, and everything known is forgotten. */
void disk_power_cut(enum lossy_mode mode, uint64_t seed);

#endif
