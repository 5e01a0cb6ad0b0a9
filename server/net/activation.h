/* Listening sockets that the service manager holds and hands over (sd_listen_fds(3)): while we are
 * away, who connects waits in them. */
#ifndef NET_ACTIVATION_H
#define NET_ACTIVATION_H

#include <stddef.h>

#include "teddy/err.h"

struct activated {
    const char *name; /* as in FileDescriptorName= */
    int *fd;          /* set to the socket, non-blocking and close-on-exec; else left alone */
};

/* Fills in what LISTEN_FDS and LISTEN_FDNAMES give this process; nothing when they are not there or
 * LISTEN_PID is another. TEDDY_EPROTO: a name that is none of the slots', or comes twice, a
 * descriptor that does not listen for TCP; err (cap bytes) names it and what to do.
 * Threads: before there are others. Blocks: no. Allocates: no. */
TEDDY_MUST_CHECK int activation_take(const struct activated *slots, size_t count, char *err,
                                     size_t cap);

#endif
