/* A real server whose connections do what a test plans. Included once by each test of connections.
 */
#ifndef NET_CONN_PLAN_H
#define NET_CONN_PLAN_H

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

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
    (void)peer;
    testing_count_add(&plan->opened);
    assert_int_equal(conn_new(loop, fd, plan->tls ? testing_tls() : NULL, &plan->limits,
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

static int fini(void **state)
{
    (void)state;
    testing_fini();
    return 0;
}

#endif
