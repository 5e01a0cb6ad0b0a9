/* The usual event of a streamed chat completion, read where it lies: an answer of a hundred words
 * has a hundred of them, which differ in a word. */
#ifndef PROCESS_DELTA_H
#define PROCESS_DELTA_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/span.h"

#define DELTA_ROOM 512
#define DELTA_FORM 384

/* What stood before and behind the words of the last event. The next one mostly differs in them
 * alone, and then needs no reading but theirs. All zero: none yet. */
struct delta_form {
    size_t before, behind;
    char text[DELTA_FORM]; /* before, then behind */
};

/* True: json is a `chat.completion.chunk` of one choice, the first, without an error; *text is its
 * content, valid UTF-8, in json or in room, or empty; *done: it says that the answer ends here, as
 * a whole. False: it is anything else, an error, an answer broken off, or wrong, and is to be read
 * in full. Threads: any. Allocates: no. */
bool delta_read(struct delta_form *form, struct span json, char room[DELTA_ROOM], struct span *text,
                bool *done);

#endif
