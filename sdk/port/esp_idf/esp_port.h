/* The inside of the port: what the files of this directory share. Of ESP-IDF's types only struct
 * tags are named here. */
#ifndef ESP_PORT_H
#define ESP_PORT_H

#include <stdatomic.h>

#include "teddy/config.h"
#include "teddy/port.h"

#define PORT_ADDRESS_LEN 46 /* an IPv6 address as text, with its NUL */
#define PORT_NS          "teddy"
#define PORT_NS_FACTORY  "teddy_factory"
#define PORT_KEY_TOKENS  "tokens"
#define PORT_KEY_LAST    "last"
#define PORT_KEY_TIME    "time"
#define PORT_KEY_SECRET  "oob_secret"
#define PORT_KEY_DEVICE  "device_id"

struct esp_tls;
struct esp_tls_client_session;

/* Whose turn it is: all but RUNNING are the toy's task's, RUNNING is lwIP's. */
enum dns_state { DNS_IDLE, DNS_RUNNING, DNS_FOUND, DNS_FAILED };

struct port_dns {
    atomic_int state;
    bool asked; /* the answer to come is still waited for */
    char host[TEDDY_HOST_MAX + 1];
    char address[PORT_ADDRESS_LEN];
};

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN, LINK_BROKEN };

struct port_link {
    enum link_state state;
    int fd; /* esp-tls closes it once tls is set */
    struct esp_tls *tls;
    size_t pending; /* length of a write that Mbed TLS must be called for again */
    bool wants_write;
    bool verified; /* TLS, its certificate verified, now or when the resumed session began */
};

/* What the last full handshake said of the server's certificates. */
struct port_verdict {
    uint32_t date_flags, other_flags; /* MBEDTLS_X509_BADCERT_* */
    uint64_t not_after;               /* of the server's own, seconds since 1970 */
    bool seen;                        /* a certificate was looked at: not a resumed session */
};

struct port_resume {
    struct esp_tls_client_session *session;
    char host[TEDDY_HOST_MAX + 1];
    uint16_t port;
    uint64_t since_ms, not_after;
};

struct port_clock {
    uint64_t stored;           /* as NVS has it */
    uint64_t told, told_at_ms; /* as the server said, at this point of the monotonic clock */
};

struct teddy_esp {
    struct port_dns dns;
    struct port_link link;
    struct port_verdict verdict;
    struct port_resume resume;
    struct port_clock clock;
    uint32_t nvs, factory; /* nvs_handle_t */
    int wake_fd;
    bool opened; /* teddy_esp_init was here */
};

/* port.c: the one toy of this chip, and the table the core calls (its ctx is the toy). */
extern struct teddy_esp toy;
extern const struct teddy_port teddy_esp_port;

/* log.c */
__attribute__((format(printf, 2, 3))) void port_log(enum teddy_log_level level, const char *format,
                                                    ...);
void core_log(void *ctx, enum teddy_log_level level, const char *line);

/* storage.c: opens a partition under the scheme that Kconfig chose. */
int storage_open(struct teddy_esp *p);

/* record.c: the port's load, save and erase. */
int record_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len);
int record_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len);
int record_erase(void *ctx);

/* secret.c: HMAC under the OOB secret. */
int secret_check(struct teddy_esp *p);
int secret_hmac(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32]);

/* crypto.c */
int crypto_random(void *ctx, uint8_t *out, size_t len);
int crypto_sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20]);

/* clock.c. sntp: once lwIP runs. */
void clock_sntp(void);
uint64_t clock_now_ms(void);
uint64_t clock_wall(void *ctx);
void clock_server_time(void *ctx, uint64_t unix_s);
void clock_start(struct teddy_esp *p);

/* dns.c. forget: the answer to come is for nobody. */
int dns_resolve(void *ctx, const char *host);
void dns_forget(struct teddy_esp *p);

/* link.c: the port's connect, send, recv and disconnect. */
int link_connect(void *ctx, const char *host, uint16_t port, bool tls);
int link_send(void *ctx, const uint8_t *data, size_t len, size_t *sent);
int link_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got);
void link_disconnect(void *ctx);

/* tls.c: over the connected socket in p->link.fd. */
int tls_start(struct teddy_esp *p);
int tls_handshake(struct teddy_esp *p, const char *host, uint16_t port);
int tls_send(struct teddy_esp *p, const uint8_t *data, size_t len, size_t *sent);
int tls_recv(struct teddy_esp *p, uint8_t *buf, size_t cap, size_t *got);
void tls_stop(struct teddy_esp *p);
/* Bytes that were received already and that select knows nothing of. */
bool tls_has_pending(const struct teddy_esp *p);

/* verify.c */
int verify_attach(void *ssl_config);
/* Why a handshake failed, when the certificate was the reason: TEDDY_ECERT or TEDDY_ECLOCK, logged;
 * TEDDY_OK when it was not. */
int verify_refused(const struct teddy_esp *p, const char *host);

/* resume.c */
struct esp_tls_client_session *resume_offer(struct teddy_esp *p, const char *host, uint16_t port);
void resume_keep(struct teddy_esp *p, const char *host, uint16_t port);
void resume_forget(struct teddy_esp *p);

/* wait.c: waits until something can be done, or another task wakes us. */
int wait_open(struct teddy_esp *p);
void wait_step(struct teddy_esp *p, uint32_t timeout_ms, unsigned wants);
/* From any task, lwIP's included. */
void wait_wake(struct teddy_esp *p);

#endif
