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

struct loop;

/* Where an answer goes, and the time. Embedded in the session's own struct, valid until done,
 * cancel or session_free. */
struct process_sink {
    /* One part of the answer (whole UTF-8 characters, split anywhere, may be empty when done); done
     * ends it. Exactly one done or fail per utterance. */
    void (*reply)(struct process_sink *sink, struct span text, bool done);
    /* The utterance cannot be answered: code is machine-readable ("internal", …), parts may have
     * been said before. The codes that begin with "backend_" ask for the fallback. */
    void (*fail)(struct process_sink *sink, const char *code, const char *detail);
    /* Calls the processor's `wake` for this session after delay_ms; one at a time, cancel unsets
     * it. */
    void (*wake_after)(struct process_sink *sink, uint32_t delay_ms);
};

/* fail codes of what asks somebody else. */
#define BACKEND_TIMEOUT "backend_timeout" /* it took too long */
#define BACKEND_DOWN    "backend_down"    /* not asked: it failed too often just now */
#define BACKEND_ERROR   "backend_error"   /* it refused, or what it said made no sense */
#define BACKEND_BUSY    "backend_busy"    /* not asked: too many are */

/* Whose session it is. */
struct process_session {
    const char *device, *child; /* ids; they outlive the session */
};

enum process_role { ROLE_USER, ROLE_ASSISTANT };

struct process_message {
    enum process_role role;
    struct span text;
};

struct process_profile {
    struct span name, language; /* empty: not known; language as BCP 47 writes it */
    unsigned age;               /* years; 0: not known */
};

/* What is to be answered; the caller's, unchanged until done, fail or cancel. */
struct process_turn {
    struct span text;                      /* valid UTF-8 */
    struct span system;                    /* empty: the processor's own prompt */
    const struct process_message *history; /* oldest first */
    size_t history_count;
    struct process_profile profile;
    bool broken_off; /* another processor's answer broke off after its first words: excuse it, and
                        do not answer anew. For the fallback only */
};

#define EXEC_WORKERS_MAX 64 /* as the configuration allows */

/* A word of the configuration that is not set is NULL. */
struct process_config {
    unsigned loops;
    struct {
        const char *rules_path; /* NULL: the rules built in */
    } script;
    struct {
        const char *url, *model;
        const char *key_file;    /* NULL: no key, unless there is a credential */
        const char *temperature; /* a decimal; NULL: the backend's own */
        uint32_t max_tokens;     /* 0: the backend's own */
    } chat;
    struct {
        const char *url, *secret_file;
    } webhook;
    struct {
        const char *command; /* a program's absolute path and its arguments, split at spaces */
        unsigned workers;    /* how many of it run, EXEC_WORKERS_MAX at most; 0: one */
    } exec;
    struct {
        uint32_t first_token_ms, idle_ms, total_ms;
        uint32_t concurrency, queue_max; /* of all loops together */
        uint32_t reply_max;              /* bytes of an answer's text */
        const char *ca_file;             /* whom TLS believes; NULL: the system's */
        const char *proxy;               /* NULL: none, whatever the environment says */
    } backend;
};

struct processor {
    const char *name;
    bool echo_only; /* nothing beyond the echo: the echo itself carries done:true, and none of the
                       functions below is called */
    /* Once at start, before threads. TEDDY_EINVAL with err naming file and line. *shared is the
     * same for all loops. */
    int (*open)(const struct process_config *config, void **shared, char *err, size_t cap);
    /* The loop is there and will run; for each, in the order of their indices, before threads.
     * NULL: nothing to do. */
    int (*start)(void *shared, struct loop *loop);
    /* The loop has stopped and is freed next: lets go of what it has on it; sessions may still be
     * cancelled and freed. NULL: nothing. */
    void (*stop)(void *shared, struct loop *loop);
    void (*close)(void *shared); /* all sessions are gone */
    /* State of one session (its memory of the child's words goes with it). Made at the first
     * utterance, on the loop on which all else of it happens. */
    int (*session_new)(void *shared, struct loop *loop, const struct process_session *who,
                       void **session);
    void (*session_free)(void *session);
    void (*utter)(void *session, const struct process_turn *turn, struct process_sink *sink);
    void (*wake)(void *session, struct process_sink *sink); /* NULL: never asks for it */
    void (*cancel)(
        void *session); /* the present utterance is given up; nothing more is emitted for it */
};

/* By name, or NULL. */
const struct processor *processor_find(const char *name);

/* A processor that was opened. */
struct process {
    const struct processor *processor;
    void *shared;
};

#define PROCESSES_MAX 8

/* All that the configuration describes. */
struct processes {
    struct process of[PROCESSES_MAX];
    unsigned count;
};

/* On failure nothing is open, and err says why. Before threads. */
TEDDY_MUST_CHECK int processes_open(const struct process_config *config, struct processes *out,
                                    char *err, size_t cap);
/* NULL: it is not there, or the configuration says nothing of it. */
const struct process *processes_find(const struct processes *all, const char *name);
TEDDY_MUST_CHECK int processes_start(const struct processes *all, struct loop *loop);
/* Of all loops, before one of them is freed. */
void processes_stop(const struct processes *all, struct loop *loop);
void processes_close(struct processes *all);

#endif
