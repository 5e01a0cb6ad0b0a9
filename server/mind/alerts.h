/* Alerts on their way to the operator: what may mean a child in danger is POSTed, signed as
 * requests of processor webhook are, from the store's outbox, until the other side takes it. */
#ifndef MIND_ALERTS_H
#define MIND_ALERTS_H

#include "store/store.h"

struct alerts;
struct loop;

struct alerts_config {
    struct store *store;
    const char *url, *secret_file; /* secret_file NULL: a credential */
    const char *ca_file, *proxy;   /* NULL: as for backends */
};

/* TEDDY_EINVAL: err says why. Before threads, as are start and stop. */
TEDDY_MUST_CHECK int alerts_open(const struct alerts_config *config, struct alerts **out, char *err,
                                 size_t cap);
/* On one loop, where all of it happens from then on: those that wait are sent first. */
TEDDY_MUST_CHECK int alerts_start(struct alerts *a, struct loop *loop);
/* There is one more. Threads: any. */
void alerts_nudge(struct alerts *a);
void alerts_stop(struct alerts *a);  /* before its loop is freed. NULL is fine, here and below */
void alerts_close(struct alerts *a); /* behind it */

#endif
