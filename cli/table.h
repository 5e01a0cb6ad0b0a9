/* The table of commands, and what is made of it. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "cli/ctl.h"

/* Of a command, or of all. The end of a list has no name. One name means the same everywhere. */
struct ctl_option {
    const char *name;  /* "--secret", "-n" */
    const char *value; /* what the help calls it; NULL: a flag */
    size_t to;         /* where in struct ctl: a const char *, or a flag's bool */
    const char *words; /* what a shell offers: "FILE", "DIR", or words; NULL: nothing */
    const char *text;
};

/* What a command needs to work with. */
enum ctl_where {
    WHERE_EITHER,  /* the server, or when none runs its data directory */
    WHERE_SERVER,  /* a running server */
    WHERE_FILES,   /* the data directory, whether a server runs or not */
    WHERE_STOPPED, /* the data directory of a server that does not run */
    WHERE_NOTHING,
};

struct ctl_command {
    const char *group, *verb; /* "device" "add"; verb NULL: one word */
    const char *args;         /* as usage shows them; NULL: none */
    int arg_count, arg_more;  /* words behind the command's own: needed, and further */
    int (*run)(struct ctl *ctl, const char *arg);
    enum admin_verb admin; /* of commands on the registry */
    enum ctl_where where;
    const char *api; /* the same over HTTPS: method and pattern; NULL: there is none */
    bool shows_json; /* with or without --json */
    const struct ctl_option *options;
    const char *words;   /* what a shell offers as the first argument; NULL: by its name */
    const char *summary; /* no full stop */
    const char *notes;
    const char *example; /* lines, each indented by two */
};

extern const struct ctl_option ctl_globals[];
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

/* "device add ID". */
void command_name(const struct ctl_command *c, bool args, char out[96]);
/* "viewer": which role the route of c->api needs; NULL: it has none. */
const char *command_role(const struct ctl_command *c);
/* A group's name that stands in the table for the first time with this row. */
bool command_begins_group(size_t i);
/* "Works with a running server and without one." */
const char *command_where(const struct ctl_command *c);
bool is_group(const char *word); /* of several commands */

/* words.c: takes argv apart. CTL_DONE, or what has been printed. */
int words_read(struct ctl *ctl, int argc, char **argv);
/* The first option that was given and this command does not take; NULL: none. */
const char *words_foreign(const struct ctl *ctl, const struct ctl_command *c);

/* help.c */
int help_all(const struct ctl *ctl);
int help_group(const struct ctl *ctl, const char *group);
int help_command(const struct ctl *ctl, const struct ctl_command *c);
/* Text in lines of at most `to` columns, each indented by `by`; the first begins at column `at`. */
void help_wrap(FILE *out, const char *text, int at, int by, int to);

/* near.c: what was probably meant by a word. */
struct near {
    const char *word, *best;
    unsigned distance;
};
struct near near_begin(const char *word);
void near_try(struct near *n, const char *name);
/* "; did you mean 'x'? See", or "; see": behind it comes where. */
void near_say(const struct near *n, char out[128]);

#endif
