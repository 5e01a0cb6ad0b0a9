/* A WebSocket session over a transport: the upgrade, whole messages, pings answered, the close. */
#ifndef LOAD_SESSION_H
#define LOAD_SESSION_H

#include "bench/load/transport.h"
#include "proto/span.h"
#include "proto/ws.h"

#define WS_KEY_LEN 24

struct session;

/* Who uses sessions. In each of them the session may be closed; it may be opened again later, from
 * a timer. */
struct session_events {
    void (*open)(struct session *s); /* upgraded */
    /* A whole message; data is good during the call. */
    void (*message)(struct session *s, uint8_t opcode, struct span data);
    void (*pong)(struct session *s, struct span data);
    /* Over, not by session_close. code is of the server's close frame, or 0 without one; text is
     * its reason, or what happened. */
    void (*closed)(struct session *s, unsigned code, struct span text);
};

struct session {
    struct transport transport; /* first */
    struct timer timer;         /* of who uses it */
    const struct session_events *events;
    struct fleet *fleet; /* whose it is, and which of it */
    uint32_t index;
    bool upgraded;
    char *token; /* in place of its line's; owned, or NULL */
    char key[WS_KEY_LEN + 1];
    struct ws_decoder decoder;
    uint8_t *part; /* of a message that comes in pieces */
    size_t part_len;
    uint64_t sent, received; /* messages, counted by who uses it */
};

void session_init(struct session *s, struct dialer *d, const struct session_events *events,
                  struct fleet *fleet, uint32_t index);
void session_fini(struct session *s);
/* False: not even begun. Otherwise open or closed comes. */
bool session_open(struct session *s);
/* One frame, masked. False: lost; closed comes. */
bool session_send(struct session *s, uint8_t opcode, const void *data, size_t len);
void session_send_close(struct session *s);
void session_close(struct session *s);
/* Its line of the people, or NULL. */
const struct person *session_person(const struct session *s);

#endif
