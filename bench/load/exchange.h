/* JSON posted over one connection that is kept alive, one request at a time. */
#ifndef LOAD_EXCHANGE_H
#define LOAD_EXCHANGE_H

#include "bench/load/transport.h"
#include "proto/span.h"

struct exchange;

struct exchange_events {
    void (*ready)(struct exchange *x);
    /* The answer; body is good during the call. The next may be posted at once. */
    void (*answer)(struct exchange *x, int status, struct span body);
    void (*ended)(struct exchange *x, const char *why); /* closed, or what came is no answer */
};

struct exchange {
    struct transport transport; /* first */
    const struct exchange_events *events;
    void *user;
    bool waiting; /* for an answer */
};

void exchange_init(struct exchange *x, struct dialer *d, const struct exchange_events *events,
                   void *user);
void exchange_fini(struct exchange *x);
bool exchange_open(struct exchange *x);
/* False: lost; ended comes. */
bool exchange_post(struct exchange *x, const char *path, struct span body);

/* True when the body is a pair of tokens of the right form, as claim and refresh answer it; they
 * point into body. */
bool exchange_tokens(struct span body, struct span *access, struct span *refresh);

#endif
