#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/loop.h"
#include "net/outgoing.h"

/* libcurl's, too: a name server that answers when it likes. */
static atomic_int looking;
static pthread_mutex_t slow = PTHREAD_MUTEX_INITIALIZER;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)out;
    atomic_fetch_add(&looking, 1);
    pthread_mutex_lock(&slow);
    pthread_mutex_unlock(&slow);
    atomic_fetch_sub(&looking, 1);
    return EAI_NONAME;
}

static struct loop *loop;
static struct outgoing *o;

/* One request's. */
struct heard {
    struct transfer *transfer;
    long status;
    char type[64], bytes[65536];
    size_t len;
    unsigned ends;
    enum outgoing_end why;
    void (*on_data)(struct heard *h);
    bool refuse;
    struct heard *next; /* started from within end */
};

static char url[64];

static int start(struct heard *h, const char *to);

static bool on_head(void *user, long status, const char *type)
{
    struct heard *h = user;
    assert_int_equal(h->status, 0);
    h->status = status;
    snprintf(h->type, sizeof h->type, "%s", type);
    return !h->refuse;
}

static void on_data(void *user, struct span bytes)
{
    struct heard *h = user;
    assert_int_not_equal(h->status, 0);
    memcpy(h->bytes + h->len, bytes.p, bytes.len);
    h->len += bytes.len;
    if (h->on_data)
        h->on_data(h);
}

static void on_end(void *user, enum outgoing_end why, const char *what)
{
    struct heard *h = user;
    assert_non_null(what);
    h->ends++;
    h->why = why;
    h->transfer = NULL;
    if (h->next)
        assert_int_equal(start(h->next, url), TEDDY_OK);
    else
        loop_stop(loop);
}

static const struct outgoing_handler HANDLER = {on_head, on_data, on_end};

static int start(struct heard *h, const char *to)
{
    static const char *const headers[] = {"Content-Type: text/plain", NULL};
    struct outgoing_request r = {
        .url = to, .headers = headers, .body = span_of("hello"), .answer_max = sizeof h->bytes};
    return outgoing_start(o, &r, &HANDLER, h, &h->transfer);
}

/* ---- the other side: one answer a connection, or what the test writes by hand */

static int listener;
static pthread_t server;
static const char *answers[16];
static atomic_uint asked, gone;

static void *serve(void *arg)
{
    (void)arg;
    for (unsigned i = 0; answers[i]; i++) {
        char in[4096];
        int fd = accept(listener, NULL, NULL);
        size_t len = 0;
        if (fd < 0)
            break;
        while (len < 5 || memcmp(in + len - 5, "hello", 5) != 0) {
            ssize_t n = read(fd, in + len, sizeof in - len);
            if (n <= 0)
                break;
            len += (size_t)n;
        }
        atomic_fetch_add(&asked, 1);
        const char *a = answers[i];
        if (*a == '-') /* and then nothing, until the other side is gone */
            a++;
        (void)!write(fd, a, strlen(a));
        if (a != answers[i]) {
            while (read(fd, in, sizeof in) > 0)
                ;
            atomic_fetch_add(&gone, 1);
        }
        close(fd);
    }
    return NULL;
}

static int setup(void **state)
{
    struct outgoing_options options = {.connect_ms = 10000, .transfers = 4};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    (void)state;
    memset(answers, 0, sizeof answers);
    asked = gone = 0;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/x", ntohs(a.sin_port));
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    assert_int_equal(outgoing_new(loop, &options, &o), TEDDY_OK);
    return 0;
}

static void serving(void)
{
    assert_int_equal(pthread_create(&server, NULL, serve, NULL), 0);
}

static int teardown(void **state)
{
    (void)state;
    outgoing_free(o);
    loop_free(loop);
    shutdown(listener, SHUT_RDWR); /* a test that failed leaves it waiting */
    if (answers[0])
        pthread_join(server, NULL);
    close(listener);
    return 0;
}

#define OK "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: Text/Plain; charset=x\r\n"

static void an_answer_comes_whole(void **state)
{
    static struct heard h;
    (void)state;
    answers[0] = OK "Content-Length: 3\r\n\r\nabc";
    serving();
    assert_int_equal(start(&h, url), TEDDY_OK);
    loop_run(loop);
    assert_int_equal(h.status, 200);
    assert_string_equal(h.type, "text/plain");
    assert_string_equal(h.bytes, "abc");
    assert_int_equal(h.why, OUTGOING_WHOLE);
}

static void ends_are_told_apart(void **state)
{
    static const struct {
        const char *answer;
        enum outgoing_end why;
    } CASES[] = {
        {OK "Content-Length: 3\r\n\r\nab", OUTGOING_BROKEN},
        {OK "\r\nas long as it lasts", OUTGOING_WHOLE},
        {"", OUTGOING_BROKEN},
        {"HTTP/1.1 200 OK\r\nX: y", OUTGOING_WHOLE}, /* as libcurl sees it: nothing came */
        {"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", OUTGOING_WHOLE},
        {OK "Content-Length: 1000000\r\n\r\n", OUTGOING_TOO_BIG},
    };
    static struct heard h[7];
    static char big[80000];
    (void)state;
    for (unsigned i = 0; i < 6; i++)
        answers[i] = CASES[i].answer;
    snprintf(big, sizeof big, OK "Content-Length: 1000000\r\n\r\n%066000d", 7);
    answers[5] = big;
    serving();
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(start(&h[i], url), TEDDY_OK);
        loop_run(loop);
        assert_int_equal(h[i].ends, 1);
        assert_int_equal(h[i].why, CASES[i].why);
    }
    assert_int_equal(h[4].status, 302);
    assert_int_equal(start(&h[6], "http://127.0.0.1:1/"), TEDDY_OK);
    loop_run(loop);
    assert_int_equal(h[6].why, OUTGOING_REFUSED);
    assert_int_equal(h[6].status, 0);
}

static void a_head_is_bounded(void **state)
{
    static struct heard h[2];
    static char small[20000], big[20000];
    (void)state;
    snprintf(small, sizeof small, OK "X: %015000d\r\nContent-Length: 3\r\n\r\nabc", 7);
    snprintf(big, sizeof big, OK "X: %017000d\r\nContent-Length: 3\r\n\r\nabc", 7);
    answers[0] = small;
    answers[1] = big;
    serving();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(start(&h[i], url), TEDDY_OK);
        loop_run(loop);
    }
    assert_int_equal(h[0].why, OUTGOING_WHOLE);
    assert_int_equal(h[1].why, OUTGOING_TOO_BIG);
}

static void cancel_it(struct heard *h)
{
    transfer_cancel(h->transfer);
    loop_stop(loop);
}

/* From within its own callback, too; the other side notices at once. */
static void a_cancelled_one_says_nothing_more(void **state)
{
    static struct heard h = {.on_data = cancel_it};
    (void)state;
    answers[0] = "-" OK "Content-Length: 30\r\n\r\nabc";
    serving();
    assert_int_equal(start(&h, url), TEDDY_OK);
    loop_run(loop);
    pthread_join(server, NULL);
    answers[0] = NULL;
    assert_int_equal(gone, 1);
    assert_int_equal(h.ends, 0);
}

static void a_head_that_is_refused_ends_it(void **state)
{
    static struct heard h = {.refuse = true};
    (void)state;
    answers[0] = OK "Content-Length: 3\r\n\r\nabc";
    serving();
    assert_int_equal(start(&h, url), TEDDY_OK);
    loop_run(loop);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.why, OUTGOING_WHOLE);
    assert_int_equal(h.len, 0);
}

static void let_go(struct heard *h)
{
    transfer_let_go(h->transfer);
    loop_stop(loop);
}

static void one_let_go_does_not_stay_for_ever(void **state)
{
    static struct heard h = {.on_data = let_go};
    (void)state;
    answers[0] = "-" OK "Content-Length: 30\r\n\r\nabc";
    serving();
    assert_int_equal(start(&h, url), TEDDY_OK);
    loop_run(loop);
    assert_int_equal(h.ends, 0);
    while (gone == 0) { /* its second passes */
        static struct heard other;
        other = (struct heard){.status = 0};
        assert_int_equal(start(&other, "http://127.0.0.1:1/"), TEDDY_OK);
        loop_run(loop);
        usleep(20000);
    }
    assert_int_equal(h.ends, 0);
}

static void the_next_is_started_at_the_end_of_one(void **state)
{
    static struct heard h[3];
    (void)state;
    h[0].next = &h[1];
    h[1].next = &h[2];
    answers[0] = answers[1] = answers[2] = OK "Content-Length: 3\r\n\r\nabc";
    serving();
    assert_int_equal(start(&h[0], url), TEDDY_OK);
    loop_run(loop);
    for (int i = 0; i < 3; i++)
        assert_string_equal(h[i].bytes, "abc");
}

/* Names are looked up on threads, and whoever gives up does not wait for them. */
static void a_name_that_takes_long_holds_nobody_up(void **state)
{
    static struct heard waits, h;
    (void)state;
    pthread_mutex_lock(&slow);
    answers[0] = OK "Content-Length: 3\r\n\r\nabc";
    serving();
    assert_int_equal(start(&waits, "http://somewhere.test/"), TEDDY_OK);
    assert_int_equal(start(&h, url), TEDDY_OK);
    loop_run(loop);
    assert_string_equal(h.bytes, "abc");
    while (looking == 0)
        usleep(1000);
    transfer_cancel(waits.transfer); /* would wait for the lock, which we hold */
    assert_int_equal(waits.ends, 0);
    pthread_mutex_unlock(&slow);
    while (looking > 0)
        usleep(1000);
}

static void wrong_urls(void **state)
{
    static const char *const WRONG[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://h/",
                                        "http://user:pass@127.0.0.1/", "http://"};
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        static struct heard h[5];
        if (start(&h[i], WRONG[i]) == TEDDY_OK) {
            loop_run(loop);
            assert_int_equal(h[i].why, OUTGOING_REFUSED);
        }
    }
    assert_int_equal(asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_comes_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_one_says_nothing_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_that_is_refused_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(one_let_go_does_not_stay_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_is_started_at_the_end_of_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_takes_long_holds_nobody_up, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_urls, setup, teardown),
    };
    return outgoing_init() == TEDDY_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
