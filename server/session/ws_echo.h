/* GET /ws/echo: an unauthenticated WebSocket that returns each text or binary message as it came,
 * through the sessions' own codec. */
#ifndef SESSION_WS_ECHO_H
#define SESSION_WS_ECHO_H

#include "net/conn.h"

/* Takes the connection (upgraded, paused) over. A message is returned piece by piece as it arrives,
 * so that none is ever held; one over message_max is closed with 1009. Threads: the connection's
 * loop. Allocates: once. */
void ws_echo_start(struct conn *c, uint32_t message_max);

#endif
