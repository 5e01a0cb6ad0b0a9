/* What a loop keeps of its connections' buffers: little, and nothing of what was in them. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "net/conn_internal.h"
#include "net/testing.h"

enum { CONNECTIONS = 320, LARGE = 10, SPARES_MAX = 256, SPARE_BYTES = 1024 };

#define SECRET "my-name-is-Ada"

static struct testing_server server;
static struct testing_client client[CONNECTIONS];
static unsigned opened, closed_count, begun;

static void closed(struct conn *c, enum conn_end why)
{
    (void)c;
    (void)why;
    testing_count_add(&closed_count);
}

/* Waits for the whole line, and answers with it. */
static size_t line_data(struct conn *c, uint8_t *data, size_t len)
{
    if (data[len - 1] != '\n') {
        testing_count_add(&begun);
        return 0;
    }
    conn_send(c, data, len);
    return len;
}

static const struct conn_handler lines = {.data = line_data, .closed = closed};

static void accepted(struct loop *loop, int fd, const struct sockaddr_storage *peer, void *user)
{
    int at_once = 0;
    socklen_t len = sizeof at_once;
    (void)peer;
    (void)user;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, &len), 0);
    assert_int_equal(at_once, 1); /* the listener's */
    assert_int_equal(conn_new(loop, fd, NULL, NULL, &lines, NULL, NULL), TEDDY_OK);
    testing_count_add(&opened);
}

static void open_all(void)
{
    opened = closed_count = begun = 0;
    testing_start(&server, accepted, NULL);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        client[i] = testing_connect(server.port, false, 0);
    testing_count_wait(&opened, CONNECTIONS);
}

static void close_all(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        testing_close(&client[i]);
    testing_count_wait(&closed_count, CONNECTIONS);
    testing_stop(&server);
}

static bool holds_secret(const struct buffer *b)
{
    return b->p && memmem(b->p, b->cap, SECRET, strlen(SECRET));
}

struct found {
    unsigned spares, counted, secrets;
    size_t largest;
};

static void look(struct loop *loop, void *arg)
{
    struct found *f = arg;
    size_t len;
    const uint8_t *scratch = loop_scratch(loop, &len);
    f->secrets = memmem(scratch, len, SECRET, strlen(SECRET)) != NULL;
    for (const struct traffic *t = loop_conns(loop)->spare; t; t = t->next) {
        f->spares++;
        f->secrets += holds_secret(&t->in) || holds_secret(&t->out);
        f->largest = t->in.cap > f->largest ? t->in.cap : f->largest;
        f->largest = t->out.cap > f->largest ? t->out.cap : f->largest;
    }
    f->counted = loop_conns(loop)->spares;
}

/* All of them wait for the end of their line at once, then are answered; some lines are long. */
static void spares_are_few_small_and_empty(void **state)
{
    (void)state;
    char text[3000], back[3000];
    struct found f = {0};
    open_all();
    memset(text, '.', sizeof text);
    memcpy(text + 50, SECRET, strlen(SECRET));
    for (unsigned i = 0; i < CONNECTIONS; i++)
        testing_send(&client[i], text, i < LARGE ? 2999 : 99);
    testing_count_wait(&begun, CONNECTIONS);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        testing_send(&client[i], "\n", 1);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        size_t len = i < LARGE ? 3000 : 100;
        assert_int_equal(testing_recv_all(&client[i], back, len), len);
        assert_memory_equal(back, text, len - 1);
    }
    testing_on_loop(&server, look, &f);
    assert_int_equal(f.counted, f.spares);
    assert_in_range(f.spares, 1, SPARES_MAX);
    assert_in_range(f.largest, 1, SPARE_BYTES);
    assert_int_equal(f.secrets, 0);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spares_are_few_small_and_empty),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    testing_fini();
    return failed;
}
