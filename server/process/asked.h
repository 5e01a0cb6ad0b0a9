/* What a backend is asked, as JSON. */
#ifndef PROCESS_ASKED_H
#define PROCESS_ASKED_H

#include "process/process.h"

#define SPEAKER_LEN 16 /* hex digits */

struct chat_words {
    const char *model, *prompt; /* prompt: when the turn has no system prompt */
    double temperature;         /* negative: not said */
    uint32_t max_tokens;        /* 0: not said */
};

/* The body of a streamed chat completion; NULL: out of memory. Free it with asked_free. */
char *asked_chat(const struct chat_words *words, const struct process_turn *turn);
/* {"id", "speaker", "text", "profile", "history"}, of what is known; for our own backends. */
char *asked_turn(const char *id, const char *speaker, const struct process_turn *turn);
void asked_free(char *json); /* wiped */

/* The name under which our own backends know a toy with its child: always the same under one key,
 * and telling nothing of the ids. */
void speaker_name(const char *key, const struct process_session *who, char out[SPEAKER_LEN + 1]);

#endif
