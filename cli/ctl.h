/* teddyctl: what its parts share. */
#ifndef CLI_CTL_H
#define CLI_CTL_H

#include <jansson.h>
#include <stdbool.h>

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

struct ctl {
    const char *data, *config; /* --data, --config; NULL: not given */
    bool json;                 /* --json */
    bool help;                 /* --help */
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

/* keys.c */
int run_key_list(struct ctl *ctl, const char *arg);
int run_key_add(struct ctl *ctl, const char *arg);
int run_key_retire(struct ctl *ctl, const char *kid);
/* admin_tokens.c, and its rows of the table */
int run_admin_token_create(struct ctl *ctl, const char *arg);
int run_admin_token_list(struct ctl *ctl, const char *arg);
int run_admin_token_revoke(struct ctl *ctl, const char *id);
int run_console_link(struct ctl *ctl, const char *arg);
/* clang-format off */
#define CTL_ADMIN_TOKENS \
    {"console", "link", "", 0, run_console_link, ADMIN_TOKEN_CREATE, false, false, \
     "Print a link that signs in to the web console: once, and within five minutes", \
     "  teddyctl console link\n  teddyctl console link --role viewer --prefix Teddy-ESP32-\n"}, \
    {"admin-token", "create", "", 0, run_admin_token_create, ADMIN_TOKEN_CREATE, false, false, \
     "Make a token for the admin API over HTTPS; prints it, this once", \
     "  teddyctl admin-token create --role viewer --name dashboard --ttl 90d\n" \
     "  teddyctl admin-token create --role operator --prefix Teddy-EU- --ttl 12h\n"}, \
    {"admin-token", "list", "", 0, run_admin_token_list, ADMIN_TOKEN_LIST, false, false, \
     "List the admin tokens, never the tokens themselves", "  teddyctl admin-token list\n"}, \
    {"admin-token", "revoke", "TOKEN_ID", 1, run_admin_token_revoke, ADMIN_TOKEN_REVOKE, false, false, \
     "Revoke an admin token at once", "  teddyctl admin-token revoke 1a2b3c4d\n"}
/* clang-format on */

/* backup.c, restore.c, and their rows */
int run_backup(struct ctl *ctl, const char *file);
int run_restore(struct ctl *ctl, const char *file);
/* clang-format off */
#define CTL_BACKUP \
    {"backup", NULL, "FILE", 1, run_backup, ADMIN_LIST, false, false, \
     "Copy the database into a file, whether a server runs or not", \
     "  teddyctl backup /backup/teddy-2026-11-21.db\n" \
     "  teddyctl backup --force /backup/teddy.db\n"}, \
    {"restore", NULL, "FILE", 1, run_restore, ADMIN_LIST, false, false, \
     "Put such a file in the database's place, or only check it", \
     "  teddyctl restore --check /backup/teddy-2026-11-21.db\n" \
     "  teddyctl restore /backup/teddy-2026-11-21.db\n" \
     "  teddyctl restore --lost /backup/teddy-2026-11-21.db\n"}
/* clang-format on */

/* children.c, and its rows of the table */
int run_child_forget(struct ctl *ctl, const char *child_id);
int run_child_verify(struct ctl *ctl, const char *file);
int run_child_export(struct ctl *ctl, const char *child_id);
int run_child_revoke(struct ctl *ctl, const char *child_id);
/* clang-format off */
#define CTL_CHILDREN \
    {"child", "forget", "CHILD_ID", 1, run_child_forget, ADMIN_FORGET, false, false, \
     "Erase all that is kept on a child; prints a signed receipt", \
     "  teddyctl child forget child123 --out receipt.json\n"}, \
    {"child", "verify-receipt", "FILE", 1, run_child_verify, ADMIN_LIST, false, false, \
     "Check such a receipt, with what audit key printed", \
     "  teddyctl child verify-receipt receipt.json --key audit-key.pub\n"}, \
    {"child", "export", "CHILD_ID", 1, run_child_export, ADMIN_CHILD_EXPORT, false, false, \
     "Print all that is kept on a child as JSON", "  teddyctl child export child123 --out child.json\n"}, \
    {"child", "revoke", "CHILD_ID", 1, run_child_revoke, ADMIN_CHILD_REVOKE, false, false, \
     "Revoke the tokens of all toys of a child, so that they have to claim again", \
     "  teddyctl child revoke child123\n"}
/* clang-format on */

/* talk.c, and its rows of the table */
int run_child_set(struct ctl *ctl, const char *child_id);
int run_child_show(struct ctl *ctl, const char *child_id);
int run_child_report(struct ctl *ctl, const char *child_id);
int run_device_set(struct ctl *ctl, const char *device_id);
/* clang-format off */
#define CTL_TALK \
    {"child", "set", "CHILD_ID", 1, run_child_set, ADMIN_PROFILE_SET, false, false, \
     "Set what is known of a child with its toy, and its limits", \
     "  teddyctl child set child123 name=Mia age=5 language=en\n" \
     "  teddyctl child set child123 --device Teddy-ESP32-0001 quiet=20:00-07:00 tz=Europe/Berlin minutes=60\n" \
     "  teddyctl child set child123 memory=off alert_words=on\n"}, \
    {"child", "show", "CHILD_ID", 1, run_child_show, ADMIN_PROFILE_SHOW, false, false, \
     "Show that", "  teddyctl child show child123\n"}, \
    {"child", "report", "CHILD_ID", 1, run_child_report, ADMIN_REPORT, false, false, \
     "Show the minutes of play and what was blocked, by day", "  teddyctl child report child123 --days 30\n"}
#define CTL_DEVICE_SET \
    {"device", "set", "DEVICE_ID", 1, run_device_set, ADMIN_PROCESSOR, false, false, \
     "Set which processor answers a toy; \"\" for the configuration's", \
     "  teddyctl device set Teddy-ESP32-0001 --processor chat\n"}
/* clang-format on */

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

/* The length of a file ("-": standard input) that has at most max bytes, and its text, malloc'd and
 * followed by a NUL. */
int read_file(const char *name, size_t max, char **text, size_t *len);

struct ctl_call;

/* devices.c, and its rows of the table */
int run_device_list(struct ctl *ctl, const char *arg);
int run_device_telemetry(struct ctl *ctl, const char *device_id);
int run_device_sessions(struct ctl *ctl, const char *device_id);
/* The same into a command, for the work on the store itself. */
void devices_fill(const struct ctl_fleet *fleet, struct admin_command *c);
/* clang-format off */
#define CTL_DEVICES \
    {"device", "list", "", 0, run_device_list, ADMIN_LIST, false, false, "List the toys, or some of them", \
     "  teddyctl device list\n  teddyctl device list | cut -f1\n" \
     "  teddyctl device list --prefix Teddy-ESP32-00 --online\n" \
     "  teddyctl device list --part 1.4.2 --state lapsed\n"}, \
    {"device", "telemetry", "ID", 1, run_device_telemetry, ADMIN_TELEMETRY, false, false, \
     "Show how a toy was, a line for each report that is kept", \
     "  teddyctl device telemetry Teddy-ESP32-0001\n" \
     "  teddyctl device telemetry Teddy-ESP32-0001 --from $(date -d yesterday +%s) --limit 100\n"}, \
    {"device", "sessions", "ID", 1, run_device_sessions, ADMIN_SESSIONS, false, false, \
     "Show when a toy was here, and how that ended, newest first", \
     "  teddyctl device sessions Teddy-ESP32-0001\n"}
/* clang-format on */

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
/* clang-format off */
#define CTL_AUDIT \
    {"audit", "tail", "", 0, run_audit_tail, ADMIN_LIST, false, false, \
     "Show the last events of the audit trail: -n COUNT of them, -f those to come", \
     "  teddyctl audit tail -n 50\n  teddyctl --json audit tail -f\n" \
     "  teddyctl audit tail --device Teddy-ESP32-0001\n"}, \
    {"audit", "verify", "", 0, run_audit_verify, ADMIN_LIST, false, false, \
     "Recompute the audit trail, and compare it with signed heads; names what was changed", \
     "  teddyctl audit verify\n  teddyctl audit verify --head heads.jsonl --key audit-key.pub\n" \
     "  teddyctl audit verify --from-export audit.jsonl --key audit-key.pub\n"}, \
    {"audit", "export", "FILE", 1, run_audit_export, ADMIN_LIST, false, false, \
     "Write the events, --from one of them, and a signed head as lines of JSON", \
     "  teddyctl audit export audit.jsonl\n  teddyctl audit export --from 1001 - | gzip > audit.gz\n"}, \
    {"audit", "head", "", 0, run_audit_head, ADMIN_LIST, false, false, \
     "Print a signed head of the audit trail, to be kept elsewhere", \
     "  teddyctl audit head | ssh elsewhere 'cat >> heads.jsonl'\n"}, \
    {"audit", "key", "", 0, run_audit_key, ADMIN_LIST, false, false, \
     "Print the public key that heads are signed with", "  teddyctl audit key > audit-key.pub\n"}
/* clang-format on */

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

/* Finds the data directory and takes its owner's rights, to work on its files. */
int link_files(struct ctl *ctl);

#endif
