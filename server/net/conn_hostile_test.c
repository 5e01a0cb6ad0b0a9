/* Peers and moments that mean no good. */
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <time.h>

#include "net/conn_plan.h"

/* Ends with the first bytes it gets. */

static size_t take_data(struct conn *c, uint8_t *data, size_t len)
{
    struct plan *plan = conn_user(c);
    (void)data;
    plan->data_calls++;
    conn_finish(c, 1000);
    return len;
}

static const struct conn_handler takes = {.data = take_data, .closed = closed};

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
    struct plan plan = {.handler = &takes, .tls = true, .limits = {.handshake_ms = 100}};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    ended(&plan, CONN_END_TLS);
    assert_int_equal(plan.data_calls, 0);
    testing_close(&c);
}

static void garbage_handshake_is_dropped(void **state)
{
    (void)state;
    struct plan plan = {.handler = &takes, .tls = true};
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
        struct plan plan = {.handler = &takes, .tls = true};
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

/* 150 ms of the loop's own time. */

static struct {
    struct loop_timer timer;
    unsigned fired;
} watch;

static void watch_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    (void)timer;
    testing_count_add(&watch.fired);
}

static void set_watch(struct loop *loop, void *arg)
{
    (void)arg;
    watch.timer.fire = watch_fire;
    loop_timer_set(loop, &watch.timer, loop_now_ms(loop) + 150);
}

static void out_of_descriptors_accepts_later(void **state)
{
    (void)state;
    struct plan plan = {.handler = &takes};
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
    clock_t before = clock();
    testing_on_loop(&server, set_watch, NULL);
    testing_count_wait(&watch.fired, 1);
    testing_count_wait(&plan.opened, 0); /* not accepted, */
    assert_true(clock() - before <
                50 * CLOCKS_PER_SEC / 1000); /* and no spinning until it can be */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    testing_send(&c, "x", 1);
    char b;
    assert_int_equal(testing_recv(&c, &b, 1), 0);
    testing_close(&c);
    ended(&plan, CONN_END_LOCAL);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_much_output_drops),
        cmocka_unit_test(output_not_taken_in_time_drops),
        cmocka_unit_test(silent_handshake_is_dropped),
        cmocka_unit_test(garbage_handshake_is_dropped),
        cmocka_unit_test(corrupt_record_is_dropped),
        cmocka_unit_test(out_of_descriptors_accepts_later),
    };
    return cmocka_run_group_tests(tests, NULL, fini);
}
