#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/internal.h"

/* A loop takes so many in a round and leaves the rest to the others. */
enum { ACCEPTS_PER_ROUND = 32, OUT_OF_DESCRIPTORS_MS = 100 };

struct listener {
    struct loop_io io;
    struct loop_timer again;
    struct loop *loop;
    void (*accepted)(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user);
    void *user;
    bool freed; /* by accepted, while accepting */
    bool busy;
};

static uint16_t port_of(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    memset(&addr, 0, sizeof addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    if (addr.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
    return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

static int bind_one(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int listen_tcp(const char *host, uint16_t *port, int *fd, char *err, size_t cap)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)*port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        snprintf(err, cap, "cannot listen on %s: %s", host, gai_strerror(rc));
        return TEDDY_EINVAL;
    }
    int got = -1;
    for (const struct addrinfo *ai = list; ai && got < 0; ai = ai->ai_next)
        got = bind_one(ai);
    int why = errno;
    freeaddrinfo(list);
    if (got < 0) {
        snprintf(err, cap, "cannot listen on %s port %u: %s", host, (unsigned)*port, strerror(why));
        return TEDDY_EIO;
    }
    *port = port_of(got);
    *fd = got;
    return TEDDY_OK;
}

int listen_where(int fd, char *host, size_t cap, uint16_t *port, bool *loopback)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    memset(&addr, 0, sizeof addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0 ||
        getnameinfo((struct sockaddr *)&addr, len, host, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) !=
            0)
        return TEDDY_EIO;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr;
    *loopback = addr.ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
                                          : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    *port = port_of(fd);
    return TEDDY_OK;
}

/* A socket file that nobody answers is left from a process that died. TEDDY_EDUP: somebody answers.
 */
static int remove_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) != 0)
        return errno == ENOENT ? TEDDY_OK : TEDDY_EIO;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return TEDDY_EIO;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return TEDDY_EIO;
    int rc = connect(fd, (const struct sockaddr *)addr, sizeof *addr);
    int why = errno;
    close(fd);
    if (rc == 0 || why == EAGAIN)
        return TEDDY_EDUP;
    errno = why;
    if (why != ECONNREFUSED || unlink(addr->sun_path) != 0)
        return TEDDY_EIO;
    return TEDDY_OK;
}

int listen_unix(const char *path, int *fd, char *err, size_t cap)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof addr.sun_path) {
        snprintf(err, cap, "cannot listen on %s: the path is longer than %zu bytes", path,
                 sizeof addr.sun_path - 1);
        return TEDDY_EINVAL;
    }
    memcpy(addr.sun_path, path, len + 1);
    int rc = remove_stale(&addr);
    if (rc == TEDDY_EDUP) {
        snprintf(err, cap, "cannot listen on %s: another process serves it", path);
        return rc;
    }
    int got = rc == TEDDY_OK ? socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    /* Before bind, so that the file never exists with a wider mode. */
    if (got >= 0 && fchmod(got, 0600) == 0 &&
        bind(got, (const struct sockaddr *)&addr, sizeof addr) == 0 && chmod(path, 0600) == 0 &&
        listen(got, SOMAXCONN) == 0) {
        *fd = got;
        return TEDDY_OK;
    }
    snprintf(err, cap, "cannot listen on %s: %s", path, strerror(errno));
    if (got >= 0)
        close(got);
    return TEDDY_EIO;
}

static void pause_accepting(struct listener *l)
{
    loop_io_del(l->loop, &l->io);
    loop_timer_set(l->loop, &l->again, loop_now_ms(l->loop) + OUT_OF_DESCRIPTORS_MS);
}

static void accept_again(struct loop *loop, struct loop_timer *timer)
{
    struct listener *l = CONTAINER(timer, struct listener, again);
    if (loop_io_add(loop, &l->io, LOOP_READ | LOOP_SHARED) != TEDDY_OK)
        loop_timer_set(loop, timer, loop_now_ms(loop) + OUT_OF_DESCRIPTORS_MS);
}

/* False: nothing more to accept now. */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    memset(&peer, 0, sizeof peer);
    int fd = accept4(l->io.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        l->accepted(l->loop, fd, &peer, l->user);
        return !l->freed;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        pause_accepting(l);
    /* What went wrong with one that has already left is no reason to stop. */
    return errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
}

static void incoming(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct listener *l = CONTAINER(io, struct listener, io);
    (void)loop;
    (void)events;
    l->busy = true;
    for (int i = 0; i < ACCEPTS_PER_ROUND && accept_one(l); i++)
        ;
    l->busy = false;
    if (l->freed)
        free(l);
}

int listener_new(struct loop *loop, int fd,
                 void (*accepted)(struct loop *loop, int fd, const struct sockaddr_storage *peer,
                                  void *user),
                 void *user, struct listener **out)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return TEDDY_ENOMEM;
    l->io.fd = fd;
    l->io.ready = incoming;
    l->again.fire = accept_again;
    l->loop = loop;
    l->accepted = accepted;
    l->user = user;
    /* Accepted sockets inherit it. Of no use to a Unix socket, which refuses it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    int rc = loop_io_add(loop, &l->io, LOOP_READ | LOOP_SHARED);
    if (rc != TEDDY_OK) {
        free(l);
        return rc;
    }
    *out = l;
    return TEDDY_OK;
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    loop_io_del(l->loop, &l->io);
    loop_timer_unset(l->loop, &l->again);
    l->freed = true;
    if (!l->busy)
        free(l);
}
