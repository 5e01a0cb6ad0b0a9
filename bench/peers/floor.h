/* What raw_epoll and openssl_bare share: the least that a WebSocket echo can do. No limits, no
 * close handshake, no UTF-8 check, no partial sends: a floor to measure against, not a server. */
#ifndef PEERS_FLOOR_H
#define PEERS_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_BUFFER 65536
#define FLOOR_ROUND  256 /* events of a wait: as many as teddyd's loop takes */

struct floor_conn {
    int fd;
    uint32_t seq;
    bool upgraded;
    uint32_t kept_len; /* the beginning of a frame that has not come whole */
    uint8_t *kept;
};

/* Raises the limit of descriptors and listens on 127.0.0.1; *port 0 picks one, which others may
 * listen on, too. Ends the program when it cannot. */
int floor_listen(uint16_t *port);
/* Says so: "ready PORT". */
void floor_ready(uint16_t port);
/* A connection that waits, without delay of small segments; -1: none. */
int floor_accept(int listener);
/* Adds fd to the epoll instance, with `ptr` as what comes back. */
void floor_watch(int epoll, int fd, void *ptr);
/* The answer to in[0..len), of what came last and what was kept: `out` has FLOOR_BUFFER. With
 * `json`, the reply is what teddyd's processor `echo` says: {"type":"echo","seq":N,…}. Returns the
 * bytes to send, -1 when the connection is at its end. */
long floor_answer(struct floor_conn *c, bool json, uint8_t *in, size_t len, uint8_t *out);

#endif
