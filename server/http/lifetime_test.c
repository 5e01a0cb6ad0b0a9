/* Requests and their peers end at different times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "http/testing.h"
#include "ops/log.h"

#define HOST "Host: localhost\r\n"

static struct answer a;

/* The peer leaves while its request is with a handler, here or on its way to another loop. */

static void answer_pending(struct loop *loop, void *arg)
{
    (void)loop;
    assert_null(arg);
    http_respond(testing.pending, 200, "text/plain", "too late", 8);
}

static void conn_gone(struct loop *loop, void *arg)
{
    (void)loop;
    *(bool *)arg = http_conn(testing.pending) == NULL;
}

static void drop(struct testing_client *c)
{
    const struct linger now = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now,
               sizeof now); /* a reset: also a paused connection learns of it */
    testing_close(c);
}

static void request_outlives_its_peer(void **state)
{
    (void)state;
    http_testing_start(false);
    struct testing_client c = http_testing_connect();
    const char *get = "GET /forget HTTP/1.1\r\n" HOST "\r\n";
    testing_send(&c, get, strlen(get));
    testing_count_wait(&testing.handled, 1);
    assert_int_equal(http_in_flight(), 1);
    drop(&c);
    bool gone = false;
    for (int i = 0; i < 100000 && !gone; i++)
        testing_on_loop(&testing.server, conn_gone, &gone);
    assert_true(gone);
    assert_int_equal(http_in_flight(), 1);
    testing_on_loop(&testing.server, answer_pending, NULL);
    assert_int_equal(http_in_flight(), 0);
    http_testing_stop();
}

static void half_closed_peer_is_answered_later(void **state)
{
    (void)state;
    http_testing_start(false);
    struct testing_client c = http_testing_connect();
    const char *get = "GET /forget HTTP/1.1\r\n" HOST "\r\n";
    testing_send(&c, get, strlen(get));
    shutdown(c.fd, SHUT_WR);
    testing_count_wait(&testing.handled, 1);
    testing_on_loop(&testing.server, answer_pending, NULL);
    http_testing_read(&c, &a, false);
    assert_string_equal(a.body, "too late");
    assert_true(http_testing_closed(&c));
    testing_close(&c);
    http_testing_stop();
}

static void peers_leave_while_moving(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        http_testing_start(tls);
        const char *get =
            "GET /later/x HTTP/1.1\r\n" HOST "\r\nGET /later/y HTTP/1.1\r\n" HOST "\r\n";
        for (unsigned i = 0; i < 60; i++) {
            struct testing_client c = http_testing_connect();
            testing_send(&c, get, strlen(get));
            drop(&c);
        }
        http_testing_ask(get, &a); /* and one that stays */
        assert_string_equal(a.body, "x");
        http_testing_stop();
    }
}

static void drain(struct loop *loop, void *arg)
{
    (void)arg;
    http_drain(loop);
}

static void drain_closes_idle_ones_and_lets_others_finish(void **state)
{
    (void)state;
    http_testing_start(true);
    struct testing_client idle = http_testing_connect(), busy = http_testing_connect();
    const char *hello = "GET /hello HTTP/1.1\r\n" HOST "\r\n",
               *forget = "GET /forget HTTP/1.1\r\n" HOST "\r\n";
    testing_send(&idle, hello, strlen(hello));
    http_testing_read(&idle, &a, false);
    testing_send(&busy, forget, strlen(forget));
    testing_count_wait(&testing.handled, 1);
    testing_on_loop(&testing.server, drain, NULL);
    assert_true(http_testing_closed(&idle));
    testing_on_loop(&testing.server, answer_pending, NULL);
    http_testing_read(&busy, &a, false);
    assert_string_equal(a.body, "too late");
    assert_string_equal(http_testing_field(&a, "Connection"), "close");
    assert_true(http_testing_closed(&busy));
    testing_close(&idle);
    testing_close(&busy);
    http_testing_stop();
}

static int init(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_LOGFMT);
    return 0;
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
        cmocka_unit_test(request_outlives_its_peer),
        cmocka_unit_test(half_closed_peer_is_answered_later),
        cmocka_unit_test(peers_leave_while_moving),
        cmocka_unit_test(drain_closes_idle_ones_and_lets_others_finish),
    };
    return cmocka_run_group_tests(tests, init, fini);
}
