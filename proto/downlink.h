/* The id of a message to a toy (docs/protocol.md, "Messages"): `epoch.n`, two decimal numbers. A
 * later message of the same toy has the greater id. Threads: any (no state). Blocks: no.
 * Allocates: no. */
#ifndef PROTO_DOWNLINK_H
#define PROTO_DOWNLINK_H

#include "proto/span.h"
#include "proto/writer.h"
#include "teddy/err.h"

#define DOWNLINK_PART_MAX (UINT32_MAX - 1) /* of epoch and of n */
#define DOWNLINK_ID_TEXT  22               /* bytes of the longest, with its NUL */

/* 0.0, which no message has, stands for none. */
struct downlink_id {
    uint32_t epoch, n;
};

/* TEDDY_EPROTO, and *out is 0.0, when text is not two numbers of digits alone with one dot between,
 * neither over DOWNLINK_PART_MAX and neither written with a zero ahead: each id has one spelling.
 */
TEDDY_MUST_CHECK int downlink_id_parse(struct span text, struct downlink_id *out);
void downlink_id_write(struct writer *w, const struct downlink_id *id);
/* Negative, 0 or positive, as a comes before b, is b, or comes behind it. */
int downlink_id_compare(const struct downlink_id *a, const struct downlink_id *b);

#endif
