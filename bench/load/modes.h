/* The modes: each runs to its end, prints its result, and returns the exit status. */
#ifndef LOAD_MODES_H
#define LOAD_MODES_H

#include "bench/load/options.h"

int echo_run(const struct options *o);
int idle_run(const struct options *o);
int handshake_run(const struct options *o);
int claims_run(const struct options *o);
int storm_run(const struct options *o);
int talk_run(const struct options *o);

#endif
