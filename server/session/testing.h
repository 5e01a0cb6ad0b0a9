/* For tests of sessions: a hub on a real loop behind a real listener, and a toy of a few lines. A
 * connection begins with a line that says who it is (in place of the HTTP upgrade, which belongs to
 * another room); from there on it speaks WebSocket. */
#ifndef SESSION_TESTING_H
#define SESSION_TESTING_H

#include "net/testing.h"
#include "session/session.h"

struct house {
    struct testing_server net;
    struct hub *hub;
    struct session_config config;
    struct conn_limits limits;
    struct sockaddr_storage peer; /* of the connection accepted last */
    unsigned opened;              /* connections whose line was read */
    unsigned refreshes;           /* in-session refreshes asked for */
    char refresh_token[704];      /* of the last one */
    uint64_t refresh_session;
    uint64_t last_session;
    bool refresh_later;
    const char *refresh_error;
    uint16_t refresh_close;
    uint32_t refresh_exp_s; /* the new token's life */
};

/* The configuration that tests begin with: no rate limit, long times. */
struct session_config house_config(void);
void house_open(struct house *h, const struct session_config *config);
void house_close(struct house *h);

struct toy {
    struct testing_client net;
    struct ws_decoder decoder;
    uint8_t in[262144];
    size_t in_len;
    char text[262144]; /* the last message, terminated */
    size_t text_len;
    uint8_t opcode;  /* the last frame's or message's */
    unsigned frames; /* it came in */
    uint16_t close_code;
    char close_reason[124];
};

/* line: "session DEVICE CHILD SID EXP_S", "echo MAX", "refuse CODE REASON", or "closed DEVICE":
 * revoked between registering and starting. */
struct toy *toy_open(struct house *h, const char *line);
struct toy *toy_join(struct house *h, const char *device); /* child c, sid 1, exp in an hour */
void toy_free(struct toy *t);
void toy_send(struct toy *t, uint8_t opcode, bool fin, const void *data, size_t len);
void toy_say(struct toy *t, const char *text); /* a text frame */
/* The next message or control frame; false at the connection's end. */
bool toy_next(struct toy *t);
/* The next one, which must be this text message. */
void toy_hears(struct toy *t, const char *text);
/* The next one, which must hold this piece. */
void toy_hears_part(struct toy *t, const char *piece);
/* The next one must be a close frame, after which (having answered) the connection ends. */
void toy_closed(struct toy *t, uint16_t code, const char *reason);
/* Pings and waits for the pong: all that was said before has been taken. */
void toy_settle(struct toy *t);

/* For processors of the tests: said words decide. "slow" answers when woken after 60 s unless
 * cancelled, "wait N" after N ms, "fail" fails, "two" in two parts, "big" in one of 3000 bytes,
 * else "re: " and the words. */
struct minds *testing_minds_with(const struct process *process); /* closed with its house */
extern const struct process testing_process;
extern const struct process testing_broken_process; /* has no room for a session */
extern unsigned testing_minds;                      /* alive */

#endif
