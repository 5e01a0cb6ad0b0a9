/* The usual event of a streamed chat completion, read where it lies: an answer of a hundred words
 * has a hundred of them, which differ in a word. */
#ifndef PROCESS_DELTA_H
#define PROCESS_DELTA_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/span.h"

#define DELTA_ROOM 512

/* True: json is a `chat.completion.chunk` of one choice, the first, that goes on, without an error;
 * *text is its content, valid UTF-8, in json or in room, or empty. False: it is anything else, an
 * error or its last event, or wrong, and is to be read in full. Threads: any. Allocates: no. */
bool delta_read(struct span json, char room[DELTA_ROOM], struct span *text);

#endif
