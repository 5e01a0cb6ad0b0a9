#include <openssl/ssl.h>
#include <stdio.h>

#include "net/conn_plan.h"

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
/* A deadline set before a move is kept, on the new loop. */

static size_t leave_data(struct conn *c, uint8_t *data, size_t len)
{
    (void)data;
    conn_set_deadline(c, loop_now_ms(conn_loop(c)) + 50);
    conn_move(c, server.loops[1], conn_resume);
    return len;
}

static void leave_deadline(struct conn *c)
{
    struct plan *plan = conn_user(c);
    assert_ptr_equal(conn_loop(c), server.loops[1]);
    testing_count_add(&plan->deadlines);
    conn_finish(c, 1000);
}

static const struct conn_handler leaves = {
    .data = leave_data, .deadline = leave_deadline, .closed = closed};

static void deadline_moves_along(void **state)
{
    (void)state;
    struct plan plan = {.handler = &leaves};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_send(&c, "x", 1);
    char b;
    assert_int_equal(testing_recv(&c, &b, 1), 0);
    testing_close(&c);
    ended(&plan, CONN_END_LOCAL);
    assert_int_equal(plan.deadlines, 1);
}

/* The end of a loop closes what is left on it. */

static void loop_free_closes_the_rest(void **state)
{
    (void)state;
    struct plan plan = {.handler = &wanders};
    testing_start(&server, accepted, &plan);
    struct testing_client c = testing_connect(server.port, false, 0);
    testing_count_wait(&plan.opened, 1);
    testing_stop(&server);
    assert_int_equal(plan.closed, 1);
    assert_int_equal(plan.why, CONN_END_LOCAL);
    testing_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_between_loops),
        cmocka_unit_test(deadline_moves_along),
        cmocka_unit_test(loop_free_closes_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, fini);
}
