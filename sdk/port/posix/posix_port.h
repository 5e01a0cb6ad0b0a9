/* The inside of an instance: what the files of this directory share. */
#ifndef POSIX_PORT_H
#define POSIX_PORT_H

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "port/posix/teddy_posix.h"

#define PORT_ADDRESSES_MAX     8
#define PORT_HOST_MAX          256
#define PORT_CONNECT_TRY_MS    4000  /* for one address, when there is another to try */
#define PORT_SESSION_KEPT_S    86400 /* a kept TLS session is used no longer than a day */
#define PORT_TIME_STORE_STEP_S 3600  /* the stored time is written when it moved by this much */

/* Authorities, and the TLS configuration that all instances of a set share: read-only once made. */
struct teddy_posix_trust {
    mbedtls_x509_crt chain;
    mbedtls_ssl_config config;
};

union port_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum dns_state { DNS_IDLE, DNS_RUNNING, DNS_DONE, DNS_FAILED };

struct dns_lookup; /* dns.c: while one runs */

struct port_dns {
    enum dns_state state;
    struct dns_lookup *lookup;
    union port_address *addresses; /* of what was resolved last, as many as there are */
    size_t count;
};

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN, LINK_BROKEN };

struct port_link {
    enum link_state state;
    int fd;
    size_t at; /* which address is being tried */
    uint64_t try_until_ms;
    bool wants_write; /* TLS cannot go on before the socket can be written */
};

/* What a verified certificate says; of the peer, and of the kept session, which share it. */
struct port_cert {
    unsigned refs;
    uint8_t sha256[32];
    uint64_t not_after;
    char names[]; /* subject, issuer, each with its NUL */
};

struct port_peer {
    union port_address address;   /* with its port */
    struct port_cert *cert;       /* NULL: not TLS */
    const char *version, *cipher; /* Mbed TLS's own strings */
    bool resumed;
};

/* The handshake's scratch. */
struct port_verify {
    bool checked; /* the callback ran: a full handshake */
    bool host_is_ip;
    uint8_t ip[16];
    size_t ip_len;
    uint32_t other_flags; /* verification failures that are not about dates, of the whole chain */
    uint32_t date_flags;
    int bad_depth; /* where the first failure stood */
    char bad_subject[256];
    uint16_t port;
    char host[PORT_HOST_MAX];
};

/* Lives as long as the connection. */
struct port_tls {
    mbedtls_ssl_context ssl;
    struct port_verify *verify; /* NULL after the handshake */
    size_t pending;             /* length of a write Mbed TLS must be called for again */
};

/* For resumption: id or ticket, and master secret, without the certificate. */
struct port_kept {
    mbedtls_ssl_session session;
    struct port_cert *cert;
    uint64_t since_ms;
    uint16_t port;
    char host[];
};

/* Files and their lock. */
struct port_state {
    char *record[TEDDY_RECORDS], *key, *time, *lock, *tmp;
    int lock_fd;
};

/* A record kept in memory; data is NULL when there is none. */
struct port_ram_record {
    uint8_t *data;
    size_t len;
};

/* Small, because one process may hold ten thousand: what is not always needed hangs off it. */
struct teddy_posix {
    const struct teddy_posix_trust *trust;
    struct teddy_posix_trust *own_trust;
    uint8_t secret[32];
    bool has_secret;

    struct port_state *state; /* NULL: the records are kept in ram */
    struct port_ram_record ram[TEDDY_RECORDS];

    union port_address bind;
    bool has_bind;
    char *dns_servers;

    uint64_t time_stored;     /* as the file has it */
    uint64_t time_told;       /* as the server said, … */
    uint64_t time_told_at_ms; /* … at this point of the monotonic clock */

    struct port_dns dns;
    struct port_link link;
    struct port_tls *tls;   /* NULL: no TLS now */
    struct port_kept *kept; /* NULL: none */
    struct port_peer peer;

    void (*log)(void *user, enum teddy_log_level level, const char *line);
    void *log_user;
};

/* port.c */
__attribute__((format(printf, 3, 4))) void
port_log(struct teddy_posix *p, enum teddy_log_level level, const char *format, ...);

/* secret.c: reads 64 hex digits from a file that only its owner may read. */
int secret_read(const char *path, uint8_t out[32], char *why, size_t why_len);

/* file.c: whole small files, replaced so that a crash leaves the old or the new one.
 * file_read: TEDDY_ENOTFOUND, TEDDY_ETOOBIG, TEDDY_EIO. private_only: TEDDY_EAUTH when others may
 * read it. */
int file_read(const char *path, bool private_only, uint8_t *buf, size_t cap, size_t *len);
int file_replace(const char *path, const char *tmp, const uint8_t *data, size_t len);
/* Like file_replace, but TEDDY_EDUP when the file is there already. */
int file_create(const char *path, const char *tmp, const uint8_t *data, size_t len);
int file_remove(const char *path);

/* record.c: the sealed records; the port's load, save and erase. */
int record_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len);
int record_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len);
int record_erase(void *ctx);

/* ram.c: the same of an instance without files. */
int ram_load(const struct port_ram_record *r, uint8_t *buf, size_t cap, size_t *len);
int ram_save(struct port_ram_record *r, const uint8_t *data, size_t len);
void ram_erase(struct port_ram_record *r);

/* state.c: where the records are kept. */
int state_open(struct teddy_posix *p, const char *path, char *why, size_t why_len);
void state_close(struct teddy_posix *p);

/* clock.c */
uint64_t clock_wall(void *ctx);
void clock_server_time(void *ctx, uint64_t unix_s);
void clock_load(struct teddy_posix *p);
/* Days and seconds of a certificate's date, as seconds since 1970. */
uint64_t clock_from_x509(const mbedtls_x509_time *t);

/* dns.c */
size_t dns_poll(const struct port_dns *d, struct pollfd *out, size_t cap, uint32_t *timeout_ms);
int dns_resolve(void *ctx, const char *host);
void dns_forget(struct teddy_posix *p);
bool address_parse(const char *text, union port_address *out);
socklen_t address_len(const union port_address *a);

/* link.c: the port's connect, send, recv, disconnect. */
int link_connect(void *ctx, const char *host, uint16_t port, bool tls);
int link_send(void *ctx, const uint8_t *data, size_t len, size_t *sent);
int link_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got);
void link_disconnect(void *ctx);

/* tls.c */
int tls_configure(struct teddy_posix_trust *t);
int tls_start(struct teddy_posix *p, const char *host, uint16_t port);
int tls_handshake(struct teddy_posix *p);
int tls_send(struct teddy_posix *p, const uint8_t *data, size_t len, size_t *sent);
int tls_recv(struct teddy_posix *p, uint8_t *buf, size_t cap, size_t *got);
void tls_stop(struct teddy_posix *p);

/* resume.c: the session kept for an abbreviated handshake. */
void resume_keep(struct teddy_posix *p);
void resume_offer(struct teddy_posix *p);
void resume_forget(struct teddy_posix *p);

/* verify.c: the scratch, Mbed TLS's callback per certificate, and what a refusal means (TEDDY_ECERT
 * or TEDDY_ECLOCK, logged). */
struct port_verify *verify_new(const char *host, uint16_t port);
int verify_certificate(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags);
int verify_refused(struct teddy_posix *p);

/* peer.c. cert_of: NULL when out of memory. cert_drop takes NULL. */
struct port_cert *cert_of(const mbedtls_x509_crt *crt);
struct port_cert *cert_ref(struct port_cert *c);
void cert_drop(struct port_cert *c);
void peer_clear(struct port_peer *peer);
void address_text(const union port_address *a, char *out, size_t out_len);

/* san.c: true when the certificate's subjectAltName holds this very iPAddress (4 or 16 bytes). */
bool san_has_ip(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t ip_len);

#endif
