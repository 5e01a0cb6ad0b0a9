/* For the tests here and of teddy-device: certificates made with OpenSSL, and small servers that
 * use them. */
#ifndef TEST_PKI_H
#define TEST_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct pki_cert {
    X509 *x509;
    EVP_PKEY *key;
};

/* issuer NULL: self-signed. san in OpenSSL's form ("DNS:a,IP:127.0.0.1"), NULL: none. usage: an
 * extendedKeyUsage or NULL. Dates are absolute. Free with pki_free. */
struct pki_cert pki_make(const char *cn, const struct pki_cert *issuer, bool ca, const char *san,
                         const char *usage, time_t from, time_t to);
void pki_free(struct pki_cert *c);
void pki_write(const struct pki_cert *c, const char *path);

enum pki_behaviour { PKI_ECHO, PKI_SILENT, PKI_CUT, PKI_PLAIN_TEXT };

struct pki_server {
    enum pki_behaviour behaviour;
    const struct pki_cert *cert;
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_int handshakes, resumed, accepted;
    atomic_bool stop;
};

/* One connection at a time on 127.0.0.1 (or ::1), port chosen. ECHO returns what comes; SILENT
 * accepts TCP and says nothing; CUT closes TCP without close_notify after the first bytes;
 * PLAIN_TEXT answers in clear. */
void pki_server_start(struct pki_server *s, const struct pki_cert *cert,
                      enum pki_behaviour behaviour, bool ipv6);
void pki_server_stop(struct pki_server *s);

#endif
