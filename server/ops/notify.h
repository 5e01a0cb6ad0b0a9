/* What the service manager is told, as sd_notify(3) has it: datagrams to the socket that
 * $NOTIFY_SOCKET names. Without one nothing is sent. */
#ifndef OPS_NOTIFY_H
#define OPS_NOTIFY_H

#include <stdint.h>

#include "teddy/err.h"

/* Reads the environment. TEDDY_EPROTO: NOTIFY_SOCKET or WATCHDOG_USEC cannot be meant; TEDDY_EIO:
 * no socket. Threads: before there are others. */
TEDDY_MUST_CHECK int notify_open(void);
/* Lines of NAME=VALUE. What cannot be delivered within a second is dropped: the manager's own
 * timeouts are for that. Threads: any. Blocks: a second at most. Allocates: no. */
__attribute__((format(printf, 1, 2))) void notify(const char *format, ...);
/* The longest time between two WATCHDOG=1 that the manager wants of this process; 0: none. */
uint64_t notify_watchdog_ms(void);

#endif
