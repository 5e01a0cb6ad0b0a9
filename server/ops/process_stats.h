/* What the system knows of this process, under the names that every Prometheus client uses. */
#ifndef OPS_PROCESS_STATS_H
#define OPS_PROCESS_STATS_H

#include <stdio.h>

/* The process_* families in Prometheus' text format; one that the system does not tell is left out.
 * Threads: any. */
void process_stats_write(FILE *out);

#endif
