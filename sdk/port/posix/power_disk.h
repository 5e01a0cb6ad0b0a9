/* A disk that forgets: what the port does to its files is noted by wrapped calls (the linker's
 * --wrap), and from the notes comes every state in which a power cut can leave them. */
#ifndef POWER_DISK_H
#define POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The files beside the state file, by suffix. */
enum disk_name { DISK_TOKENS, DISK_LAST, DISK_KEY, DISK_TIME, DISK_LOCK, DISK_TMP, DISK_NAMES };
extern const char *const disk_suffix[DISK_NAMES];

#define DISK_FILE_MAX 1600

struct disk_state {
    ssize_t len[DISK_NAMES]; /* -1: not there */
    uint8_t data[DISK_NAMES][DISK_FILE_MAX];
};

/* The files of state_path as they are now, and made so. */
void disk_read(const char *state_path, struct disk_state *out);
void disk_write(const char *state_path, const struct disk_state *s);

/* Notes from here on what is done to the files of state_path, which are taken to be safe as they
 * are; returns to plain calls. */
void disk_note(const char *state_path);
void disk_stop(void);
/* How many calls were noted, and what the n-th of them was, for people. */
size_t disk_calls(void);
const char *disk_call_text(size_t n);

/* Each state after a cut behind the first `calls` of them. An honest disk loses what no fsync
 * covers: any subset of the names given or taken since the directory's last, and of a file's bytes
 * since its own any tail, cut off or zeros. A lying one takes fsync for a wish, but keeps the order
 * of names. Equal states are not told apart, and may come twice. */
void disk_cut(size_t calls, bool honest, void (*visit)(const struct disk_state *s, void *user),
              void *user);

/* A disk with room for that many bytes more (-1: enough), and one whose n-th noted call fails (0:
 * none does). */
void disk_room(ssize_t bytes);
void disk_fail(size_t nth);

#endif
