/* What answers an utterance. A processor implements struct processor in one file and is listed in
 * process.c. It gets one utterance of a session at a time and emits its answer in parts, at once or
 * later, on the session's loop. */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"
#include "teddy/err.h"

/* Where an answer goes, and the time. Embedded in the session's own struct, valid until done,
 * cancel or session_free. */
struct process_sink {
    /* One part of the answer (UTF-8, may be empty when done); done ends it. Exactly one done or
     * fail per utterance. */
    void (*reply)(struct process_sink *sink, struct span text, bool done);
    /* The utterance cannot be answered: code is machine-readable ("internal", …). */
    void (*fail)(struct process_sink *sink, const char *code, const char *detail);
    /* Calls the processor's `wake` for this session after delay_ms; one at a time, cancel unsets
     * it. */
    void (*wake_after)(struct process_sink *sink, uint32_t delay_ms);
};

struct process_config {
    const char *rules_path; /* script: the rule file; NULL for the one built in */
};

struct processor {
    const char *name;
    bool echo_only; /* nothing beyond the echo: the echo itself carries done:true, and none of the
                       functions below is called */
    /* Once at start. TEDDY_EINVAL with err naming file and line. *shared is read-only afterwards,
     * used by all loops. */
    int (*open)(const struct process_config *config, void **shared, char *err, size_t cap);
    void (*close)(void *shared);
    /* State of one session (its memory of the child's words goes with it). Made at the first
     * utterance. */
    int (*session_new)(void *shared, void **session);
    void (*session_free)(void *session);
    void (*utter)(void *session, struct span text, struct process_sink *sink);
    void (*wake)(void *session, struct process_sink *sink);
    void (*cancel)(
        void *session); /* the present utterance is given up; nothing more is emitted for it */
};

/* By name, or NULL. */
const struct processor *processor_find(const char *name);

#endif
