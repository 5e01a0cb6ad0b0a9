/* The whole contract between the SDK's core and the machine it runs on: time apart (the caller of
 * teddy_client_step tells it), everything the core needs from outside is a call in this table.
 *
 * No call may block: where the answer is not there yet it returns TEDDY_AGAIN and is called again
 * later, with the same arguments, from a later step. Each client has a port of its own (`ctx`),
 * used by one thread at a time.
 *
 * All but log must be there. See sdk/port/posix for a complete one. */
#ifndef TEDDY_PORT_H
#define TEDDY_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "teddy/err.h"

enum teddy_log_level { TEDDY_LOG_ERROR, TEDDY_LOG_WARN, TEDDY_LOG_INFO, TEDDY_LOG_DEBUG };

/* What of the transport is worth waiting for, a bit each (teddy_client_wants): that it can be read,
 * that it can be written. */
#define TEDDY_WANTS_READ  1u
#define TEDDY_WANTS_WRITE 2u

/* What the core keeps across restarts, each a record of its own. */
enum teddy_record {
    TEDDY_RECORD_TOKENS, /* written at each claim and refresh */
    TEDDY_RECORD_LAST,   /* 13 bytes, written at each message of the server's queue */
};
#define TEDDY_RECORDS 2

/* The longest record a port is asked to keep. */
#define TEDDY_RECORD_MAX 1440

struct teddy_port {
    /* Fills out with len bytes of a cryptographic generator. TEDDY_OK or TEDDY_EIO. */
    int (*random)(void *ctx, uint8_t *out, size_t len);

    /* HMAC-SHA256 under the toy's OOB secret, which the core never sees (it may live in an eFuse).
     * msg stays valid until the call returns something else than TEDDY_AGAIN. TEDDY_OK,
     * TEDDY_AGAIN, TEDDY_EIO. */
    int (*hmac_sha256)(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32]);

    /* SHA-1, for the WebSocket handshake alone. TEDDY_OK, TEDDY_AGAIN, TEDDY_EIO. */
    int (*sha1)(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20]);

    /* The records, sealed by the port, each at most TEDDY_RECORD_MAX bytes. save: replaced as a
     * whole; power loss at any moment leaves the old or the new record, or at worst one that load
     * refuses with TEDDY_EAUTH. load: TEDDY_ENOTFOUND when there is none, TEDDY_EAUTH when it is
     * damaged or not ours (the core then does without), TEDDY_EIO. erase: all records. Each may say
     * TEDDY_AGAIN while the flash is busy; buf and data stay where they are until it is done. */
    int (*load)(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len);
    int (*save)(void *ctx, enum teddy_record record, const uint8_t *data, size_t len);
    int (*erase)(void *ctx);

    /* The one connection. resolve looks the host up; connect opens TCP and, with tls, a verified
     * TLS session (chain and host name) to what resolve found. Both TEDDY_AGAIN until done.
     * TEDDY_EDNS; TEDDY_EIO, TEDDY_ETLS, TEDDY_ECERT (the certificate was refused), TEDDY_ECLOCK
     * (refused for its dates alone). After any failure the core calls disconnect, which is always
     * safe. */
    int (*resolve)(void *ctx, const char *host);
    int (*connect)(void *ctx, const char *host, uint16_t port, bool tls);
    /* TEDDY_OK with *sent in 1..len, TEDDY_AGAIN (nothing now), TEDDY_ECLOSED, TEDDY_EIO,
     * TEDDY_ETLS. */
    int (*send)(void *ctx, const uint8_t *data, size_t len, size_t *sent);
    /* TEDDY_OK with *got in 1..cap, TEDDY_AGAIN, TEDDY_ECLOSED, TEDDY_EIO, TEDDY_ETLS. */
    int (*recv)(void *ctx, uint8_t *buf, size_t cap, size_t *got);
    void (*disconnect)(void *ctx);

    /* The wall clock in seconds since 1970 as the port believes it (the latest of build time,
     * stored time and SNTP), and the server's time, told over a verified connection, for the port
     * to keep as its stored time. */
    uint64_t (*wall_time)(void *ctx);
    void (*server_time)(void *ctx, uint64_t unix_s);

    /* One line without secrets, tokens or utterances. May be NULL. */
    void (*log)(void *ctx, enum teddy_log_level level, const char *line);
};

#endif
