/* A program that runs beside the server and is spoken to in lines over its stdin and stdout:
 * started, watched and started again. What the lines mean is its owner's matter. On one loop. */
#ifndef PROCESS_EXEC_CHILD_H
#define PROCESS_EXEC_CHILD_H

#include <sys/types.h>

#include "net/loop.h"
#include "process/lines.h"

#define EXEC_ARGS_MAX    32
#define EXEC_LINE_MAX    65536   /* bytes of a line of its stdout */
#define EXEC_WAITING_MAX 1048576 /* bytes that it has not read */
#define EXEC_ERRORS_S    10      /* lines of its stderr that are logged a second */
#define EXEC_ERROR_MAX   200     /* bytes of such a line that are */

struct exec_child;

struct exec_handler {
    void (*line)(struct exec_child *child, struct span line);
    /* It is gone, and what it was asked with it; it will be started again. */
    void (*gone)(struct exec_child *child);
};

/* All of it private. */
struct exec_child {
    struct loop *loop;
    const struct exec_handler *handler;
    char *command, *args[EXEC_ARGS_MAX + 1];
    pid_t pid;                        /* 0: not running */
    struct loop_io in, out, err, end; /* its stdin, stdout, stderr, its pidfd; fd -1: closed */
    struct buffer waiting;            /* not written yet, from written on */
    size_t written;
    struct lines lines, error_lines;
    struct loop_timer again;
    uint64_t started_ms, error_second;
    uint32_t backoff_ms; /* before the last start; its owner sets 0 when the program proves able */
    unsigned errors;
    bool stopping;
};

/* Splits command at spaces: an absolute path and arguments. TEDDY_EINVAL: err says why it cannot be
 * run. Nothing is started yet. */
TEDDY_MUST_CHECK int exec_child_init(struct exec_child *c, const char *command,
                                     const struct exec_handler *handler, char *err, size_t cap);
void exec_child_start(struct exec_child *c, struct loop *loop); /* the loop's thread */
/* Writes a line, with its end. False: it does not run, or does not read. */
TEDDY_MUST_CHECK bool exec_child_write(struct exec_child *c, struct span line);
void exec_child_kill(struct exec_child *c); /* handler->gone follows, and a new start */
/* It goes for good, without a word; its loop does not run any more. It hears the end of its stdin,
 * and may tidy up for as long as there is patience, which is taken from; then it is killed. */
void exec_child_hang_up(struct exec_child *c);
void exec_child_stop(struct exec_child *c, int *patience_ms);
void exec_child_fini(struct exec_child *c);

#endif
