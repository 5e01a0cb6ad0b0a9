/* A session's turn of talk: what the child's day allows, what of its words may leave the server,
 * who answers, and what of that may be said. Whatever goes wrong in here ends in words of our own,
 * never in those that were not judged. docs/processors.md and docs/safety.md describe it from
 * outside. */
#ifndef MIND_MIND_H
#define MIND_MIND_H

#include "process/process.h"
#include "store/store.h"

struct alerts;
struct mind;
struct minds;
struct safety;

/* A word that is not set is NULL. */
struct mind_config {
    const struct process *process;       /* who answers */
    const struct process *fallback;      /* in place of a backend that cannot; NULL: nobody */
    const struct processes *processes;   /* those that a toy may have as its own; NULL: none */
    const struct safety *safety;         /* NULL: nothing is judged. For tests alone */
    struct store *store;                 /* NULL: nothing is kept, and no day has an end */
    struct alerts *alerts;               /* NULL: they are told in the log and the audit trail */
    bool memory;                         /* of children whose profile does not say */
    bool blocked_words;                  /* what was said then is kept for parents */
    unsigned memory_turns, memory_bytes; /* of a pair of toy and child */
    const char *prompt_file;             /* a template; NULL: the one built in */
    struct {
        const char *url, *model, *key_file; /* url NULL: there is none */
        uint32_t late_ms;                   /* a verdict must come within */
        const char *ca_file, *proxy;
    } moderation;
};

/* What all sessions share. TEDDY_EINVAL: err says why. Before threads, as are start and stop. */
TEDDY_MUST_CHECK int minds_open(const struct mind_config *config, struct minds **out, char *err,
                                size_t cap);
TEDDY_MUST_CHECK int minds_start(struct minds *minds, struct loop *loop);
/* The loop has stopped and is freed next; minds may still be cancelled and freed. */
void minds_stop(struct minds *minds, struct loop *loop);
void minds_close(struct minds *minds); /* all are gone. NULL is fine */
/* A profile or a toy's processor was changed: each mind reads its own again. Threads: any. */
void minds_changed(struct minds *minds);
/* The echo is all there is to be said: no mind is needed. */
bool minds_echo_only(const struct minds *minds);

/* One session's, on its loop, on which all else of it happens. who outlives it; sid: the token
 * family under which it writes. */
TEDDY_MUST_CHECK int mind_new(struct minds *minds, struct loop *loop,
                              const struct process_session *who, const uint8_t sid[STORE_JTI_LEN],
                              struct mind **out);
/* What was said (valid UTF-8) is answered, at once or later; text and sink stay until done, fail or
 * cancel, and it is asked again only then. */
void mind_utter(struct mind *m, struct span text, bool overheard, struct process_sink *sink);
/* What was said while another utterance is being answered, or is refused: what may mean danger does
 * not wait for its turn, which it may never get. Of what is too long to be judged, the beginning
 * (SAFETY_IN_MAX) is. True: an alert is raised, and is not when it is uttered with `overheard`. */
bool mind_overhear(struct mind *m, struct span text);
void mind_cancel(struct mind *m);
void mind_free(struct mind *m); /* NULL is fine */

#endif
