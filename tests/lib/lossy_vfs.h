/* A SQLite VFS that remembers what was not synced, so that a test can cut the power: what no xSync
 * confirmed is then lost, or arrives on the disk in part and in any order, as real disks do it.
 *
 * Writes and truncations of the database, its journal and its -wal stay in memory until the file's
 * xSync puts them into the real file. A new file's directory entry, and a deletion, last only once
 * the directory was synced: by the first xSync of a journal or -wal that SQLite made, or by an
 * xDelete that asks for it. The -shm is volatile by nature and the locks are the real ones. A
 * process that is killed loses all of it too, since what is not synced is in its memory alone.
 *
 * One world for the whole process. Threads: any, but restart. */
#ifndef LOSSY_VFS_H
#define LOSSY_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define LOSSY_VFS "lossy"

enum lossy_mode {
    LOSSY_DROP, /* nothing that was not synced survives */
    LOSSY_TEAR, /* each unsynced 512-byte sector, truncation, new or deleted name survives or not,
                   at random */
};

/* Makes the VFS known as LOSSY_VFS. Returns 0, or SQLite's error. May be called again. */
int lossy_vfs_register(void);
/* The power fails at the n-th changing call (write, truncate, sync, delete) from now, counted
 * from 1. 0: not at all. From then on every call on every file fails. */
void lossy_vfs_cut_after(uint64_t calls);
/* The power fails now. */
void lossy_vfs_cut(void);
bool lossy_vfs_is_cut(void);
/* Changing calls since the start. */
uint64_t lossy_vfs_calls(void);
/* The power comes back: the real files become what survived, and files can be opened again. Every
 * file must be closed (aborts otherwise). Also without a cut: then it is one, now. */
void lossy_vfs_restart(enum lossy_mode mode, uint64_t seed);

#endif
