/* Where the records are kept: the names of their files, and the lock that keeps a second process
 * away.
 */
#include "posix_port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *with_suffix(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *out = malloc(size);

    if (out)
        snprintf(out, size, "%s%s", path, suffix);
    return out;
}

static int lock_state(struct teddy_posix *p, const char *path, char *why, size_t why_len)
{
    p->state->lock_fd = open(p->state->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->state->lock_fd < 0) {
        snprintf(why, why_len, "cannot write beside the state file %s: %s", path, strerror(errno));
        return TEDDY_EIO;
    }
    if (flock(p->state->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(why, why_len,
                 "the state file %s is in use by another process: stop it, or give another --state",
                 path);
        return TEDDY_EIO;
    }
    return TEDDY_OK;
}

/* Said at the start, where it can be mended, and not when the tokens are needed. */
static int check_private(const char *path, char *why, size_t why_len)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return TEDDY_OK;
    if (!S_ISREG(st.st_mode)) {
        snprintf(why, why_len, "%s is in the way: it is not a file", path);
        return TEDDY_EIO;
    }
    if ((st.st_mode & 077) != 0) {
        snprintf(why, why_len, "others may read %s: chmod 600 it", path);
        return TEDDY_EAUTH;
    }
    return TEDDY_OK;
}

int state_open(struct teddy_posix *p, const char *path, char *why, size_t why_len)
{
    struct port_state *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return TEDDY_ENOMEM;
    p->state = s;
    s->lock_fd = -1;
    s->record[TEDDY_RECORD_TOKENS] = strdup(path);
    s->record[TEDDY_RECORD_LAST] = with_suffix(path, ".last");
    s->key = with_suffix(path, ".key");
    s->time = with_suffix(path, ".time");
    s->lock = with_suffix(path, ".lock");
    s->tmp = with_suffix(path, ".tmp");
    if (!s->record[TEDDY_RECORD_TOKENS] || !s->record[TEDDY_RECORD_LAST] || !s->key || !s->time ||
        !s->lock || !s->tmp)
        return TEDDY_ENOMEM;
    if ((err = check_private(path, why, why_len)) ||
        (err = check_private(s->record[TEDDY_RECORD_LAST], why, why_len)) ||
        (err = check_private(s->key, why, why_len)) || (err = lock_state(p, path, why, why_len)))
        return err;
    clock_load(p);
    return TEDDY_OK;
}

void state_close(struct teddy_posix *p)
{
    struct port_state *s = p->state;

    if (!s)
        return;
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    for (size_t i = 0; i < TEDDY_RECORDS; i++)
        free(s->record[i]);
    free(s->key);
    free(s->time);
    free(s->lock);
    free(s->tmp);
    free(s);
    p->state = NULL;
}
