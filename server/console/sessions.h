/* Who has signed in to the console, and the one-time links that sign in: in memory only, so that a
 * restart signs everybody out. Of a cookie or a link its SHA-256 is kept. Threads: one, of the loop
 * that serves the administration. Times: the loop's milliseconds. */
#ifndef CONSOLE_SESSIONS_H
#define CONSOLE_SESSIONS_H

#include "proto/span.h"
#include "store/admin_tokens.h"
#include "teddy/err.h"

#define CONSOLE_SESSIONS_MAX 256u /* one more, and the one that was used least lately ends */
#define CONSOLE_OF_ONE_MAX   32u  /* the same, of the sessions of one token */
#define CONSOLE_LINKS_MAX    16u  /* the same, of links that wait; the oldest goes */
#define CONSOLE_IDLE_MS      3600000u
#define CONSOLE_LIFE_MS      43200000u
#define CONSOLE_LINK_MS      300000u
#define CONSOLE_SECRET_LEN   43 /* 256 random bits in base64url */

struct console_sessions;

/* A session, as it is found. */
struct console_session {
    uint64_t number;                    /* never given twice */
    char token[ADMIN_TOKEN_ID_LEN + 1]; /* the id of the admin token that it stands for */
    uint64_t ends_ms;                   /* however it is used */
};

struct console_sessions *console_sessions_new(void); /* NULL: out of memory */
void console_sessions_free(struct console_sessions *s);

/* Draws the secret of a new session. TEDDY_EIO: the CSPRNG failed. */
TEDDY_MUST_CHECK int console_session_open(struct console_sessions *s, const char *token,
                                          uint64_t now_ms, char secret[CONSOLE_SECRET_LEN + 1]);
/* The session of this secret, which has been used now; false: there is none. */
bool console_session_use(struct console_sessions *s, struct span secret, uint64_t now_ms,
                         struct console_session *out);
/* Whether it has not ended; looking is no use of it. */
bool console_session_lives(const struct console_sessions *s, uint64_t number, uint64_t now_ms);
void console_session_close(struct console_sessions *s, uint64_t number);

/* Draws the code of a link that signs in with this token, once. TEDDY_EIO. */
TEDDY_MUST_CHECK int console_link_make(struct console_sessions *s, const char *token,
                                       uint64_t now_ms, char code[CONSOLE_SECRET_LEN + 1]);
/* The token of the link, which is gone now; false: there is no such link any more. */
bool console_link_take(struct console_sessions *s, struct span code, uint64_t now_ms,
                       char token[ADMIN_TOKEN_ID_LEN + 1]);

#endif
