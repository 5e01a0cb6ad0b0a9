/* A storm of handshakes beside sessions that live: who waits for whom is counted, never timed. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "net/internal.h"
#include "net/testing.h"

enum { STORM = 600, EVENTS_PER_ROUND = 256 };

/* Clients whose handshakes are driven by hand, each over a socket of its own. */
struct storm {
    struct testing_client client[STORM];
    SSL_CTX *ctx;
    sem_t hold, held;
    unsigned answered_before[4]; /* handshakes that the server had got to, at each live message */
    unsigned answered_when_left[4]; /* and when its answer had left */
    unsigned messages;
    const struct conn_handler *handler; /* of whom is accepted next */
    unsigned opened, closed;
};

static struct storm storm;
static struct testing_server server;

static void accepted(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    (void)peer;
    (void)user;
    /* On a busy machine the last of a storm waits for longer than a server would have it. */
    static const struct conn_limits patient = {.handshake_ms = 3600000};
    assert_int_equal(conn_new(loop, fd, testing_tls(), &patient, storm.handler, NULL, NULL),
                     TEDDY_OK);
    testing_count_add(&storm.opened);
}

static void closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
    testing_count_add(&storm.closed);
}

static unsigned answered(void)
{
    unsigned n = 0;
    for (unsigned i = 0; storm.ctx && i < STORM; i++) {
        int bytes = 0;
        assert_int_equal(ioctl(storm.client[i].fd, FIONREAD, &bytes), 0);
        n += bytes > 0;
    }
    return n;
}

static size_t live_data(struct conn *c, uint8_t *data, size_t len)
{
    storm.answered_before[storm.messages++] = answered();
    conn_send(c, data, len);
    return len;
}

static void live_drained(struct conn *c)
{
    (void)c;
    if (storm.messages > 1) /* of the first, the others are being made meanwhile */
        storm.answered_when_left[storm.messages - 1] = answered();
}

static size_t echo_data(struct conn *c, uint8_t *data, size_t len)
{
    conn_send(c, data, len);
    return len;
}

static const struct conn_handler live = {
    .data = live_data, .drained = live_drained, .closed = closed};
static const struct conn_handler echo = {.data = echo_data, .closed = closed};

static void hold(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    (void)task;
    sem_post(&storm.held);
    sem_wait(&storm.hold);
}

/* From here on the loop sees nothing; what is sent meanwhile is there for its next round. */
static void hold_loop(struct loop_task *task)
{
    task->run = hold;
    loop_post(server.loops[0], task);
    sem_wait(&storm.held);
}

static void start(const struct conn_handler *handler)
{
    storm = (struct storm){.handler = handler};
    sem_init(&storm.hold, 0, 0);
    sem_init(&storm.held, 0, 0);
    testing_start(&server, accepted, NULL);
}

static void make_clients(int version)
{
    storm.ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(storm.ctx, version);
    for (unsigned i = 0; i < STORM; i++) {
        storm.client[i] = testing_connect(server.port, false, 0);
        assert_int_equal(
            setsockopt(storm.client[i].fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
        storm.client[i].ssl = SSL_new(storm.ctx);
        SSL_set_fd(storm.client[i].ssl, storm.client[i].fd);
        SSL_set_connect_state(storm.client[i].ssl);
    }
}

static void set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);
    assert_int_equal(fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK), 0);
}

static void send_hello(struct testing_client *c)
{
    set_blocking(c->fd, false);
    ERR_clear_error();
    assert_int_equal(SSL_get_error(c->ssl, SSL_do_handshake(c->ssl)), SSL_ERROR_WANT_READ);
    set_blocking(c->fd, true);
}

static void finish_all(void)
{
    char buf[5];
    for (unsigned i = 0; i < STORM; i++) {
        ERR_clear_error();
        assert_int_equal(SSL_do_handshake(storm.client[i].ssl), 1);
    }
    for (unsigned i = 0; i < STORM; i++) {
        testing_send(&storm.client[i], "hello", 5);
        assert_int_equal(testing_recv_all(&storm.client[i], buf, 5), 5);
        testing_close(&storm.client[i]);
    }
    SSL_CTX_free(storm.ctx);
}

static void live_sessions_are_served_between_handshakes(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int k = 0; k < 2; k++) {
        struct loop_task task;
        char byte = 'x';
        start(&live);
        struct testing_client c = testing_connect(server.port, true, versions[k]);
        testing_send(&c, &byte, 1); /* it lives */
        assert_int_equal(testing_recv(&c, &byte, 1), 1);
        storm.handler = &echo;
        make_clients(versions[k]);
        testing_count_wait(&storm.opened, 1 + STORM);

        hold_loop(&task);
        for (unsigned i = 0; i < STORM; i++)
            send_hello(&storm.client[i]);
        testing_send(&c, &byte, 1); /* behind them all */
        sem_post(&storm.hold);
        assert_int_equal(testing_recv(&c, &byte, 1), 1);
        testing_send(&c, &byte, 1); /* while they go on */
        assert_int_equal(testing_recv(&c, &byte, 1), 1);

        assert_int_equal(storm.messages, 3);
        unsigned rounds = STORM / EVENTS_PER_ROUND + 1;
        assert_in_range(storm.answered_before[1], 0, rounds * CONN_HANDSHAKES_PER_ROUND);
        finish_all();
        /* No handshake had its turn between a message and its answer. */
        for (unsigned i = 0; i < storm.messages; i++)
            assert_in_range(storm.answered_when_left[i], 0, storm.answered_before[i]);
        testing_close(&c);
        testing_stop(&server);
        assert_int_equal(storm.closed, storm.opened);
    }
}

/* Half of each round's share is for those that have begun, so that the first of a storm are through
 * while the last still wait to begin. */
static void who_has_begun_is_not_kept_waiting(void **state)
{
    (void)state;
    struct loop_task task;
    char byte = 'x';
    start(&live);
    make_clients(TLS1_3_VERSION);
    testing_count_wait(&storm.opened, STORM);
    struct testing_client first = storm.client[0];
    hold_loop(&task);
    send_hello(&first);
    sem_post(&storm.hold);
    assert_int_equal(poll(&(struct pollfd){.fd = first.fd, .events = POLLIN}, 1, 10000), 1);

    hold_loop(&task);
    for (unsigned i = 1; i < STORM; i++)
        send_hello(&storm.client[i]);
    assert_int_equal(SSL_do_handshake(first.ssl), 1);
    testing_send(&first, &byte, 1);
    sem_post(&storm.hold);
    assert_int_equal(testing_recv(&first, &byte, 1), 1);
    unsigned rounds = STORM / EVENTS_PER_ROUND + 1;
    assert_in_range(storm.answered_before[0], 0, (rounds + 1) * CONN_HANDSHAKES_PER_ROUND);
    testing_stop(&server); /* while the rest is queued */
    assert_int_equal(storm.closed, storm.opened);
    for (unsigned i = 0; i < STORM; i++)
        testing_close(&storm.client[i]);
    SSL_CTX_free(storm.ctx);
}

static void abort_one(struct conn *c, void *arg)
{
    (void)arg;
    conn_abort(c);
}

static void abort_all(struct loop *loop, struct loop_task *task)
{
    (void)task;
    conn_each(loop, abort_one, NULL);
}

/* Ended in the round in which it began to wait for its turn: it waits no more, and is closed once.
 */
static void who_is_ended_while_waiting_is_closed(void **state)
{
    (void)state;
    struct loop_task task, end = {.run = abort_all};
    start(&echo);
    make_clients(TLS1_3_VERSION);
    testing_count_wait(&storm.opened, STORM);
    hold_loop(&task);
    for (unsigned i = 0; i < STORM; i++)
        send_hello(&storm.client[i]);
    loop_post(server.loops[0], &end);
    sem_post(&storm.hold);
    testing_count_wait(&storm.closed, STORM);
    testing_stop(&server);
    assert_int_equal(storm.closed, storm.opened);
    for (unsigned i = 0; i < STORM; i++)
        testing_close(&storm.client[i]);
    SSL_CTX_free(storm.ctx);
}

static void stop_here(struct loop *loop, struct loop_task *task)
{
    (void)task;
    loop_stop(loop);
    sem_post(&storm.held);
}

/* The loop stops in the round in which a storm has begun to wait. */
static void a_loop_ends_without_the_handshakes_that_wait(void **state)
{
    (void)state;
    struct loop_task task, stop = {.run = stop_here};
    start(&echo);
    make_clients(TLS1_3_VERSION);
    testing_count_wait(&storm.opened, STORM);
    hold_loop(&task);
    for (unsigned i = 0; i < STORM; i++)
        send_hello(&storm.client[i]);
    loop_post(server.loops[0], &stop);
    sem_post(&storm.hold);
    sem_wait(&storm.held);
    testing_stop(&server);
    assert_int_equal(storm.closed, storm.opened);
    unsigned rounds = STORM / EVENTS_PER_ROUND + 1;
    assert_in_range(answered(), 0, rounds * CONN_HANDSHAKES_PER_ROUND);
    for (unsigned i = 0; i < STORM; i++)
        testing_close(&storm.client[i]);
    SSL_CTX_free(storm.ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_sessions_are_served_between_handshakes),
        cmocka_unit_test(who_has_begun_is_not_kept_waiting),
        cmocka_unit_test(who_is_ended_while_waiting_is_closed),
        cmocka_unit_test(a_loop_ends_without_the_handshakes_that_wait),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    testing_fini();
    return failed;
}
