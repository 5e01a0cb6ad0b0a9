/* The port for Linux and its kin: Mbed TLS over non-blocking sockets, names by c-ares, the toy's
 * records sealed in files.
 *
 *   struct teddy_posix *port;
 *   teddy_posix_new(&port, &options, why, sizeof why);
 *   teddy_client_init(&client, &config, &teddy_posix_port, port, ...);
 *   for (;;) { teddy_client_step(&client, now_ms(), &wait_ms); teddy_posix_wait(port, wait_ms,
 * ...); }
 *
 * One process may hold ten thousand: with a shared set of authorities (trust) an instance takes
 * about half a kilobyte besides its records, and, while it has a TLS connection, what Mbed TLS
 * takes. An instance is used by one thread at a time; different instances by different threads.
 * Nothing blocks but teddy_posix_wait, and reading and writing small local files (secret, state,
 * resolv.conf). */
#ifndef TEDDY_POSIX_H
#define TEDDY_POSIX_H

#include <poll.h>

#include "teddy/port.h"

struct teddy_posix;
struct teddy_posix_trust;

#define TEDDY_POSIX_SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

struct teddy_posix_options {
    /* Authorities that server certificates must descend from: a set loaded before, shared by many
     * instances (it must outlive them), or else a PEM file; both NULL: TEDDY_POSIX_SYSTEM_CA. */
    const struct teddy_posix_trust *trust;
    const char *ca_file;

    /* The OOB secret: 32 bytes (copied), or else a file of 64 hex digits that only its owner may
     * read. Both NULL: hmac fails. Wiped by teddy_posix_free. */
    const uint8_t *secret;
    const char *secret_file;

    /* Where the records are kept: FILE (tokens) and FILE.last (the last message taken), with
     * FILE.key (their key), FILE.time (the stored time), FILE.lock (one process at a time) and,
     * while writing, FILE.tmp beside them. NULL: in memory, until teddy_posix_free. */
    const char *state_file;

    const char *bind_addr;   /* numeric local address of every connection, or NULL */
    const char *dns_servers; /* "ADDR[:PORT],…" instead of the system's, or NULL */

    /* Gets the port's log lines, the core's included; NULL: dropped. */
    void (*log)(void *user, enum teddy_log_level level, const char *line);
    void *log_user;
};

/* What is known of the other end of the present, or else of the last, connection. */
struct teddy_posix_peer {
    bool tls;         /* the connection is TLS, and its certificate was verified */
    bool resumed;     /* by resuming a session whose certificate was verified at its start */
    char address[64]; /* "127.0.0.1:8443", "[::1]:8443" */
    char subject[256];
    char issuer[256];
    char sha256[65];  /* the certificate's fingerprint, lower-case hex */
    char version[16]; /* "TLSv1.2" */
    char cipher[64];
    uint64_t not_after; /* seconds since 1970 */
};

/* Loads the authorities of a PEM file (NULL: the system's), and what all TLS connections of their
 * instances have in common. TEDDY_EIO, TEDDY_EPROTO (a file without
 * a certificate); then why says what to do. Threads: any; the set is read-only afterwards. */
TEDDY_MUST_CHECK int teddy_posix_trust_load(struct teddy_posix_trust **out, const char *ca_file,
                                            char *why, size_t why_len);
void teddy_posix_trust_free(struct teddy_posix_trust *trust);

/* Makes an instance; the options' strings are copied. TEDDY_EINVAL, TEDDY_EIO, TEDDY_EPROTO,
 * TEDDY_ENOMEM; then why (may be NULL) holds one line that says what is wrong and what to do.
 * Blocks: on local files alone. */
TEDDY_MUST_CHECK int teddy_posix_new(struct teddy_posix **out,
                                     const struct teddy_posix_options *options, char *why,
                                     size_t why_len);
/* Closes what is open and wipes the secret. Takes NULL. */
void teddy_posix_free(struct teddy_posix *p);

/* The table for teddy_client_init; its ctx is a struct teddy_posix. */
extern const struct teddy_port teddy_posix_port;

/* Fills in what the instance waits for (at most cap entries; TEDDY_POSIX_POLL_MAX always suffice)
 * and returns how many; lowers *timeout_ms to what its own timers, or bytes already decrypted,
 * need. wants: as teddy_client_wants says. */
#define TEDDY_POSIX_POLL_MAX 17
size_t teddy_posix_poll(struct teddy_posix *p, unsigned wants, struct pollfd *out, size_t cap,
                        uint32_t *timeout_ms);

/* For a loop of the caller's that holds many instances in one epoll set. Look after each step: a
 * step may have closed the connection, and the next one may have the same number. So register what
 * teddy_posix_fd says with EPOLL_CTL_MOD, and with EPOLL_CTL_ADD on ENOENT, and never EPOLL_CTL_DEL
 * an old number: closing has removed it, and it may be another instance's by now. Level- or
 * edge-triggered. Lookups are not covered, nor the next of several addresses of a host that does
 * not answer: use these for numeric hosts, or teddy_posix_poll while teddy_posix_fd is -1.
 *
 * The connection's descriptor, from the start of connect; -1: none. Not to be closed. */
int teddy_posix_fd(const struct teddy_posix *p);
/* POLLIN, POLLOUT: what the connection waits for now; 0 without one. wants: as for
 * teddy_posix_poll. They have the values of EPOLLIN and EPOLLOUT. */
short teddy_posix_events(const struct teddy_posix *p, unsigned wants);
/* Decrypted bytes wait, of which the descriptor shows nothing: step again at once. */
bool teddy_posix_pending(const struct teddy_posix *p);

/* Waits until something can be done, timeout_ms at most. extra (may be NULL) are descriptors of the
 * caller's, their revents set. Returns TEDDY_OK also when a signal or the timeout ended it;
 * TEDDY_EIO. Blocks: this is the place. */
int teddy_posix_wait(struct teddy_posix *p, uint32_t timeout_ms, unsigned wants,
                     struct pollfd *extra, size_t extra_count);

/* Fills in *out; all empty before the first connection. */
void teddy_posix_peer(const struct teddy_posix *p, struct teddy_posix_peer *out);

/* Forgets the TLS session kept for resumption: the next connection verifies the certificate anew.
 */
void teddy_posix_forget_session(struct teddy_posix *p);

/* A monotonic clock in milliseconds, for teddy_client_step. */
uint64_t teddy_posix_now_ms(void);

#endif
