#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/internal.h"
#include "net/wheel.h"

/* The wheel under a clock of the test's own. */

enum { TIMERS = 3000 };

struct probe {
    struct loop_timer timer;
    unsigned fired;
    uint64_t fired_at;
};

static uint64_t wheel_now;

static void probe_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct probe *p = CONTAINER(timer, struct probe, timer);
    assert_null(timer->prev);
    assert_true(timer->at_ms <= wheel_now); /* never early */
    p->fired++;
    p->fired_at = wheel_now;
}

static uint64_t pick(uint64_t below)
{
    return ((uint64_t)(unsigned)rand() << 20 ^ (uint64_t)(unsigned)rand()) % below;
}

/* Steps to exactly the moments the wheel asks for: every timer must then fire within one tick of
 * its time. */
static void fires_each_once_in_time(void **state)
{
    (void)state;
    static struct probe probes[TIMERS];
    static const uint64_t spans[] = {50, 1000, 70000, 5000000, 90000000, 400000000};
    struct wheel *w = malloc(sizeof *w);
    memset(probes, 0, sizeof probes);
    wheel_now = 123456789;
    wheel_init(w, wheel_now);
    for (size_t i = 0; i < TIMERS; i++) {
        probes[i].timer.fire = probe_fire;
        wheel_set(w, &probes[i].timer, wheel_now + pick(spans[i % 6]));
    }
    for (size_t i = 0; i < TIMERS; i += 7)
        wheel_unset(&probes[i].timer);
    for (size_t i = 1; i < TIMERS; i += 7) /* moved */
        wheel_set(w, &probes[i].timer, wheel_now + pick(100000));
    uint64_t next;
    while ((next = wheel_next_ms(w)) != UINT64_MAX) {
        assert_true(next > wheel_now);
        wheel_now = next;
        wheel_advance(w, NULL, wheel_now);
    }
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(probes[i].fired, i % 7 == 0 ? 0 : 1);
        if (probes[i].fired)
            assert_true(probes[i].fired_at - probes[i].timer.at_ms < 2 * WHEEL_TICK_MS);
    }
    free(w);
}

static void catches_up_after_a_long_sleep(void **state)
{
    (void)state;
    struct wheel *w = malloc(sizeof *w);
    struct probe p[3] = {{.timer = {.fire = probe_fire}},
                         {.timer = {.fire = probe_fire}},
                         {.timer = {.fire = probe_fire}}};
    wheel_now = 1000;
    wheel_init(w, wheel_now);
    wheel_set(w, &p[0].timer, 500); /* already past */
    wheel_set(w, &p[1].timer, 3600000);
    wheel_set(w, &p[2].timer, UINT64_MAX);
    wheel_now = 7200000;
    wheel_advance(w, NULL, wheel_now);
    assert_int_equal(p[0].fired, 1);
    assert_int_equal(p[1].fired, 1);
    assert_int_equal(p[2].fired, 0);
    wheel_unset(&p[2].timer);
    wheel_unset(&p[2].timer);
    free(w);
}

/* A timer's callback may unset the neighbours that are due with it, and set itself again. */

static struct probe trio[3];
static struct wheel *trio_wheel;

static void fire_alone(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    CONTAINER(timer, struct probe, timer)->fired++;
    for (size_t i = 0; i < 3; i++)
        wheel_unset(&trio[i].timer);
    wheel_set(trio_wheel, timer, 0);
}

static void unsets_neighbours_while_firing(void **state)
{
    (void)state;
    trio_wheel = malloc(sizeof *trio_wheel);
    wheel_init(trio_wheel, 0);
    memset(trio, 0, sizeof trio);
    for (size_t i = 0; i < 3; i++) {
        trio[i].timer.fire = fire_alone;
        wheel_set(trio_wheel, &trio[i].timer, 160);
    }
    wheel_advance(trio_wheel, NULL, 160);
    assert_int_equal(trio[0].fired + trio[1].fired + trio[2].fired, 1);
    wheel_advance(trio_wheel, NULL, 160 + 5 * WHEEL_TICK_MS); /* one per tick, not without end */
    assert_int_equal(trio[0].fired + trio[1].fired + trio[2].fired, 6);
    free(trio_wheel);
}

/* The loop itself. */

enum { POSTERS = 4, POSTS = 2000 };

struct post {
    struct loop_task task;
    unsigned poster, n;
};

static unsigned posted_next[POSTERS], posted_total;

static void post_run(struct loop *loop, struct loop_task *task)
{
    struct post *p = CONTAINER(task, struct post, task);
    assert_int_equal(p->n, posted_next[p->poster]); /* in order, once */
    posted_next[p->poster]++;
    if (++posted_total == POSTERS * POSTS)
        loop_stop(loop);
    free(p);
}

struct poster {
    struct loop *loop;
    unsigned index;
};

static void *poster_main(void *arg)
{
    struct poster *me = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        struct post *p = calloc(1, sizeof *p);
        p->task.run = post_run;
        p->poster = me->index;
        p->n = i;
        loop_post(me->loop, &p->task);
    }
    return NULL;
}

static void runs_posted_tasks_once_in_order(void **state)
{
    (void)state;
    struct loop *loop;
    pthread_t threads[POSTERS];
    struct poster posters[POSTERS];
    assert_int_equal(loop_new(&loop, 3), TEDDY_OK);
    assert_int_equal(loop_index(loop), 3);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){loop, i};
        pthread_create(&threads[i], NULL, poster_main, &posters[i]);
    }
    loop_run(loop);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(posted_total, POSTERS * POSTS);
    loop_free(loop);
}

static unsigned freed_runs;

static void count_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    (void)task;
    freed_runs++;
}

static void free_runs_what_is_pending(void **state)
{
    (void)state;
    struct loop *loop;
    struct loop_task a = {.run = count_run}, b = {.run = count_run};
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    loop_post(loop, &a);
    loop_defer(loop, &b);
    loop_free(loop);
    loop_free(NULL);
    assert_int_equal(freed_runs, 2);
}

/* Two descriptors ready in the same round, the first of which takes the second away. */

static struct loop_io ends[2];
static unsigned ready_count;
static struct loop_task last;
static bool deferred_ran;

static void stop_run(struct loop *loop, struct loop_task *task)
{
    (void)task;
    assert_int_equal(ready_count, 1); /* after all descriptors */
    deferred_ran = true;
    loop_stop(loop);
}

static void take_other(struct loop *loop, struct loop_io *io, uint32_t events)
{
    assert_int_equal(events, LOOP_READ);
    ready_count++;
    loop_io_del(loop, io == &ends[0] ? &ends[1] : &ends[0]);
    last.run = stop_run;
    loop_defer(loop, &last);
}

static void deleted_io_hears_nothing(void **state)
{
    (void)state;
    struct loop *loop;
    int a[2], b[2];
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    ends[0] = (struct loop_io){.fd = a[0], .ready = take_other};
    ends[1] = (struct loop_io){.fd = b[0], .ready = take_other};
    assert_int_equal(loop_io_add(loop, &ends[0], LOOP_READ), TEDDY_OK);
    assert_int_equal(loop_io_add(loop, &ends[1], LOOP_READ), TEDDY_OK);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    loop_run(loop);
    assert_true(deferred_ran);
    loop_free(loop);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

/* Two that are ready at once and take a millisecond each: what the first left does not wait for the
 * second. */

static struct loop_task left_behind;
static unsigned slow_count, slow_before;

static void see_how_many(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    (void)task;
    slow_before = slow_count;
}

static void be_slow(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct timespec begin, now;
    (void)events;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < 1000000);
    if (slow_count++ == 0) {
        left_behind.run = see_how_many;
        loop_defer(loop, &left_behind);
    } else {
        loop_stop(loop);
    }
    loop_io_del(loop, io);
}

static void a_long_round_gathers_no_longer(void **state)
{
    (void)state;
    struct loop *loop;
    struct loop_io slow[2];
    int a[2], b[2];
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    slow[0] = (struct loop_io){.fd = a[0], .ready = be_slow};
    slow[1] = (struct loop_io){.fd = b[0], .ready = be_slow};
    assert_int_equal(loop_io_add(loop, &slow[0], LOOP_READ), TEDDY_OK);
    assert_int_equal(loop_io_add(loop, &slow[1], LOOP_READ), TEDDY_OK);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    loop_run(loop);
    assert_int_equal(slow_count, 2);
    assert_int_equal(slow_before, 1);
    loop_free(loop);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

/* What runs in a round, in its order: l light, h heavy, a what the heavy left for its end. */

static char order[8];
static struct loop_task after;

static void note(char what)
{
    order[strlen(order)] = what;
}

static void after_run(struct loop *loop, struct loop_task *task)
{
    (void)task;
    note('a');
    loop_stop(loop);
}

static void heavy_run(struct loop *loop, struct loop_task *task)
{
    (void)task;
    note('h');
    after.run = after_run;
    loop_defer(loop, &after);
}

static void light_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    (void)task;
    note('l');
}

static void the_light_goes_before_the_heavy(void **state)
{
    (void)state;
    struct loop *loop;
    struct loop_task heavy = {.run = heavy_run}, light = {.run = light_run};
    memset(order, 0, sizeof order);
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    loop_defer_heavy(loop, &heavy);
    loop_defer(loop, &light);
    loop_run(loop);
    assert_string_equal(order, "lha");
    loop_free(loop);
}

static uint64_t real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void stop_fire(struct loop *loop, struct loop_timer *timer)
{
    assert_true(real_ms() >= timer->at_ms);
    loop_stop(loop);
}

static void a_timer_wakes_a_sleeping_loop(void **state)
{
    (void)state;
    struct loop *loop;
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    struct loop_timer t = {.fire = stop_fire};
    loop_timer_set(loop, &t, loop_now_ms(loop) + 60);
    loop_run(loop);
    assert_true(real_ms() - t.at_ms < 20000);
    loop_free(loop);
}

/* What is told of rounds: each that has ended, also when the next one comes without a wait. */

enum { SPIN_US = 3000, HEAVY_RUNS = 3 };

struct told {
    struct loop_task light, heavy;
    struct loop_timer end;
    unsigned heavy_runs, rounds, rounds_at_end;
    uint64_t least_us;
};

static struct told told;

static void count_round(struct loop *loop, uint64_t us)
{
    (void)loop;
    told.rounds++;
    told.least_us = us < told.least_us ? us : told.least_us;
}

static void spin(void)
{
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 <= SPIN_US);
}

static void work_on(struct loop *loop, struct loop_task *task)
{
    spin();
    if (task == &told.light || ++told.heavy_runs < HEAVY_RUNS)
        loop_defer_heavy(loop, &told.heavy);
    else
        loop_timer_set(loop, &told.end, loop_now_ms(loop) + 20);
}

static void end_fires(struct loop *loop, struct loop_timer *timer)
{
    (void)timer;
    told.rounds_at_end = told.rounds;
    loop_stop(loop);
}

static void tells_how_long_each_round_took(void **state)
{
    static const struct loop_watch watch = {.round = count_round};
    struct loop *loop;
    (void)state;
    told = (struct told){
        .light.run = work_on, .heavy.run = work_on, .end.fire = end_fires, .least_us = UINT64_MAX};
    assert_int_equal(loop_new(&loop, 0), TEDDY_OK);
    loop_set_watch(loop, &watch);
    loop_post(loop, &told.light);
    loop_run(loop);
    /* The posted task and the first heavy one had the first round. */
    assert_int_equal(told.rounds_at_end, HEAVY_RUNS);
    assert_true(told.least_us >= SPIN_US);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_each_once_in_time),
        cmocka_unit_test(catches_up_after_a_long_sleep),
        cmocka_unit_test(unsets_neighbours_while_firing),
        cmocka_unit_test(runs_posted_tasks_once_in_order),
        cmocka_unit_test(free_runs_what_is_pending),
        cmocka_unit_test(deleted_io_hears_nothing),
        cmocka_unit_test(a_long_round_gathers_no_longer),
        cmocka_unit_test(the_light_goes_before_the_heavy),
        cmocka_unit_test(a_timer_wakes_a_sleeping_loop),
        cmocka_unit_test(tells_how_long_each_round_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
