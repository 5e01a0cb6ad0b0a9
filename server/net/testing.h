/* For tests of net and http: a loop on a thread of its own behind a real listener, and a blocking
 * client, plain or TLS, that gives up after a while instead of hanging. */
#ifndef NET_TESTING_H
#define NET_TESTING_H

#include <openssl/ssl.h>
#include <pthread.h>

#include "net/listener.h"
#include "net/tls.h"

enum { TESTING_LOOPS = 2 };

struct testing_server {
    struct loop *loops[TESTING_LOOPS];
    pthread_t threads[TESTING_LOOPS];
    struct listener *listener; /* on loop 0 */
    int fd;
    uint16_t port;
    void (*accepted)(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user);
    void *user;
};

/* A temporary directory with a development certificate, made once; its context. */
const char *testing_dir(void);
struct tls_context *testing_tls(void);
void testing_fini(void);

void testing_start(struct testing_server *s,
                   void (*accepted)(struct loop *loop, int fd, const struct sockaddr_storage *peer,
                                    void *user),
                   void *user);
void testing_stop(struct testing_server *s); /* stops and frees: connections left are closed */
/* Runs fn on loop 0 and waits for it. */
void testing_on_loop(struct testing_server *s, void (*fn)(struct loop *loop, void *arg), void *arg);

struct testing_client {
    int fd;
    SSL *ssl;
};

/* max_version 0: the newest; TLS1_2_VERSION, …; plain when tls is false. fd -1 when the handshake
 * failed. */
struct testing_client testing_connect(uint16_t port, bool tls, int max_version);
void testing_send(struct testing_client *c, const void *data,
                  size_t len); /* all of it, or fails the test */
/* Up to len bytes; 0 at the end, -1 after an error or a minute. */
long testing_recv(struct testing_client *c, void *buf, size_t len);
/* Reads until len bytes or the end; returns the bytes. */
size_t testing_recv_all(struct testing_client *c, void *buf, size_t len);
void testing_close(struct testing_client *c);

/* Counts that threads share and tests wait for. */
void testing_count_add(unsigned *count);
void testing_count_wait(const unsigned *count, unsigned value); /* fails after a minute */

#endif
