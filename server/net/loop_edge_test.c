#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/loop.h"

enum { QUIET_ROUNDS = 3, TOLD_MAX = 8 };

/* A watched end of which at most `cap` bytes are read each time it is told of. */
static struct {
    struct loop *loop;
    struct loop_io io;
    int peer;
    size_t cap;     /* 0: nothing is read */
    bool ask_again; /* for what is unread */
    unsigned told;
    ssize_t got[TOLD_MAX];
    bool unread[TOLD_MAX];
    struct loop_task quiet;
    unsigned rounds; /* since it was told of last */
} end;

/* Rounds do not wait while something is deferred: the loop stops when so many were silent. */
static void another_round(struct loop *loop, struct loop_task *task)
{
    if (++end.rounds > QUIET_ROUNDS)
        loop_stop(loop);
    else
        loop_defer(loop, task);
}

static void on_ready(struct loop *loop, struct loop_io *io, uint32_t events)
{
    uint8_t buf[64];
    assert_true(events & LOOP_READ);
    assert_true(io->unread);
    assert_true(end.told < TOLD_MAX);
    end.rounds = 0;
    if (end.cap)
        end.got[end.told] = loop_recv(loop, io, buf, end.cap);
    end.unread[end.told++] = io->unread;
    if (io->unread && end.ask_again)
        assert_int_equal(loop_io_mod(loop, io, io->events), TEDDY_OK);
}

static void begin(size_t cap, bool ask_again)
{
    int pair[2];
    memset(&end, 0, sizeof end);
    end.cap = cap;
    end.ask_again = ask_again;
    end.quiet.run = another_round;
    assert_int_equal(loop_new(&end.loop, 0), TEDDY_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    end.io = (struct loop_io){.fd = pair[0], .ready = on_ready};
    end.peer = pair[1];
    assert_int_equal(loop_io_add(end.loop, &end.io, LOOP_READ | LOOP_EDGE), TEDDY_OK);
}

static void say(const char *what)
{
    assert_int_equal(write(end.peer, what, strlen(what)), (ssize_t)strlen(what));
}

/* Until nothing is told any more. */
static void run(void)
{
    end.rounds = 0;
    loop_defer(end.loop, &end.quiet);
    loop_run(end.loop);
}

static void over(void)
{
    loop_free(end.loop);
    close(end.io.fd);
    close(end.peer);
}

static void told_once_and_again_when_asked(void **state)
{
    (void)state;
    begin(0, false);
    say("some");
    run();
    assert_int_equal(end.told, 1);
    assert_int_equal(loop_io_mod(end.loop, &end.io, LOOP_READ | LOOP_EDGE), TEDDY_OK);
    run();
    assert_int_equal(end.told, 2);
    say("more");
    run();
    assert_int_equal(end.told, 3);
    over();
}

static void a_full_buffer_leaves_something_unread(void **state)
{
    static const ssize_t got[] = {4, 4, 2};
    (void)state;
    begin(4, true);
    say("0123456789");
    run();
    assert_int_equal(end.told, 3);
    assert_memory_equal(end.got, got, sizeof got);
    assert_true(end.unread[0] && end.unread[1] && !end.unread[2]);
    over();
}

static void an_end_behind_the_data_is_unread(void **state)
{
    (void)state;
    begin(64, true);
    say("the last");
    assert_int_equal(shutdown(end.peer, SHUT_WR), 0);
    run();
    assert_int_equal(end.told, 2);
    assert_int_equal(end.got[0], 8);
    assert_true(end.unread[0]);
    assert_int_equal(end.got[1], 0);
    assert_false(end.unread[1]);
    over();
}

static void an_end_that_comes_later_is_told(void **state)
{
    (void)state;
    begin(64, false);
    say("data");
    run();
    assert_int_equal(end.told, 1);
    assert_false(end.unread[0]);
    assert_int_equal(shutdown(end.peer, SHUT_WR), 0);
    run();
    assert_int_equal(end.told, 2);
    assert_int_equal(end.got[1], 0);
    over();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_once_and_again_when_asked),
        cmocka_unit_test(a_full_buffer_leaves_something_unread),
        cmocka_unit_test(an_end_behind_the_data_is_unread),
        cmocka_unit_test(an_end_that_comes_later_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
