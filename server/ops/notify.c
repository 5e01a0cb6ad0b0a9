#include "ops/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/text.h"

static struct {
    struct sockaddr_un to;
    socklen_t to_len;
    int fd; /* counts when to_len > 0 */
    uint64_t watchdog_ms;
} manager;

static int number(const char *name, uint64_t *out)
{
    const char *text = getenv(name);
    *out = 0;
    return text ? u64_parse(span_of(text), out) : TEDDY_OK;
}

/* What is said of another process is not for this one. */
static int read_watchdog(void)
{
    uint64_t us, pid;
    if (number("WATCHDOG_USEC", &us) != TEDDY_OK || number("WATCHDOG_PID", &pid) != TEDDY_OK)
        return TEDDY_EPROTO;
    if (pid == 0 || pid == (uint64_t)getpid())
        manager.watchdog_ms = us / 1000;
    return TEDDY_OK;
}

int notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len == 0)
        return TEDDY_OK;
    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof manager.to.sun_path ||
        read_watchdog() != TEDDY_OK)
        return TEDDY_EPROTO;
    manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (manager.fd < 0)
        return TEDDY_EIO;
    /* A manager that hangs must not hang us. */
    (void)setsockopt(manager.fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = 1},
                     sizeof(struct timeval));
    manager.to.sun_family = AF_UNIX;
    memcpy(manager.to.sun_path, path, len);
    if (path[0] == '@') /* of the abstract namespace */
        manager.to.sun_path[0] = '\0';
    manager.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return TEDDY_OK;
}

void notify(const char *format, ...)
{
    char text[1024];
    va_list args;
    if (manager.to_len == 0)
        return;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof text)
        (void)sendto(manager.fd, text, (size_t)n, MSG_NOSIGNAL,
                     (const struct sockaddr *)&manager.to, manager.to_len);
}

uint64_t notify_watchdog_ms(void)
{
    return manager.to_len ? manager.watchdog_ms : 0;
}
