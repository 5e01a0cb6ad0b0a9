/* teddyctl: what its parts share. */
#ifndef CLI_CTL_H
#define CLI_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "admin/command.h"

enum { CTL_DONE = 0, CTL_FAILED = 1, CTL_USAGE = 2 }; /* exit status */

/* The options of batch create, but --out, which child forget and child export take too; NULL: not
 * given. */
struct ctl_batch {
    const char *count, *first, *digits, *out;
};

/* The options about conversations; NULL: not given. */
struct ctl_talk {
    const char *device, *days, *processor;
};

/* The options of backup and restore alone. */
struct ctl_backup {
    bool force, check, lost;
};

/* The options of audit, but --key, which child verify-receipt takes too; NULL: not given. */
struct ctl_audit {
    const char *head, *from_export, *key; /* of verify */
    const char *from;                     /* of export */
    const char *last;                     /* of tail */
    bool follow;
};

/* What of the toys is shown; "": anything. */
struct ctl_fleet {
    const char *q, *part, *state, *from, *to, *limit;
    bool online, offline;
};

struct ctl_command;
struct ctl_option;

struct ctl {
    const char *data, *config; /* --data, --config; NULL: not given */
    bool json;                 /* --json */
    bool quiet;                /* --quiet */
    bool help, version;        /* --help, --version */
    bool watch;                /* --watch */
    const char *secret;        /* --secret */
    const char *secret_file;   /* --secret-file */
    const char *expires;       /* --expires */
    const char *object;        /* --object */
    const char *role, *ttl;    /* --role, --ttl */
    const char *prefix, *name; /* --prefix, --name */
    unsigned uid;              /* who runs it */
    struct ctl_batch batch;
    struct ctl_backup backup;
    struct ctl_talk talk;
    struct ctl_audit audit;
    struct ctl_fleet fleet;           /* NULL: not given */
    struct admin_downlinks downlinks; /* the server's bounds, for the work on its store */
    const char *alg;                  /* --alg */
    bool now;                         /* --now */
    bool rotate;                      /* --rotate */
    bool es256;                       /* jwt_alg, as far as the configuration is known */
    const char *words[16];            /* what is no option */
    int word_count;
    const struct ctl_option *given[24]; /* the options, as they came */
    int given_count;
    const struct ctl_command *command;
    char dir[3072];            /* the data directory */
    char master_key_file[512]; /* as configured; "": none */
};

/* commands.c */
int run_add(struct ctl *ctl, const char *id);
int run_device(struct ctl *ctl, const char *id);
int run_send(struct ctl *ctl, const char *id);
int run_messages(struct ctl *ctl, const char *id);
int run_clear(struct ctl *ctl, const char *id);
/* server.c */
int run_sessions(struct ctl *ctl, const char *arg);
int run_routes(struct ctl *ctl, const char *arg);
int run_master_key(struct ctl *ctl, const char *arg);
int run_drain(struct ctl *ctl, const char *arg);
/* status.c, doctor.c, completion.c, man.c */
int run_status(struct ctl *ctl, const char *arg);
int run_doctor(struct ctl *ctl, const char *arg);
int run_completion(struct ctl *ctl, const char *shell);
int run_man(struct ctl *ctl, const char *page);
/* keys.c */
int run_key_list(struct ctl *ctl, const char *arg);
int run_key_add(struct ctl *ctl, const char *arg);
int run_key_retire(struct ctl *ctl, const char *kid);
/* admin_tokens.c */
int run_admin_token_create(struct ctl *ctl, const char *arg);
int run_admin_token_list(struct ctl *ctl, const char *arg);
int run_admin_token_revoke(struct ctl *ctl, const char *id);
int run_console_link(struct ctl *ctl, const char *arg);

/* backup.c, restore.c */
int run_backup(struct ctl *ctl, const char *file);
int run_restore(struct ctl *ctl, const char *file);

/* children.c */
int run_child_forget(struct ctl *ctl, const char *child_id);
int run_child_verify(struct ctl *ctl, const char *file);
int run_child_export(struct ctl *ctl, const char *child_id);
int run_child_revoke(struct ctl *ctl, const char *child_id);

/* talk.c */
int run_child_set(struct ctl *ctl, const char *child_id);
int run_child_show(struct ctl *ctl, const char *child_id);
int run_child_report(struct ctl *ctl, const char *child_id);
int run_device_set(struct ctl *ctl, const char *device_id);

/* print.c. Both return what the program's exit status is to be. */
/* One line to stderr, "teddyctl: …"; returns CTL_FAILED. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int usage(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the same, CTL_USAGE */
/* This command changes nothing: what of its output nobody got, can be had again. */
void print_only_shows(bool only);
int print_json(const json_t *json); /* one line */
/* "key: value" lines of an object. */
int print_object(const json_t *object);
/* The text without what would steer a terminal, malloc'd; NULL: out of memory, or of NULL. */
char *print_clean(const char *text);
struct print_column {
    const char *title, *member;
};
/* What print writes; with --json as an object's member. */
int print_text(const struct ctl *ctl, const char *member, void (*print)(FILE *out));
/* The terminal's sequence for what follows on out, or "" when out is none, NO_COLOR is set or TERM
 * is dumb. */
enum print_colour { COLOUR_NONE, COLOUR_TITLE, COLOUR_GOOD, COLOUR_WARNS, COLOUR_WRONG };
const char *print_colour(FILE *out, enum print_colour colour);
/* A table on a terminal, else one line a row with tabs and no titles. */
int print_rows(const json_t *rows, const struct print_column *columns, size_t count);

/* The length of a file ("-": standard input) that has at most max bytes, and its text, malloc'd and
 * followed by a NUL. */
int read_file(const char *name, size_t max, char **text, size_t *len);

struct ctl_call;

/* devices.c */
int run_device_list(struct ctl *ctl, const char *arg);
int run_device_telemetry(struct ctl *ctl, const char *device_id);
int run_device_sessions(struct ctl *ctl, const char *device_id);
/* The same into a command, for the work on the store itself. */
void devices_fill(const struct ctl_fleet *fleet, struct admin_command *c);
/* query.c: what stands behind the path. */
void link_query(const struct ctl_call *call, char *path, size_t cap);

/* families.c */
int run_family_list(struct ctl *ctl, const char *device_id);
int run_family_revoke(struct ctl *ctl, const char *device_id); /* the next word is its sid */

/* commands.c: says so when it is none. */
bool id_is_good(const char *id);

/* batch.c */
int run_batch_create(struct ctl *ctl, const char *arg);
int run_batch_list(struct ctl *ctl, const char *arg);
int run_import(struct ctl *ctl, const char *file);

/* audit.c, audit_export.c, audit_verify.c */
/* Signs what the work on link_store's store has added to the audit trail, and closes it. NULL is
 * fine. */
void audit_store_close(const struct ctl *ctl, struct store *store);
int run_audit_tail(struct ctl *ctl, const char *arg);
int run_audit_verify(struct ctl *ctl, const char *arg);
int run_audit_export(struct ctl *ctl, const char *name);
int run_audit_head(struct ctl *ctl, const char *arg);
int run_audit_key(struct ctl *ctl, const char *arg);

/* link.c: the server, or, when none runs, the store. */
struct ctl_call {
    enum admin_verb verb;
    const char *id;        /* or NULL */
    const uint8_t *secret; /* of ADMIN_ADD; NULL: one is made */
    const char *sid;       /* of ADMIN_FAMILY_REVOKE: 32 hex digits */
    /* of ADMIN_IMPORT and ADMIN_BATCH_ADD; of ADMIN_SEND and ADMIN_TOKEN_CREATE, as JSON */
    struct span text;
    const char *device;   /* of ADMIN_PROFILE_SHOW and ADMIN_REPORT; NULL: none was said */
    const char *days;     /* of ADMIN_REPORT, a number … */
    unsigned days_number; /* … and this one */
    const char *after;    /* of ADMIN_CHILD_EXPORT: where the page begins */
    /* of ADMIN_BATCH_…; what ADMIN_BATCH_LIST is to be of: id, prefix, behind which row */
    const struct batch_row *batch;
    const struct ctl_fleet *fleet; /* of ADMIN_LIST and ADMIN_TELEMETRY; all given */
    bool begins;                   /* ADMIN_BATCH_LIST: makes the registry when there is none */
    /* Of ADMIN_IMPORT without a server, on another thread; NULL: nobody is told. */
    void (*watch)(void *arg, uint64_t done, uint64_t all);
    void *arg;
};
/* The answer of a command on the registry, *reply new; on failure a line has been printed (for an
 * import its bad lines too, named by `file`). file NULL: a refusal is not printed, *reply is its
 * problem+json, with a code; NULL: there was none, and a line has been printed. */
int link_call(struct ctl *ctl, const struct ctl_call *call, const char *file, json_t **reply);
/* hints.c: what to do about a refusal of this code, behind a space; "": nothing is known. */
const char *link_hint(const char *code);
/* Prints such a refusal; CTL_FAILED. */
int link_refused(const json_t *problem, const char *file);
/* What is asked of the running server, or, when none runs, done here under the lock of its data
 * directory. */
struct ctl_work {
    const char *method, *path, *json; /* json NULL: no body */
    bool make;                        /* the data directory when there is none */
    void (*offline)(const struct ctl *ctl, void *arg, struct admin_answer *out);
    void *arg;
};
int link_work(struct ctl *ctl, const struct ctl_work *work, json_t **reply);
/* What only a running server can answer. none: what is said when there is none; NULL: nothing, and
 * CTL_DONE with *reply NULL. */
int link_server(struct ctl *ctl, const char *method, const char *path, const char *none,
                json_t **reply);

/* For work on the files of the data directory themselves. Where it is, into ctl->dir; CTL_DONE, or
 * what has been printed; with quiet, below 0 when there is none. */
int link_dir(struct ctl *ctl, bool make, bool quiet);
/* Root works in there as its owner, and on everything else as itself. False with errno. */
bool link_become_owner(const char *dir);
void link_become_self(void);
/* In a link_work's offline: opens the data directory's store, sealed under its master key, whose
 * names stay in *master. With err. */
TEDDY_MUST_CHECK int link_store(const struct ctl *ctl, struct master_key *master,
                                struct store **out, char *err, size_t cap);

/* Whether this user may open the database that is there; says so when it may not. */
int link_may(const struct ctl *ctl);
/* Finds the data directory and takes its owner's rights, to work on its files. */
int link_files(struct ctl *ctl);

#endif
