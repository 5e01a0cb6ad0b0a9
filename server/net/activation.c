#include "net/activation.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/text.h"

enum { FIRST_FD = 3, FDS_MAX = 16 };

static int number(const char *name, uint64_t *out)
{
    const char *text = getenv(name);
    *out = 0;
    return text ? u64_parse(span_of(text), out) : TEDDY_OK;
}

static int option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static bool listens(int fd)
{
    int domain = option(fd, SO_DOMAIN);
    return (domain == AF_INET || domain == AF_INET6) && option(fd, SO_TYPE) == SOCK_STREAM &&
           option(fd, SO_ACCEPTCONN) == 1;
}

static int refuse(char *err, size_t cap, struct span name, const char *why)
{
    snprintf(err, cap, "socket '%.*s' of the service manager: %s",
             (int)(name.len < 64 ? name.len : 64), name.p, why);
    return TEDDY_EPROTO;
}

static int take_one(const struct activated *slots, size_t count, struct span name, int fd,
                    char *err, size_t cap)
{
    size_t i = 0;
    while (i < count && !span_is(name, slots[i].name))
        i++;
    if (i == count)
        return refuse(err, cap, name,
                      "FileDescriptorName= of its .socket must be public, admin or metrics");
    if (*slots[i].fd >= 0)
        return refuse(err, cap, name, "there are two of that name; keep one ListenStream=");
    if (!listens(fd))
        return refuse(err, cap, name, "it does not listen for TCP; give ListenStream=PORT");
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
        return refuse(err, cap, name, "it cannot be used");
    *slots[i].fd = fd;
    return TEDDY_OK;
}

/* Up to the next colon, which is left out as well. */
static struct span next_name(const char **names)
{
    size_t len = strcspn(*names, ":");
    struct span name = {*names, len};
    *names += len + ((*names)[len] == ':');
    return name;
}

int activation_take(const struct activated *slots, size_t count, char *err, size_t cap)
{
    const char *names = getenv("LISTEN_FDNAMES");
    uint64_t pid, fds;
    if (!getenv("LISTEN_FDS") || !getenv("LISTEN_PID"))
        return TEDDY_OK;
    if (number("LISTEN_PID", &pid) != TEDDY_OK || number("LISTEN_FDS", &fds) != TEDDY_OK ||
        fds > FDS_MAX) {
        snprintf(err, cap, "LISTEN_PID and LISTEN_FDS must be numbers, the latter at most %d",
                 FDS_MAX);
        return TEDDY_EPROTO;
    }
    if (pid != (uint64_t)getpid())
        return TEDDY_OK;
    names = names ? names : "";
    int rc = TEDDY_OK;
    for (int i = 0; rc == TEDDY_OK && i < (int)fds; i++)
        rc = take_one(slots, count, next_name(&names), FIRST_FD + i, err, cap);
    return rc;
}
