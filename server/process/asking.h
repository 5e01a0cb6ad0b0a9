/* Asking by HTTP: what chat and webhook have in common. */
#ifndef PROCESS_ASKING_H
#define PROCESS_ASKING_H

#include "process/answer.h"
#include "process/caller.h"

#define ASKING_LOOPS_MAX   64
#define ASKING_HEADERS_MAX 6

struct asking;

/* A request being made; room holds what headers point to. */
struct asking_request {
    char *body;                              /* taken over by asked_free */
    const char *headers[ASKING_HEADERS_MAX]; /* up to NULL */
    char room[256];
};

/* A processor that asks by HTTP; first in its own struct. */
struct asking {
    enum caller_kind kind;
    enum answer_kind answers;
    char *url;
    /* False: out of memory. */
    bool (*write)(struct asking *a, const struct process_session *who,
                  const struct process_turn *turn, struct asking_request *out);
    struct process_config config;
    struct asking_loop *loops[ASKING_LOOPS_MAX]; /* each its own loop's */
};

/* The operations of struct processor; open and close are the processor's own, which call these
 * two. The struct and its url are on the heap; config's words outlive it. */
TEDDY_MUST_CHECK int asking_open(struct asking *a, const struct process_config *config, char *err,
                                 size_t cap);
void asking_close(struct asking *a);
TEDDY_MUST_CHECK int asking_start(void *shared, struct loop *loop);
void asking_stop(void *shared, struct loop *loop);
TEDDY_MUST_CHECK int asking_session_new(void *shared, struct loop *loop,
                                        const struct process_session *who, void **session);
void asking_session_free(void *session);
void asking_utter(void *session, const struct process_turn *turn, struct process_sink *sink);
void asking_cancel(void *session);

#endif
