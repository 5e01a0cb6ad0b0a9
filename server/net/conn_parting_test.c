/* The last bytes and the end of a TLS connection leave in one segment. */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "net/conn_internal.h"
#include "net/testing.h"

enum { TRIES = 5 };

static struct testing_server server;
static struct conn *last;
static unsigned answers;

static size_t data(struct conn *c, uint8_t *bytes, size_t len)
{
    conn_send(c, bytes, len);
    last = c;
    testing_count_add(&answers);
    if (bytes[0] == 'b')
        conn_finish(c, 3600000);
    return len;
}

static void closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
}

static const struct conn_handler handler = {.data = data, .closed = closed};

static void accepted(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    (void)peer;
    (void)user;
    assert_int_equal(conn_new(loop, fd, testing_tls(), NULL, &handler, NULL, NULL), TEDDY_OK);
}

/* Segments with data that have come so far. */
static unsigned segments(const struct testing_client *c)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    assert_int_equal(getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_data_segs_in;
}

/* How many segments the answer to the farewell took, and the close_notify behind it. */
static unsigned farewell(int version)
{
    char back[8];
    struct testing_client c = testing_connect(server.port, true, version);
    testing_send(&c, "a", 1);
    assert_int_equal(testing_recv(&c, back, 1), 1); /* the handshake's own are all here now */
    unsigned before = segments(&c);
    testing_send(&c, "b", 1);
    assert_int_equal(testing_recv_all(&c, back, sizeof back), 1);
    unsigned n = segments(&c) - before;
    testing_close(&c);
    return n;
}

/* The system lets the first half go after 200 ms, should the second be so late: that is a try. */
static void the_last_bytes_leave_with_the_end(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    (void)state;
    testing_start(&server, accepted, NULL);
    for (int k = 0; k < 2; k++) {
        unsigned least = 9;
        for (int i = 0; i < TRIES && least > 1; i++) {
            unsigned n = farewell(versions[k]);
            least = n < least ? n : least;
        }
        assert_int_equal(least, 1);
    }
    testing_stop(&server);
}

static void look(struct loop *loop, void *arg)
{
    (void)loop;
    assert_int_equal(ioctl(last->io.fd, SIOCOUTQNSD, arg), 0);
}

static void what_is_not_the_last_waits_for_nothing(void **state)
{
    int waiting = -1;
    (void)state;
    answers = 0;
    testing_start(&server, accepted, NULL);
    struct testing_client c = testing_connect(server.port, true, 0);
    testing_send(&c, "a", 1);
    testing_count_wait(&answers, 1);
    testing_on_loop(&server, look, &waiting); /* perhaps before the end of that round */
    testing_on_loop(&server, look, &waiting);
    assert_int_equal(waiting, 0);
    testing_close(&c);
    testing_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_bytes_leave_with_the_end),
        cmocka_unit_test(what_is_not_the_last_waits_for_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    testing_fini();
    return failed;
}
