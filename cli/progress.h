/* Progress of long work: a line of stderr that is drawn over, on a terminal alone, and not with
 * --quiet or --json. A signal that ends the program, as Ctrl-C does, finds the line cleared. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct ctl;

/* Threads: one at a time. */
struct progress {
    bool shown, drawn, busy;
    const char *what;      /* the step that is being done; each has its own rate */
    const char *unit;      /* of done and all: "bytes" are written as MB */
    struct timespec begun; /* the step */
    struct timespec last;  /* as drawn */
    uint64_t at_begin;
    unsigned calls;
    /* While nothing is known of how far it is: a thread that shows the time it takes. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

struct progress progress_begin(const struct ctl *ctl, const char *unit);
/* Draws bar, rate and time left, ten times a second at most. */
void progress_show(struct progress *p, const char *what, uint64_t done, uint64_t all);
/* Of what cannot say how far it is, until progress_end. p must stay where it is. */
void progress_busy(struct progress *p, const char *what);
/* Clears the line. */
void progress_end(struct progress *p);

#endif
