#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "net/internal.h"
#include "net/wheel.h"

enum {
    EVENTS_PER_ROUND = 256,
    SCRATCH_LEN = 64 * 1024,
    /* What gathers at the beginning of a long round does not wait for its end: words of a child
     * take a hundred times what an echo does, and what so many have received is still in the
     * processor's cache when it is sent. */
    GATHER_US = 500,
    GATHER_EVENTS = 64,
};

struct task_list {
    struct loop_task *first, **end;
};

struct loop {
    unsigned index;
    int epoll_fd, wake_fd;
    uint64_t now_us, now_ms;        /* the same moment */
    const struct loop_watch *watch; /* NULL: nobody's */
    bool in_round;                  /* whose end has not been told yet */
    atomic_bool stop;
    bool draining;
    struct loop_conns conns;
    struct task_list deferred;
    struct task_list heavy;
    pthread_mutex_t inbox_lock; /* inbox */
    struct task_list inbox;
    struct epoll_event
        events[EVENTS_PER_ROUND]; /* of this round, those from event_at on not delivered yet */
    int event_at, event_count;
    struct wheel wheel;
    uint8_t scratch[SCRATCH_LEN];
};

static void tasks_init(struct task_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static bool tasks_add(struct task_list *list, struct loop_task *task)
{
    bool was_empty = !list->first;
    task->next = NULL;
    *list->end = task;
    list->end = &task->next;
    return was_empty;
}

static struct loop_task *tasks_take(struct task_list *list)
{
    struct loop_task *first = list->first;
    tasks_init(list);
    return first;
}

static bool tasks_run(struct loop *loop, struct loop_task *task)
{
    bool any = task != NULL;
    while (task) {
        struct loop_task *next = task->next; /* run may free or queue the task again */
        task->run(loop, task);
        task = next;
    }
    return any;
}

static uint64_t clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void set_now(struct loop *loop, uint64_t us)
{
    loop->now_us = us;
    loop->now_ms = us / 1000;
}

static void round_ended(struct loop *loop, uint64_t now_us)
{
    if (loop->in_round && loop->watch)
        loop->watch->round(loop, now_us - loop->now_us);
    loop->in_round = false;
}

/* A peer that resets while we write must not end the process; OpenSSL writes without MSG_NOSIGNAL.
 */
static void ignore_sigpipe(void)
{
    struct sigaction act;
    if (sigaction(SIGPIPE, NULL, &act) == 0 && act.sa_handler == SIG_DFL) {
        act.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &act, NULL);
    }
}

int loop_new(struct loop **out, unsigned index)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return TEDDY_ENOMEM;
    ignore_sigpipe();
    loop->index = index;
    set_now(loop, clock_us());
    wheel_init(&loop->wheel, loop->now_ms);
    tasks_init(&loop->deferred);
    tasks_init(&loop->heavy);
    tasks_init(&loop->inbox);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        goto after_alloc;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0)
        goto after_epoll;
    struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = NULL}}; /* no io: the inbox */
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) != 0)
        goto after_eventfd;
    if (pthread_mutex_init(&loop->inbox_lock, NULL) != 0)
        goto after_eventfd;
    *out = loop;
    return TEDDY_OK;

after_eventfd:
    close(loop->wake_fd);
after_epoll:
    close(loop->epoll_fd);
after_alloc:
    free(loop);
    return TEDDY_EIO;
}

static struct loop_task *inbox_take(struct loop *loop)
{
    pthread_mutex_lock(&loop->inbox_lock);
    struct loop_task *first = tasks_take(&loop->inbox);
    pthread_mutex_unlock(&loop->inbox_lock);
    return first;
}

static void run_pending(struct loop *loop)
{
    bool any;
    do {
        any = tasks_run(loop, inbox_take(loop));
        any = tasks_run(loop, tasks_take(&loop->heavy)) || any;
        any = tasks_run(loop, tasks_take(&loop->deferred)) || any;
    } while (any);
}

static void abort_one(struct conn *c, void *arg)
{
    (void)arg;
    conn_abort(c);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    loop_conns_stop(&loop->conns); /* thousands of a storm would hold up the end for seconds */
    run_pending(loop);
    conn_each(loop, abort_one, NULL);
    run_pending(loop);
    loop_conns_fini(&loop->conns);
    pthread_mutex_destroy(&loop->inbox_lock);
    close(loop->wake_fd);
    close(loop->epoll_fd);
    free(loop);
}

/* Milliseconds epoll may sleep. */
static int patience(struct loop *loop)
{
    if (loop->deferred.first || loop->heavy.first)
        return 0;
    uint64_t now_us = clock_us(), now = now_us / 1000, next = wheel_next_ms(&loop->wheel);
    round_ended(loop, now_us);
    if (next == UINT64_MAX)
        return -1;
    if (next <= now)
        return 0;
    return next - now > 3600000 ? 3600000 : (int)(next - now);
}

static void drain_wake(struct loop *loop)
{
    uint64_t count;
    ssize_t n = read(loop->wake_fd, &count, sizeof count);
    (void)n; /* EAGAIN when somebody else's wake was already taken: nothing to do */
}

static uint32_t from_epoll(uint32_t events)
{
    uint32_t out = 0;
    if (events & EPOLLIN)
        out |= LOOP_READ;
    if (events & EPOLLOUT)
        out |= LOOP_WRITE;
    return out;
}

static void deliver(struct loop *loop, const struct epoll_event *ev)
{
    struct loop_io *io = ev->data.ptr;
    if (!io)
        return;
    uint32_t events = from_epoll(ev->events) & io->events; /* asked for less since */
    if (ev->events & (EPOLLHUP | EPOLLERR))
        events |= LOOP_HANGUP;
    if (events & LOOP_READ) {
        io->unread = true;
        io->hung_up = (ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    }
    if (events)
        io->ready(loop, io, events);
}

static void deliver_all(struct loop *loop)
{
    uint64_t since_us = loop->now_us;
    for (loop->event_at = 0; loop->event_at < loop->event_count;) {
        struct epoll_event ev = loop->events[loop->event_at++];
        deliver(loop, &ev);
        uint64_t now_us = loop->deferred.first ? clock_us() : since_us;
        if (now_us - since_us >= GATHER_US || loop->event_at % GATHER_EVENTS == 0) {
            tasks_run(loop, tasks_take(&loop->deferred));
            since_us = now_us;
        }
    }
    loop->event_at = loop->event_count = 0;
}

static void loop_round(struct loop *loop)
{
    int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_ROUND, patience(loop));
    uint64_t now_us = clock_us();
    round_ended(loop, now_us); /* one that left work was not followed by a wait */
    set_now(loop, now_us);
    loop->in_round = true;
    loop->event_count = n > 0 ? n : 0;
    bool woken = false;
    for (int i = 0; i < loop->event_count; i++)
        woken |= !loop->events[i].data.ptr;
    if (woken)
        drain_wake(loop);
    deliver_all(loop);
    if (woken) /* whoever posts into an empty inbox wakes: no lock in a round without */
        tasks_run(loop, inbox_take(loop));
    wheel_advance(&loop->wheel, loop, loop->now_ms);
    tasks_run(loop, tasks_take(&loop->deferred)); /* the answers of the round leave here */
    if (tasks_run(loop, tasks_take(&loop->heavy)))
        tasks_run(loop, tasks_take(&loop->deferred));
}

void loop_run(struct loop *loop)
{
    while (!atomic_load_explicit(&loop->stop, memory_order_acquire))
        loop_round(loop);
    atomic_store(&loop->stop, false);
}

static void wake(struct loop *loop)
{
    const uint64_t one = 1;
    ssize_t n;
    do
        n = write(loop->wake_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

void loop_set_watch(struct loop *loop, const struct loop_watch *watch)
{
    loop->watch = watch;
}

const struct loop_watch *loop_watch(const struct loop *loop)
{
    return loop->watch;
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stop, true, memory_order_release);
    wake(loop);
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

static int control(struct loop *loop, struct loop_io *io, int op, uint32_t events)
{
    struct epoll_event ev = {.data = {.ptr = io}};
    if (events & LOOP_READ)
        ev.events |= EPOLLIN;
    if (events & LOOP_WRITE)
        ev.events |= EPOLLOUT;
    if (events & LOOP_SHARED)
        ev.events |= EPOLLEXCLUSIVE;
    if (events & LOOP_EDGE)
        ev.events |= EPOLLET | EPOLLRDHUP;
    if (epoll_ctl(loop->epoll_fd, op, io->fd, &ev) != 0)
        return TEDDY_EIO;
    io->events = (uint16_t)events;
    io->unread = false; /* what there is, is told now */
    return TEDDY_OK;
}

int loop_io_add(struct loop *loop, struct loop_io *io, uint32_t events)
{
    return control(loop, io, EPOLL_CTL_ADD, events);
}

int loop_io_mod(struct loop *loop, struct loop_io *io, uint32_t events)
{
    return control(loop, io, EPOLL_CTL_MOD, events);
}

void loop_io_del(struct loop *loop, struct loop_io *io)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    loop_io_forget(loop, io);
}

void loop_io_forget(struct loop *loop, struct loop_io *io)
{
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == io)
            loop->events[i].data.ptr = NULL;
}

/* By syscall: nobody cancels this thread, and to let it be cancelled the C library's recv and send
 * spend two locked instructions each once a process has threads. A sanitizer knows the library's:
 * which bytes they touch, and what one peer's write tells another. */
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
#define RECV(fd, buf, cap, flags)  recv(fd, buf, cap, flags)
#define SEND(fd, data, len, flags) send(fd, data, len, flags)
#else
#define RECV(fd, buf, cap, flags)  syscall(SYS_recvfrom, fd, buf, cap, flags, NULL, NULL)
#define SEND(fd, data, len, flags) syscall(SYS_sendto, fd, data, len, flags, NULL, 0)
#endif

ssize_t loop_recv(struct loop *loop, struct loop_io *io, void *buf, size_t cap)
{
    ssize_t n;
    (void)loop;
    do
        n = RECV(io->fd, buf, cap, 0);
    while (n < 0 && errno == EINTR);
    /* Less than asked for was all there was (epoll(7)); but the end behind it is not told again. */
    io->unread = n > 0 && ((size_t)n == cap || io->hung_up);
    return n;
}

ssize_t loop_send(struct loop *loop, struct loop_io *io, const void *data, size_t len, bool more)
{
    ssize_t n;
    (void)loop;
    do
        n = SEND(io->fd, data, len, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    while (n < 0 && errno == EINTR);
    return n;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms)
{
    wheel_set(&loop->wheel, timer, at_ms);
}

void loop_timer_unset(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    wheel_unset(timer);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    tasks_add(&loop->deferred, task);
}

void loop_defer_heavy(struct loop *loop, struct loop_task *task)
{
    tasks_add(&loop->heavy, task);
}

uint8_t *loop_scratch(struct loop *loop, size_t *len)
{
    *len = SCRATCH_LEN;
    return loop->scratch;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_lock(&loop->inbox_lock);
    bool was_empty = tasks_add(&loop->inbox, task);
    if (was_empty) /* inside the lock: once it is released the task may run and the loop be freed */
        wake(loop);
    pthread_mutex_unlock(&loop->inbox_lock);
}

void loop_set_draining(struct loop *loop)
{
    loop->draining = true;
}

bool loop_draining(const struct loop *loop)
{
    return loop->draining;
}

struct loop_conns *loop_conns(struct loop *loop)
{
    return &loop->conns;
}
