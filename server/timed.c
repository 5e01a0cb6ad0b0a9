/* The rooms below know no metrics: they tell, and here it is counted. */
#include "ops/metrics.h"
#include "teddyd.h"

static void round_took(struct loop *loop, uint64_t us)
{
    histogram_add_us(loop_index(loop), HISTOGRAM_LOOP_LAG, us);
}

static void handshake_took(struct loop *loop, uint64_t ms, bool ok)
{
    if (ok)
        histogram_add(loop_index(loop), HISTOGRAM_HANDSHAKE, ms);
    else
        metric_add(loop_index(loop), METRIC_HANDSHAKES_FAILED, 1);
}

const struct loop_watch timed_loop = {.round = round_took, .handshake = handshake_took};

void timed_commit(uint64_t us)
{
    histogram_add_us(METRIC_WRITER, HISTOGRAM_COMMIT, us);
}
