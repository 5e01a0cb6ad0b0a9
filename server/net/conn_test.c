#include <openssl/ssl.h>

#include "net/conn_plan.h"

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
        if (used == 5 && memcmp(data, "part\n", 5) == 0)
            conn_part(c, 3600000);
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

/* The client has what was sent, and its end, while it has closed nothing itself. */
static void part_waits_for_nobody(void **state)
{
    (void)state;
    EACH_KIND(k)
    {
        struct plan plan = {.handler = &lines, .tls = kinds[k].tls};
        testing_start(&server, accepted, &plan);
        struct testing_client c = testing_connect(server.port, kinds[k].tls, kinds[k].version);
        testing_send(&c, "part\n", 5);
        ended(&plan, CONN_END_LOCAL);
        char buf[64];
        assert_int_equal(testing_recv_all(&c, buf, sizeof buf), 6);
        assert_memory_equal(buf, "<part\n", 6);
        testing_close(&c);
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
    static uint8_t out[6 * 16384],
        in[6 * 16384]; /* whole records: the last is left in OpenSSL alone */
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
        assert_true(plan.data_calls >= 98);
        testing_close(&c);
        ended(&plan, CONN_END_PEER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_much_with_bounded_memory),
        cmocka_unit_test(echoes_over_each_kind),
        cmocka_unit_test(keeps_what_is_not_consumed),
        cmocka_unit_test(part_waits_for_nobody),
        cmocka_unit_test(half_closed_peer_gets_its_answer),
        cmocka_unit_test(finish_lets_a_busy_sender_read_the_end),
        cmocka_unit_test(finish_waits_no_longer_than_told),
        cmocka_unit_test(abort_closes_at_once),
        cmocka_unit_test(deadline_is_called_once),
        cmocka_unit_test(deadline_without_handler_aborts),
        cmocka_unit_test(resumes_in_the_middle_of_records),
    };
    return cmocka_run_group_tests(tests, NULL, fini);
}
