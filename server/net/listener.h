/* Listening sockets. Several loops may accept from one socket, each with a listener of its own on
 * it. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <sys/socket.h>

#include "net/conn.h"

struct listener;

/* Binds and listens. host may be a name or an IPv4/IPv6 literal (without brackets); *port 0 picks
 * one and is set to the real one. On failure err (cap bytes) names the cause. */
TEDDY_MUST_CHECK int listen_tcp(const char *host, uint16_t *port, int *fd, char *err, size_t cap);
/* Where a TCP socket listens, numerically; *loopback: nowhere else than there. */
TEDDY_MUST_CHECK int listen_where(int fd, char *host, size_t cap, uint16_t *port, bool *loopback);
/* A Unix socket, mode 0600; a stale file of a dead process is replaced. */
TEDDY_MUST_CHECK int listen_unix(const char *path, int *fd, char *err, size_t cap);

/* Accepts from fd on this loop (fd stays the caller's, non-blocking, not closed here); accepted is
 * called for each new descriptor, which it owns. Out of descriptors: it pauses a moment rather than
 * spin. Loop's thread. */
TEDDY_MUST_CHECK int listener_new(struct loop *loop, int fd,
                                  void (*accepted)(struct loop *loop, int fd,
                                                   const struct sockaddr_storage *peer, void *user),
                                  void *user, struct listener **out);
void listener_free(struct listener *l); /* loop's thread; NULL is fine */

#endif
