/* Where the data directory is, and making it. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/config_keys.h"

static const char *home(void)
{
    const char *h = getenv("HOME");
    const struct passwd *p;

    if (h != NULL && h[0] == '/')
        return h;
    p = getpwuid(geteuid());
    return p != NULL ? p->pw_dir : NULL;
}

static int resolve(const struct config *c, char *out, size_t cap, char *err, size_t err_cap)
{
    const char *state = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_DATA_HOME");
    const char *h;
    int n;

    if (c->data[0] != '\0') {
        n = snprintf(out, cap, "%s", c->data);
    } else if (state != NULL && state[0] == '/') {
        /* systemd lists several with colons; the first is ours. */
        n = snprintf(out, cap, "%.*s", (int)strcspn(state, ":"), state);
    } else if (xdg != NULL && xdg[0] == '/') {
        n = snprintf(out, cap, "%s/teddy", xdg);
    } else if ((h = home()) != NULL) {
        n = snprintf(out, cap, "%s/.local/share/teddy", h);
    } else {
        (void)snprintf(err, err_cap, "no home directory for the data; give --data DIR");
        return TEDDY_EINVAL;
    }
    if (n < 0 || (size_t)n >= cap) {
        (void)snprintf(err, err_cap, "the data directory's path is too long");
        return TEDDY_EINVAL;
    }
    return TEDDY_OK;
}

/* Makes path and what is missing above it. */
static int make_path(char *path)
{
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int rc = mkdir(path, 0700);
        int why = errno;
        *p = '/';
        if (rc != 0 && why != EEXIST && why != EROFS && why != EACCES)
            return why;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : errno;
}

int config_data_dir(const struct config *c, bool make, char *out, size_t cap, char *err,
                    size_t err_cap)
{
    struct stat st;
    int rc = resolve(c, out, cap, err, err_cap);
    int why;

    if (rc != TEDDY_OK)
        return rc;
    why = make ? make_path(out) : 0;
    if (why != 0) {
        (void)snprintf(err, err_cap, "data directory %s cannot be made: %s", out, strerror(why));
        return TEDDY_EIO;
    }
    if (stat(out, &st) != 0) {
        why = errno;
        (void)snprintf(err, err_cap, "data directory %s: %s", out, strerror(why));
        return why == ENOENT ? TEDDY_ENOTFOUND : TEDDY_EIO;
    }
    if (!S_ISDIR(st.st_mode)) {
        (void)snprintf(err, err_cap, "data directory %s is not a directory", out);
        return TEDDY_EIO;
    }
    if ((st.st_mode & S_IWOTH) != 0) {
        (void)snprintf(err, err_cap, "data directory %s may be written by everybody; chmod o-w it",
                       out);
        return TEDDY_EIO;
    }
    return TEDDY_OK;
}
