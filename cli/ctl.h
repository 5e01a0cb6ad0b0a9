/* teddyctl: what its parts share. */
#ifndef CLI_CTL_H
#define CLI_CTL_H

#include <jansson.h>
#include <stdbool.h>

#include "admin/command.h"

enum { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2 }; /* exit status */

struct ctl {
    const char *data, *config;        /* --data, --config; NULL: not given */
    bool json;                        /* --json */
    bool help;                        /* --help */
    const char *secret;               /* --secret */
    const char *secret_file;          /* --secret-file */
    const char *expires;              /* --expires */
    const char *object;               /* --object */
    struct admin_downlinks downlinks; /* the server's bounds, for the work on its store */
    const char *words[8];             /* what is no option */
    int word_count;
    const struct ctl_command *command;
    char dir[3072];            /* the data directory */
    char master_key_file[512]; /* as configured; "": none */
};

struct ctl_command {
    const char *group, *verb; /* "device" "add"; verb NULL: one word */
    const char *args;         /* as usage shows them */
    int arg_count;            /* words behind the command's own */
    int (*run)(struct ctl *ctl, const char *arg);
    enum admin_verb admin; /* of commands on the registry */
    bool takes_secret;     /* --secret, --secret-file */
    bool takes_message;    /* a further word, or --object; --expires */
    const char *summary;
    const char *example; /* lines, each indented by two */
};

extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

/* help.c */
void help_all(FILE *out);
void help_group(FILE *out, const char *group);
void help_command(FILE *out, const struct ctl_command *c);

/* print.c. Both return what the program's exit status is to be. */
/* One line to stderr, "teddyctl: …"; returns CTL_FAILED. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int usage(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the same, CTL_USAGE */
int print_json(const json_t *json);                                       /* one line */
/* "key: value" lines of an object. */
int print_object(const json_t *object);
struct print_column {
    const char *title, *member;
};
/* A table on a terminal, else one line a row with tabs and no titles. */
int print_rows(const json_t *rows, const struct print_column *columns, size_t count);

/* link.c: the server, or, when none runs, the store. */
struct ctl_call {
    enum admin_verb verb;
    const char *id;        /* or NULL */
    const uint8_t *secret; /* of ADMIN_ADD; NULL: one is made */
    struct span text;      /* of ADMIN_IMPORT; of ADMIN_SEND, as JSON */
};
/* The answer of a command on the registry, *reply new; on failure a line has been printed (for an
 * import its bad lines too, named by `file`). */
int link_call(struct ctl *ctl, const struct ctl_call *call, const char *file, json_t **reply);
/* What only a running server can answer. none: what is said when there is none; NULL: nothing, and
 * CTL_DONE with *reply NULL. */
int link_server(struct ctl *ctl, const char *method, const char *path, const char *none,
                json_t **reply);

#endif
