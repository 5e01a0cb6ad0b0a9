/* The live sessions: WebSocket messages in and out, heartbeat, expiry, takeover, downlinks, drain.
 * One hub per loop holds the sessions of the devices that hash to it, so takeover and order need no
 * lock. Everything here runs on that hub's loop unless it says otherwise. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "http/http.h"
#include "identity/rules.h"
#include "mind/mind.h"
#include "net/loop.h"
#include "proto/ws.h"
#include "store/history.h"

struct hub;
struct session;

struct session_config {
    uint32_t ping_ms;              /* default 30,000 */
    uint32_t silence_ms;           /* default 75,000 */
    uint32_t expiring_notice_s;    /* token_expiring is sent this long before exp, default 120 */
    uint32_t legacy_session_max_s; /* default 86,400 */
    uint32_t message_max, utterance_max;
    uint32_t messages_per_s,
        messages_burst; /* 0: no limit; over it `rate_limited` errors, 1008 after as many again */
    uint32_t retry_min_ms,
        retry_max_ms;      /* the jittered retry_ms of closings that ask to come back */
    struct minds *minds;   /* what answers */
    struct store *store;   /* where messages to toys wait; NULL: there are none */
    uint32_t downlink_max; /* bytes of the longest message to a toy */
    /* How much telemetry of a toy is kept; interval_s 0: none. */
    struct telemetry_bounds telemetry;
    /* In-session refresh: the owner runs the rotation and calls session_refreshed with the result
     * on this loop, later or before it returns. token is NUL-terminated and valid during the call.
     */
    void (*refresh)(void *context, struct loop *loop, const char *device_id, uint64_t session_id,
                    const uint8_t sid[STORE_JTI_LEN], const char *token);
    void *refresh_context;
};

/* Whose a session is, from a checked access token; what it points to is copied. */
struct session_owner {
    const char *device_id, *child_id;
    uint8_t sid[STORE_JTI_LEN];
    uint64_t exp_s;                        /* seconds since 1970, of the access token */
    uint8_t key;                           /* the slot of the key that signed it, below 64 */
    const struct sockaddr_storage *client; /* NULL: not known */
};

TEDDY_MUST_CHECK int hub_new(struct loop *loop, const struct session_config *config,
                             struct hub **out);
/* Its loop is not running, or this is called on it: what is left of its sessions is dropped. NULL
 * is fine. Best after loop_free, which still runs tasks that may name the hub. */
void hub_free(struct hub *hub);
struct hub *hub_of(const struct loop *loop); /* this loop's */

/* An upgrade in three steps. 1: registers a session that has no connection yet; revocations reach
 * it from here on. 0 when out of memory. */
uint64_t session_register(struct hub *hub, const struct session_owner *owner);
/* 2: the caller reads the family's state again, so that neither a takeover nor a revocation can
 * slip between. 3: takes the connection (upgraded, paused) over, closes the device's older session
 * with 4001 `replaced`, and goes live. When the session was closed since step 1, the connection
 * gets that close instead. */
void session_start(struct hub *hub, uint64_t session_id, struct conn *conn);
/* Instead of 3. */
void session_unregister(struct hub *hub, uint64_t session_id);
/* A connection whose upgrade is refused: sends the close frame and ends it. */
void session_refuse(struct hub *hub, struct conn *conn, uint16_t code, const char *reason);

/* The result of config.refresh: on success the pair's tokens, and the access token's expiry;
 * otherwise an `error` with that code, or with close_code a close. */
void session_refreshed(struct hub *hub, uint64_t session_id, const char *access,
                       const char *refresh, uint32_t expires_in, uint64_t exp_s,
                       const char *error_code, uint16_t close_code);

/* The key that signs what session_refreshed is about to hand it. */
void session_set_key(struct hub *hub, uint64_t session_id, uint8_t key);

/* The toy has a processor of its own: even where the configuration's is the echo alone, whoever
 * that is answers from now on. It stays so for the session: without one again, the echo is still
 * all that is said. */
void session_set_own(struct hub *hub, uint64_t session_id);
/* The same for the device's session, if it has one. Out of memory: from its next session on.
 * Threads: any. */
void hub_post_own(struct hub *hub, const char *device_id);

/* Closes the device's session whose family is not keep_sid (NULL: any), also one that is only
 * registered. word: a literal, kept by address. */
void session_close_device(struct hub *hub, const char *device_id, const uint8_t *keep_sid,
                          uint16_t code, const char *word);
/* The same, asked of the device's hub from any thread: in the order asked, before its loop does
 * what is posted later. Called as a revocation commits, on the store's thread, it can never end the
 * session of a family that began afterwards. Out of memory: aborts, because an open session that
 * ought to be closed is worse than a restart. */
void hub_post_close(struct hub *hub, const char *device_id, const uint8_t *keep_sid, uint16_t code,
                    const char *word);
/* The same for all sessions of the hub whose token was signed by that key. */
void hub_post_close_key(struct hub *hub, uint8_t key, uint16_t code, const char *word);
/* The same for all sessions of the child, and what is remembered of its words is dropped. */
void hub_post_close_child(struct hub *hub, const char *child_id, uint16_t code, const char *word);
/* A message for the device was queued: its session, if it has one, is to look. Called as the
 * message commits, on the store's thread, messages arrive in the order of their commits. Out of
 * memory: the message waits for the session's next reason to look. Threads: any. */
void hub_post_downlink(struct hub *hub, const char *device_id);
/* Closes all: SIGTERM (1012 restart) or drain (1001 going_away), each with a jittered retry_ms. New
 * upgrades are refused likewise from now on. */
void hub_drain(struct hub *hub, uint16_t code, const char *word);
bool hub_draining(const struct hub *hub, uint16_t *code, const char **word);
unsigned hub_sessions(const struct hub *hub);
/* What `teddyctl session list` shows; each until it returns false. */
struct session_info {
    uint64_t id;
    const char *device_id, *child_id;
    uint64_t since_s, seq;
    uint64_t received, sent; /* messages */
    bool hello;
    char address[64];
};
void hub_each(struct hub *hub, bool (*each)(void *arg, const struct session_info *info), void *arg);
/* The live session of the device; what out points to is valid until the loop goes on. False: it has
 * none. */
bool hub_device(struct hub *hub, const char *device_id, struct session_info *out);
/* Writes what its sessions left to be kept. The loop stands still, the store is still open. */
void hub_flush(struct hub *hub);
/* "code" or "code retry_ms=N" with N random in the configured bounds. */
void session_reason(const struct session_config *config, const char *word, bool retry, char *out,
                    size_t cap);

/* The loop a device's session lives on. */
unsigned hub_index(const char *device_id, unsigned loops);

#endif
