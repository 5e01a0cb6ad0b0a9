/* The event loop: one thread, one epoll set, timers, and an inbox through which other threads hand
 * it work. Above this header nothing knows epoll, so that another back-end can take its place. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "teddy/err.h"

/* The struct that `ptr` is a member of: a watched descriptor's owner, a timer's, a task's. */
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct loop;

enum {
    LOOP_READ = 1u << 0,
    LOOP_WRITE = 1u << 1,
    LOOP_HANGUP = 1u << 2, /* reported, never asked for */
    LOOP_SHARED = 1u << 3, /* asked for with loop_io_add only: wake one of the loops that watch this
                              descriptor, not all */
    /* asked for, of a stream socket: told once when it gets ready, and again when more comes or
     * there is room again. Whoever leaves something unread has it told again by loop_io_mod. */
    LOOP_EDGE = 1u << 4
};

/* A descriptor being watched, embedded in its owner. Owned by the caller until loop_io_del. */
struct loop_io {
    int fd;
    uint16_t events; /* as asked */
    bool unread;  /* LOOP_EDGE: LOOP_READ was told, and loop_recv has not come to its end since */
    bool hung_up; /* private: when it was told, the peer's end had come, too */
    void (*ready)(struct loop *loop, struct loop_io *io, uint32_t events);
};

/* A timer, embedded in its owner; all zero is "not set". Granularity: 16 ms. Late, never early. */
struct loop_timer {
    struct loop_timer *next, **prev; /* private */
    uint64_t at_ms;
    void (*fire)(struct loop *loop, struct loop_timer *timer); /* the timer is unset when called */
};

/* Work handed to a loop, embedded in its owner, which must keep it until run is called. */
struct loop_task {
    struct loop_task *next; /* private */
    void (*run)(struct loop *loop, struct loop_task *task);
};

/* Who counts how long things take, on the loop's thread. */
struct loop_watch {
    void (*round)(struct loop *loop, uint64_t us); /* the work of one, without the wait before it */
    /* From accepted to done. ok false: it came to nothing. */
    void (*handshake)(struct loop *loop, uint64_t ms, bool ok);
};

/* Makes the process ignore SIGPIPE unless it has a handler of its own. */
TEDDY_MUST_CHECK int loop_new(struct loop **out, unsigned index);
/* Not running; pending tasks are run first, then the connections left are aborted (their closed is
 * called). NULL is fine. */
void loop_free(struct loop *loop);
/* Runs until loop_stop. Threads: the loop's own, from here on. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* any thread */
/* Before it runs; kept. NULL: nobody counts. */
void loop_set_watch(struct loop *loop, const struct loop_watch *watch);
const struct loop_watch *loop_watch(const struct loop *loop);
unsigned loop_index(const struct loop *loop);  /* 0-based */
uint64_t loop_now_ms(const struct loop *loop); /* monotonic, taken once a round */

/* Of the loop's own thread only: */
TEDDY_MUST_CHECK int loop_io_add(struct loop *loop, struct loop_io *io, uint32_t events);
TEDDY_MUST_CHECK int loop_io_mod(struct loop *loop, struct loop_io *io, uint32_t events);
void loop_io_del(struct loop *loop,
                 struct loop_io *io); /* its events of this round are not delivered any more */
/* The same for a descriptor that is closed next, and that no other process shares: the system
 * forgets it by itself then. */
void loop_io_forget(struct loop *loop, struct loop_io *io);
/* recv(2) and send(2) on a watched stream socket, without SIGPIPE: all its bytes go through these
 * two, so that a back-end may batch them. One that does receives before it calls ready and hands on
 * here what has come, with EAGAIN behind it; and copies what it is given to send, leaves it to the
 * end of the round, answers EAGAIN while it holds much of this descriptor's and reports LOOP_WRITE
 * when it does not any more, and LOOP_HANGUP for what could not be sent. `more`: so much follows at
 * once, the end of the stream if nothing else, that it may wait for that. */
ssize_t loop_recv(struct loop *loop, struct loop_io *io, void *buf, size_t cap);
ssize_t loop_send(struct loop *loop, struct loop_io *io, const void *data, size_t len, bool more);
void loop_timer_set(struct loop *loop, struct loop_timer *timer,
                    uint64_t at_ms); /* moves one already set */
void loop_timer_unset(struct loop *loop, struct loop_timer *timer);
/* Run at the end of the present round, after all ready descriptors, or of each half millisecond of
 * a longer one: for work that gathers over a round. From within such work: at the end of the next
 * one, which then comes without waiting. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* Heavy work that must not hold up the light: run behind all else of the round, and what it defers
 * behind it. What it leaves for another round it defers heavily again, and the rounds do not wait
 * meanwhile. */
void loop_defer_heavy(struct loop *loop, struct loop_task *task);
/* A remark for the rooms above: this loop is on its way out, what is idle on it may go. */
void loop_set_draining(struct loop *loop);
bool loop_draining(const struct loop *loop);
/* The loop's scratch buffer for receiving, shared by all its connections: valid within one
 * callback. */
uint8_t *loop_scratch(struct loop *loop, size_t *len);

/* Any thread: run is called on the loop's thread, in the order posted, exactly once. */
void loop_post(struct loop *loop, struct loop_task *task);

#endif
