/* The long options of a program, as a table: their names, where their values go, and their help. */
#ifndef TOOLS_CMDLINE_H
#define TOOLS_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

enum cmdline_kind {
    CMDLINE_TEXT,    /* to: const char *; it points into argv */
    CMDLINE_NUMBER,  /* uint32_t, min to max */
    CMDLINE_SECONDS, /* 2 or 0.5: uint32_t of milliseconds, min to max */
    CMDLINE_FLAG,    /* bool; no value */
};

struct cmdline_row {
    const char *name, *value, *help; /* value: its name in the help, "" of a flag */
    enum cmdline_kind kind;
    void *to;
    uint32_t min, max;
};

#define CMDLINE_ROWS_MAX 48

/* --help and -h are every program's. So is --help-man with a page: its manual page is then made of
 * the same rows. */
struct cmdline {
    const char *program, *version; /* NULL: no --version */
    const char *intro, *outro;     /* of the help, around the rows */
    int width;                     /* of the names in the help */
    const struct cmdline_row *rows;
    size_t count;     /* at most CMDLINE_ROWS_MAX */
    const char *page; /* what it is, in the words of its manual page; NULL: it has none */
    const char *see;  /* other pages: "teddyd(8)" */
};

/* Fills in what the rows point to; *rest: where in argv the operands are. False when the program
 * ends now, with *status: help or the version was printed, or what is wrong. */
bool cmdline_parse(const struct cmdline *c, int argc, char **argv, int *rest, int *status);

/* Says "PROGRAM: WHAT WHICH" with where to look, and sets *status; always false. */
bool cmdline_wrong(const char *program, int *status, const char *what, const char *which);

#endif
