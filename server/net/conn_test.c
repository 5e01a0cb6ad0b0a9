#include <errno.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/conn.h"
#include "net/testing.h"

/* What a test has the server do with a connection. */
struct plan {
    bool tls;
    struct conn_limits limits;
    const struct conn_handler *handler;
    unsigned opened, closed, deadlines, data_calls;
    enum conn_end why;
    atomic_uint in_callback; /* closed must never come from within another callback */
    int send_result;
};

static struct testing_server server;

static void accepted(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    struct plan *plan = user;
    testing_count_add(&plan->opened);
    assert_int_equal(conn_new(loop, fd, plan->tls ? testing_tls() : NULL, peer, &plan->limits,
                              plan->handler, plan, NULL),
                     TEDDY_OK);
}

static void closed(struct conn *c, enum conn_end why)
{
    struct plan *plan = conn_user(c);
    assert_int_equal(atomic_load(&plan->in_callback), 0);
    plan->why = why;
    testing_count_add(&plan->closed);
}

static void ended(struct plan *plan, enum conn_end why)
{
    testing_count_wait(&plan->closed, 1);
    testing_stop(&server);
    assert_int_equal(plan->closed, plan->opened);
    assert_int_equal(plan->why, why);
}

static const struct {
    bool tls;
    int version;
} kinds[] = {{false, 0}, {true, TLS1_2_VERSION}, {true, TLS1_3_VERSION}};
#define EACH_KIND(k) for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)

/* Echo, with back-pressure: a peer that writes without reading is paused, not dropped. */

static size_t echo_data(struct conn *c, uint8_t *data, size_t len)
{
    if (len > 32 * 1024)
        len = 32 * 1024;
    conn_send(c, data, len);
    if (conn_unsent(c) > 64 * 1024)
        conn_pause(c);
    return len;
}

static void echo_drained(struct conn *c)
{
    conn_resume(c);
}

static const struct conn_handler echo = {
    .data = echo_data, .drained = echo_drained, .closed = closed};

struct pump {
    struct testing_client *client;
    size_t total;
};

static void *pump_main(void *arg)
{
    struct pump *p = arg;
    uint8_t block[8000];
    for (size_t at = 0; at < p->total; at += sizeof block) {
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (uint8_t)((at + i) * 131 >> 3);
        for (size_t sent = 0; sent < sizeof block;) {
            ssize_t n = send(p->client->fd, block + sent, sizeof block - sent, MSG_NOSIGNAL);
            if (n <= 0)
                return NULL;
            sent += (size_t)n;
        }
    }
    return NULL;
}

static void echoes_much_with_bounded_memory(void **state)
{
    (void)state;
    struct plan plan = {.handler = &echo, .limits = {.in_max = 48000, .out_max = 200000}};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    struct pump pump = {&c, 8000 * 2000};
    pthread_t thread;
    pthread_create(&thread, NULL, pump_main, &pump);
    uint8_t buf[16384];
    for (size_t at = 0; at < pump.total;) {
        long n = testing_recv(&c, buf, sizeof buf);
        assert_true(n > 0);
        for (long i = 0; i < n; i++, at++)
            if (buf[i] != (uint8_t)(at * 131 >> 3))
                fail_msg("byte %zu is wrong", at);
    }
    pthread_join(thread, NULL);
    testing_close(&c);
    ended(&plan, CONN_END_PEER);
}

static void echoes_over_each_kind(void **state)
{
    (void)state;
    static uint8_t out[200000], in[200000];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7 >> 2);
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &echo, .tls = kinds[k].tls};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        assert_true(c.fd >= 0);
        for (size_t at = 0; at < sizeof out; at += 20000) { /* over a TLS record each */
            testing_send(&c, out + at, 20000);
            assert_int_equal(testing_recv_all(&c, in + at, 20000), 20000);
        }
        assert_memory_equal(in, out, sizeof out);
        testing_close(&c);
        ended(&plan, CONN_END_PEER);
    }
}

/* Takes whole lines only; answers each, and closes after "bye". */

static size_t line_data(struct conn *c, uint8_t *data, size_t len)
{
    struct plan *plan = conn_user(c);
    atomic_fetch_add(&plan->in_callback, 1);
    plan->data_calls++;
    uint8_t *nl = memchr(data, '\n', len);
    size_t used = nl ? (size_t)(nl - data) + 1 : 0;
    if (used) {
        conn_send(c, "<", 1);
        conn_send(c, data, used);
        if (used == 4 && memcmp(data, "bye\n", 4) == 0)
            conn_finish(c, 5000);
        if (used == 6 && memcmp(data, "abort\n", 6) == 0)
            conn_abort(c);
    }
    atomic_fetch_sub(&plan->in_callback, 1);
    return used;
}

static void line_deadline(struct conn *c)
{
    struct plan *plan = conn_user(c);
    testing_count_add(&plan->deadlines);
    conn_finish(c, 1000);
}

static const struct conn_handler lines = {
    .data = line_data, .deadline = line_deadline, .closed = closed};

static void keeps_what_is_not_consumed(void **state)
{
    (void)state;
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &lines, .tls = kinds[k].tls};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        char buf[64] = "";
        testing_send(&c, "o", 1);
        testing_send(&c, "ne\ntwo\nthr", 10);
        testing_send(&c, "ee\nbye\nnever\n", 13);
        size_t n = testing_recv_all(&c, buf, sizeof buf);
        assert_int_equal(n, strlen("<one\n<two\n<three\n<bye\n"));
        assert_memory_equal(buf, "<one\n<two\n<three\n<bye\n", n);
        testing_close(&c);
        ended(&plan, CONN_END_LOCAL);
    }
}

static void half_closed_peer_gets_its_answer(void **state)
{
    (void)state;
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &lines, .tls = kinds[k].tls};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        testing_send(&c, "last\nhalf", 9);
        if (c.ssl)
            SSL_shutdown(c.ssl);
        shutdown(c.fd, SHUT_WR);
        char buf[64];
        assert_int_equal(testing_recv_all(&c, buf, sizeof buf), 6);
        assert_memory_equal(buf, "<last\n", 6);
        testing_close(&c);
        ended(&plan, CONN_END_PEER);
    }
}

static void finish_lets_a_busy_sender_read_the_end(void **state)
{
    (void)state;
    static uint8_t much[3 << 20];
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &lines, .tls = kinds[k].tls};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        testing_send(&c, "bye\n", 4);
        testing_send(
            &c, much,
            sizeof much); /* more than any socket buffer: it must be taken and thrown away */
        char buf[64];
        assert_int_equal(testing_recv_all(&c, buf, sizeof buf), 5);
        assert_memory_equal(buf, "<bye\n", 5);
        testing_close(&c);
        ended(&plan, CONN_END_LOCAL);
    }
}

static void finish_waits_no_longer_than_told(void **state)
{
    (void)state;
    struct plan plan = {.handler = &lines};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_send(&c, "bye\n", 4); /* and never closes */
    testing_count_wait(&plan.closed, 1);
    ended(&plan, CONN_END_LOCAL);
    testing_close(&c);
}

static void abort_closes_at_once(void **state)
{
    (void)state;
    struct plan plan = {.handler = &lines};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_send(&c, "abort\nmore\n", 11);
    char buf[16];
    assert_int_equal(testing_recv_all(&c, buf, sizeof buf), 0);
    ended(&plan, CONN_END_LOCAL);
    assert_int_equal(plan.data_calls, 1);
    testing_close(&c);
}

/* A deadline set when the connection is made. */

static void set_deadline(struct conn *c, void *arg)
{
    conn_set_deadline(c, loop_now_ms(conn_loop(c)) + *(uint64_t *)arg);
}

static void set_deadlines(struct loop *loop, void *arg)
{
    conn_each(loop, set_deadline, arg);
}

static void deadline_is_called_once(void **state)
{
    (void)state;
    struct plan plan = {.handler = &lines};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_count_wait(&plan.opened, 1);
    testing_on_loop(&server, set_deadlines, &(uint64_t){30});
    char b;
    assert_int_equal(testing_recv(&c, &b, 1), 0);
    testing_close(&c);
    ended(&plan, CONN_END_LOCAL);
    assert_int_equal(plan.deadlines, 1);
}

static void deadline_without_handler_aborts(void **state)
{
    (void)state;
    struct plan plan = {.handler = &echo};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_count_wait(&plan.opened, 1);
    testing_on_loop(&server, set_deadlines, &(uint64_t){30});
    ended(&plan, CONN_END_LOCAL);
    testing_close(&c);
}

/* Pausing in the middle of a TLS record: what OpenSSL holds is not told by the socket. */

static size_t sip_data(struct conn *c, uint8_t *data, size_t len)
{
    struct plan *plan = conn_user(c);
    plan->data_calls++;
    size_t used = len < 1000 ? len : 1000;
    conn_send(c, data, used);
    conn_pause(c);
    return used;
}

static const struct conn_handler sips = {
    .data = sip_data, .drained = echo_drained, .closed = closed};

static void resumes_in_the_middle_of_records(void **state)
{
    (void)state;
    static uint8_t out[100000], in[100000];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 11 >> 3);
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &sips, .tls = kinds[k].tls, .limits = {.in_max = 5000}};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        testing_send(&c, out, sizeof out);
        assert_int_equal(testing_recv_all(&c, in, sizeof in), sizeof in);
        assert_memory_equal(in, out, sizeof out);
        assert_true(plan.data_calls >= 100);
        testing_close(&c);
        ended(&plan, CONN_END_PEER);
    }
}

/* Peers that never read. */

static size_t flood_data(struct conn *c, uint8_t *data, size_t len)
{
    static uint8_t block[50000];
    struct plan *plan = conn_user(c);
    (void)data;
    atomic_fetch_add(&plan->in_callback, 1);
    for (int i = 0; i < 1000 && plan->send_result == TEDDY_OK; i++)
        plan->send_result = conn_send(c, block, sizeof block);
    assert_int_equal(conn_send(c, block, 1), TEDDY_ECLOSED);
    atomic_fetch_sub(&plan->in_callback, 1);
    return len;
}

static const struct conn_handler floods = {.data = flood_data, .closed = closed};

static void too_much_output_drops(void **state)
{
    (void)state;
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &floods, .tls = kinds[k].tls, .limits = {.out_max = 100000}};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        testing_send(&c, "x", 1);
        ended(&plan, CONN_END_STALLED);
        assert_int_equal(plan.send_result, TEDDY_EFULL);
        testing_close(&c);
    }
}

static size_t stall_data(struct conn *c, uint8_t *data, size_t len)
{
    static uint8_t block[8 << 20];
    (void)data;
    assert_int_equal(conn_send(c, block, sizeof block), TEDDY_OK);
    return len;
}

static const struct conn_handler stalls = {.data = stall_data, .closed = closed};

static void output_not_taken_in_time_drops(void **state)
{
    (void)state;
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &stalls,
                            .tls = kinds[k].tls,
                            .limits = {.out_max = 16 << 20, .write_stall_ms = 200}};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        testing_send(&c, "x", 1);
        ended(&plan, CONN_END_STALLED);
        testing_close(&c);
    }
}

/* TLS that never becomes one. */

static void silent_handshake_is_dropped(void **state)
{
    (void)state;
    struct plan plan = {.handler = &lines, .tls = true, .limits = {.handshake_ms = 100}};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    ended(&plan, CONN_END_TLS);
    assert_int_equal(plan.data_calls, 0);
    testing_close(&c);
}

static void garbage_handshake_is_dropped(void **state)
{
    (void)state;
    struct plan plan = {.handler = &lines, .tls = true};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_send(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    ended(&plan, CONN_END_TLS);
    assert_int_equal(plan.data_calls, 0);
    testing_close(&c);
}

static void corrupt_record_is_dropped(void **state)
{
    (void)state;
    EACH_KIND(k)
    {
        if (!kinds[k].tls)
            continue;
        struct plan plan = {.handler = &lines, .tls = true};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, true, kinds[k].version);
        static const unsigned char record[] = {23, 3,  3,  0,  32, 1,  2,  3,  4,  5,  6,  7,  8,
                                               9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                               22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
        assert_int_equal(send(c.fd, record, sizeof record, 0), sizeof record);
        ended(&plan, CONN_END_TLS);
        assert_int_equal(plan.data_calls, 0);
        testing_close(&c);
    }
}

/* Moving between loops, there and back, with input held and while the peer goes on sending. */

static void moved(struct conn *c);

static size_t wander_data(struct conn *c, uint8_t *data, size_t len)
{
    struct plan *plan = conn_user(c);
    atomic_fetch_add(&plan->in_callback, 1);
    size_t used = 0;
    uint8_t *nl = memchr(data, '\n', len);
    if (nl) {
        used = (size_t)(nl - data) + 1;
        conn_send(c, data, used);
        conn_move(c, conn_loop(c) == server.loops[0] ? server.loops[1] : server.loops[0], moved);
    }
    atomic_fetch_sub(&plan->in_callback, 1);
    return used;
}

static void moved(struct conn *c)
{
    conn_set_deadline(c, loop_now_ms(conn_loop(c)) + 60000);
    conn_resume(c);
}

static void wander_closed(struct conn *c, enum conn_end why)
{
    struct plan *plan = conn_user(c);
    (void)why;
    testing_count_add(&plan->closed);
}

static const struct conn_handler wanders = {.data = wander_data, .closed = wander_closed};

enum { WANDERERS = 16, LINES = 60 };

struct wanderer {
    pthread_t thread;
    bool tls, leaves;
    int version;
};

static void *wanderer_main(void *arg)
{
    struct wanderer *w = arg;
    char out[32], in[32];
    struct testing_client c = testing_connect(server.port, w->tls, w->version);
    for (unsigned i = 0; i < LINES; i += 2) {
        int n = snprintf(out, sizeof out, "line %u\nline %u\n", i,
                         i + 1); /* the second is held while moving */
        testing_send(&c, out, (size_t)n);
        if (w->leaves && i > LINES / 2)
            break;
        assert_int_equal(testing_recv_all(&c, in, (size_t)n), n);
        assert_memory_equal(in, out, (size_t)n);
    }
    testing_close(&c);
    return NULL;
}

static void moves_between_loops(void **state)
{
    (void)state;
    struct plan tls = {.handler = &wanders, .tls = true}, plain = {.handler = &wanders};
    struct plan *plans[] = {&tls, &plain};
    for (size_t p = 0; p < 2; p++) {
        struct wanderer all[WANDERERS];
        testing_tls();
        testing_start(&server, accepted, plans[p]);
        for (size_t i = 0; i < WANDERERS; i++) {
            all[i] = (struct wanderer){.tls = plans[p]->tls,
                                       .leaves = i % 4 == 3,
                                       .version = i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION};
            pthread_create(&all[i].thread, NULL, wanderer_main, &all[i]);
        }
        for (size_t i = 0; i < WANDERERS; i++)
            pthread_join(all[i].thread, NULL);
        testing_count_wait(&plans[p]->closed, WANDERERS);
        testing_stop(&server);
        assert_int_equal(plans[p]->closed, WANDERERS);
    }
}

/* The end of a loop closes what is left on it. */

static void loop_free_closes_the_rest(void **state)
{
    (void)state;
    struct plan plan = {.handler = &lines};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_count_wait(&plan.opened, 1);
    testing_stop(&server);
    assert_int_equal(plan.closed, 1);
    assert_int_equal(plan.why, CONN_END_LOCAL);
    testing_close(&c);
}

static void out_of_descriptors_accepts_later(void **state)
{
    (void)state;
    struct plan plan = {.handler = &lines};
    testing_start(&server, accepted, &plan);
    struct testing_client c = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur =
        (rlim_t)c.fd + 1; /* every lower descriptor is taken: the next accept finds none */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&addr, sizeof addr), 0);
    testing_on_loop(&server, set_deadlines, &(uint64_t){60000}); /* a round has passed */
    testing_on_loop(&server, set_deadlines, &(uint64_t){60000});
    testing_count_wait(&plan.opened, 0); /* not accepted */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    testing_send(&c, "bye\n", 4);
    char buf[16];
    assert_int_equal(testing_recv_all(&c, buf, sizeof buf), 5);
    testing_close(&c);
    ended(&plan, CONN_END_LOCAL);
}

static int fini(void **state)
{
    (void)state;
    testing_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_much_with_bounded_memory),
        cmocka_unit_test(echoes_over_each_kind),
        cmocka_unit_test(keeps_what_is_not_consumed),
        cmocka_unit_test(half_closed_peer_gets_its_answer),
        cmocka_unit_test(finish_lets_a_busy_sender_read_the_end),
        cmocka_unit_test(finish_waits_no_longer_than_told),
        cmocka_unit_test(abort_closes_at_once),
        cmocka_unit_test(deadline_is_called_once),
        cmocka_unit_test(deadline_without_handler_aborts),
        cmocka_unit_test(resumes_in_the_middle_of_records),
        cmocka_unit_test(too_much_output_drops),
        cmocka_unit_test(output_not_taken_in_time_drops),
        cmocka_unit_test(silent_handshake_is_dropped),
        cmocka_unit_test(garbage_handshake_is_dropped),
        cmocka_unit_test(corrupt_record_is_dropped),
        cmocka_unit_test(moves_between_loops),
        cmocka_unit_test(loop_free_closes_the_rest),
        cmocka_unit_test(out_of_descriptors_accepts_later),
    };
    return cmocka_run_group_tests(tests, NULL, fini);
}
