/* What is said, and what must come back: bytes that depend on the connection and on the message's
 * number, so that one mixed up, cut, or of another connection is noticed. */
#ifndef LOAD_PAYLOAD_H
#define LOAD_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"

struct payload {
    uint32_t size;
    char *pattern, *said;
};

bool payload_init(struct payload *p, uint32_t size);
void payload_fini(struct payload *p);
/* Message n (from 1) of that connection, size bytes; good until the next call. ASCII that JSON
 * writes as it is. */
const char *payload_make(struct payload *p, uint32_t connection, uint64_t n);
/* True when `got` is that message: as it was said, or, with teddy, as the echo of a session
 * ({"type":"echo","seq":n,…}), members in any order. */
bool payload_is(struct payload *p, uint32_t connection, uint64_t n, bool teddy, struct span got);

#endif
