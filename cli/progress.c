#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ctl.h"

#define WIDTH   30
#define DRAW_NS 100000000

/* Whether a line stands on the terminal: who ends this program by a signal finds it cleared. */
static volatile sig_atomic_t line_stands;

/* Set for once, so that the signal, raised again, does what it does without us. */
static void on_end(int number)
{
    static const char clear[] = "\r\033[K";

    if (line_stands && write(STDERR_FILENO, clear, sizeof clear - 1) < 0)
        line_stands = 0; /* nothing is to be done about it */
    (void)raise(number);
}

/* What the caller has ignored, as nohup does, stays ignored. */
static void clear_at_end(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND}, old;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(numbers[i], &act, NULL);
}

struct progress progress_begin(const struct ctl *ctl, const char *unit)
{
    const char *term = getenv("TERM");
    bool shown = isatty(STDERR_FILENO) == 1 && !ctl->quiet && !ctl->json &&
                 (term == NULL || strcmp(term, "dumb") != 0);

    if (shown)
        clear_at_end();
    return (struct progress){.shown = shown, .unit = unit};
}

static double since(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + 1e-9 * (double)(to->tv_nsec - from->tv_nsec);
}

static void rate_text(const struct progress *p, double rate, char out[48])
{
    if (strcmp(p->unit, "bytes") == 0)
        (void)snprintf(out, 48, "%.1f MB/s", rate / 1e6);
    else
        (void)snprintf(out, 48, "%.0f %s/s", rate, p->unit);
}

static void draw(struct progress *p, uint64_t done, uint64_t all, double seconds)
{
    char bar[WIDTH + 1], rate[48] = "", left[48] = "";
    double part = all > 0 && done < all ? (double)done / (double)all : 1;
    double moved = done > p->at_begin ? (double)(done - p->at_begin) : 0;

    memset(bar, '.', WIDTH);
    memset(bar, '#', (size_t)(part * WIDTH));
    bar[WIDTH] = '\0';
    if (seconds > 0 && moved > 0) {
        double eta = (double)(all > done ? all - done : 0) * seconds / moved;
        rate_text(p, moved / seconds, rate);
        (void)snprintf(left, sizeof left, ", %.0f:%02d left", (double)((long)eta / 60),
                       (int)((long)eta % 60));
    }
    line_stands = 1;
    (void)fprintf(stderr, "\r[%s] %3d%% %s %s%s\033[K", bar, (int)(part * 100), p->what, rate,
                  left);
    p->drawn = true;
}

void progress_show(struct progress *p, const char *what, uint64_t done, uint64_t all)
{
    struct timespec now;
    bool step = p->what == NULL || strcmp(p->what, what) != 0;

    if (!p->shown || (!step && done < all && all > 1000 && ++p->calls % 16 != 0))
        return;
    if (p->busy)
        progress_end(p);
    step = p->what == NULL || strcmp(p->what, what) != 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (step) {
        p->what = what;
        p->begun = now;
        p->at_begin = done;
    } else if (done < all && since(&p->last, &now) < 1e-9 * DRAW_NS) {
        return;
    }
    p->last = now;
    draw(p, done, all, since(&p->begun, &now));
}

static void *watch(void *arg)
{
    static const char turns[] = "|/-\\";
    struct progress *p = arg;
    struct timespec now, until;

    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; p->busy; i++) {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        line_stands = 1;
        (void)fprintf(stderr, "\r%c %s, %.0f s\033[K", turns[i % 4], p->what,
                      since(&p->begun, &now));
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += DRAW_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&p->wake, &p->lock, &until);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

void progress_busy(struct progress *p, const char *what)
{
    if (!p->shown || p->busy)
        return;
    p->what = what;
    (void)clock_gettime(CLOCK_MONOTONIC, &p->begun);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->wake, NULL);
    p->busy = true;
    if (pthread_create(&p->thread, NULL, watch, p) != 0) {
        p->busy = false;
        return;
    }
    p->drawn = true;
}

void progress_end(struct progress *p)
{
    if (p->busy) {
        (void)pthread_mutex_lock(&p->lock);
        p->busy = false;
        (void)pthread_cond_signal(&p->wake);
        (void)pthread_mutex_unlock(&p->lock);
        (void)pthread_join(p->thread, NULL);
        (void)pthread_cond_destroy(&p->wake);
        (void)pthread_mutex_destroy(&p->lock);
    }
    if (p->drawn)
        (void)fputs("\r\033[K", stderr);
    line_stands = 0;
    p->drawn = false;
    p->what = NULL;
}
