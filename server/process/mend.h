/* JSON as models write it: characters cut in half between two pieces, halves of surrogate pairs.
 * What is no character becomes U+FFFD, so that the rest can be read. */
#ifndef PROCESS_MEND_H
#define PROCESS_MEND_H

#include "process/lines.h"

/* *out is json when there is nothing to mend, else in *room, valid until that changes. Bytes that
 * are not UTF-8, escapes of lone surrogates and of NUL are replaced. TEDDY_ENOMEM. */
TEDDY_MUST_CHECK int json_mend(struct span json, struct buffer *room, struct span *out);

#endif
