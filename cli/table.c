/* The one table of commands. What runs, what a command takes, its help, its manual page and what a
 * shell completes all come from here: a command is one row. */
#include "cli/table.h"

#define FLAG(name, member, text)                                                                   \
    {                                                                                              \
        name, NULL, offsetof(struct ctl, member), NULL, text                                       \
    }
#define OPTION(name, value, member, words, text)                                                   \
    {                                                                                              \
        name, value, offsetof(struct ctl, member), words, text                                     \
    }
#define OPTIONS(...)                                                                               \
    (const struct ctl_option[])                                                                    \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define API "/api/v1/admin"

const struct ctl_option ctl_globals[] = {
    OPTION("--data", "DIR", data, "DIR",
           "the server's data directory; default: as the server finds it (TEDDY_DATA, "
           "$STATE_DIRECTORY, $XDG_DATA_HOME/teddy, ~/.local/share/teddy)"),
    OPTION("--config", "FILE", config, "FILE",
           "the server's configuration file, for its data directory; default: TEDDY_CONFIG"),
    FLAG("--json", json, "print JSON, one line"),
    FLAG("--quiet", quiet, "no progress of long work on the terminal"),
    FLAG("--help", help, "print this, or more about a command; -h is the same"),
    FLAG("--version", version, "print the version"),
    {0}};

/* What several commands take. */
#define PREFIX(text) OPTION("--prefix", "P", prefix, NULL, text)
#define DEVICE_OPTION                                                                              \
    OPTION("--device", "ID", talk.device, NULL, "which toy; may be left out when the child has one")
#define SID_EXAMPLE          "0123456789abcdef0123456789abcdef"
#define TOY                  "Teddy-ESP32-0001"
#define OWN_SECRET_EXAMPLE   "  openssl rand -hex 32 | teddyctl device add " TOY " --secret-file -\n"
#define BATCH_IMPORT_OPTIONS OPTIONS(PREFIX("each id has to begin with it"))
#define BATCH_IMPORT_NOTES                                                                         \
    "A line is device_id,oob_secret; when the first line names its columns, they may come in any " \
    "order and with others. Each bad line is named, and then none is imported. A toy that is "     \
    "registered already, with this secret, is passed over."
#define CHILD_FILE "is made, and must not be there yet"

/* clang-format off */
const struct ctl_command ctl_commands[] = {
    {.group = "device", .verb = "add", .args = "ID", .arg_count = 1, .run = run_add, .admin = ADMIN_ADD,
     .api = "POST " API "/devices", .shows_json = true,
     .options = OPTIONS(OPTION("--secret", "HEX", secret, NULL, "the toy's secret, 64 hex digits; other users can see it in the list of processes while the command runs"),
                        OPTION("--secret-file", "FILE", secret_file, "FILE", "the same from a file, or with - from standard input")),
     .summary = "Register a toy; prints its id and secret as JSON",
     .notes = "Without --secret and --secret-file the server makes a secret. It is shown this once.",
     .example = "  teddyctl device add " TOY "\n" OWN_SECRET_EXAMPLE},
    {.group = "device", .verb = "list", .run = run_list, .api = "GET " API "/devices",
     .summary = "List the toys",
     .example = "  teddyctl device list\n  teddyctl device list | cut -f1\n  teddyctl device list --json\n"},
    {.group = "device", .verb = "show", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_SHOW,
     .api = "GET " API "/devices/{device_id}",
     .summary = "Show one toy", .example = "  teddyctl device show " TOY "\n"},
    {.group = "device", .verb = "enable", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_ENABLE,
     .api = "POST " API "/devices/{device_id}/enable",
     .summary = "Let a disabled toy in again", .example = "  teddyctl device enable " TOY "\n"},
    {.group = "device", .verb = "disable", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_DISABLE,
     .api = "POST " API "/devices/{device_id}/disable",
     .summary = "Keep a toy out, and close its session", .example = "  teddyctl device disable " TOY "\n"},
    {.group = "device", .verb = "set", .args = "DEVICE_ID", .arg_count = 1, .run = run_device_set, .admin = ADMIN_PROCESSOR,
     .api = "POST " API "/devices/{device_id}/processor",
     .options = OPTIONS(OPTION("--processor", "NAME", talk.processor, "script echo chat webhook exec", "what answers this toy; \"\" for the configuration's")),
     .summary = "Set which processor answers a toy; \"\" for the configuration's",
     .example = "  teddyctl device set " TOY " --processor chat\n"},
    {.group = "device", .verb = "rotate-secret", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_ROTATE,
     .api = "POST " API "/devices/{device_id}/rotate-secret", .shows_json = true,
     .summary = "Give a toy a new secret, revoke its tokens; prints the secret as JSON",
     .example = "  teddyctl device rotate-secret " TOY "\n"},
    {.group = "device", .verb = "release", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_RELEASE,
     .api = "POST " API "/devices/{device_id}/release",
     .options = OPTIONS(FLAG("--rotate", rotate, "give it a new secret as well, printed as JSON this once: for a bench that writes it into the toy before somebody else gets it")),
     .summary = "Take a toy back: its child, tokens, messages and history are gone",
     .notes = "Its own secret, and what makes an old claim of it a replay, stay otherwise.",
     .example = "  teddyctl device release " TOY "\n  teddyctl device release " TOY " --rotate\n"},
    {.group = "device", .verb = "revoke", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_REVOKE,
     .api = "POST " API "/devices/{device_id}/revoke",
     .summary = "Revoke a toy's tokens, so that it has to claim again", .example = "  teddyctl device revoke " TOY "\n"},
    {.group = "device", .verb = "remove", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_REMOVE,
     .api = "DELETE " API "/devices/{device_id}",
     .summary = "Remove a toy and all that is kept about it", .example = "  teddyctl device remove " TOY "\n"},
    {.group = "batch", .verb = "create", .run = run_batch_create, .admin = ADMIN_BATCH_ADD, .api = "POST " API "/batches",
     .options = OPTIONS(OPTION("--count", "N", batch.count, NULL, "how many, up to 100000"),
                        PREFIX("each id is the prefix and a number"),
                        OPTION("--first", "N", batch.first, NULL, "the first number; default: behind the highest that follows the prefix"),
                        OPTION("--digits", "N", batch.digits, NULL, "of the number, with zeros in front; default: 6, or as many as needed"),
                        OPTION("--out", "DIR", batch.out, "DIR", "is made: nvs-config.csv and nvs-values.csv for ESP-IDF's mfg_gen.py, labels-*.svg to print, manifest.json with their checksums")),
     .summary = "Register a production run, and write what its line needs",
     .notes = "After an interruption the same command finishes the batch, or begins it anew. DIR holds the secrets: keep it as private as the server's data, and delete it when the toys are written.",
     .example = "  teddyctl batch create --count 10000 --prefix Teddy-ESP32- --out run-7\n"},
    {.group = "batch", .verb = "list", .run = run_batch_list, .admin = ADMIN_BATCH_LIST, .api = "GET " API "/batches",
     .options = OPTIONS(PREFIX("only those of this prefix")),
     .summary = "List the batches", .example = "  teddyctl batch list\n  teddyctl batch list --prefix Teddy-ESP32-\n"},
    {.group = "batch", .verb = "import", .args = "FILE.csv", .arg_count = 1, .run = run_import, .admin = ADMIN_IMPORT,
     .api = "POST " API "/devices/import", .options = BATCH_IMPORT_OPTIONS,
     .summary = "Register the toys of a maker's own CSV: all or none", .notes = BATCH_IMPORT_NOTES,
     .example = "  teddyctl batch import toys.csv --prefix Teddy-\n"},
    {.group = "import", .args = "FILE.csv", .arg_count = 1, .run = run_import, .admin = ADMIN_IMPORT,
     .api = "POST " API "/devices/import", .options = BATCH_IMPORT_OPTIONS,
     .summary = "The same, by its short name", .notes = BATCH_IMPORT_NOTES,
     .example = "  teddyctl import toys.csv\n  decrypt toys.csv.enc | teddyctl import -\n"},
    {.group = "send", .args = "ID TEXT", .arg_count = 1, .arg_more = 1, .run = run_send, .admin = ADMIN_SEND,
     .api = "POST " API "/devices/{device_id}/messages", .shows_json = true,
     .options = OPTIONS(OPTION("--expires", "SECONDS", expires, NULL, "how long it may wait; default: the server's downlink_expiry_s"),
                        OPTION("--object", "JSON", object, NULL, "an object for the toy's program in place of TEXT")),
     .summary = "Queue a message for a toy: words, or with --object JSON",
     .notes = "With - as TEXT the words come from standard input, where the list of processes does not show them. A toy that is online gets the message at once, another when it comes back. Prints the message's id and when it expires as JSON.",
     .example = "  teddyctl send " TOY " 'Good night'\n  teddyctl send " TOY " --expires 3600 'Dinner is ready'\n"
                "  teddyctl send " TOY " --object '{\"volume\":3}'\n  fortune | teddyctl send " TOY " -\n"},
    {.group = "message", .verb = "list", .args = "ID", .arg_count = 1, .run = run_messages, .admin = ADMIN_MESSAGES,
     .api = "GET " API "/devices/{device_id}/messages",
     .summary = "List the messages that wait for a toy, without their words", .example = "  teddyctl message list " TOY "\n"},
    {.group = "message", .verb = "clear", .args = "ID", .arg_count = 1, .run = run_clear, .admin = ADMIN_CLEAR,
     .api = "DELETE " API "/devices/{device_id}/messages",
     .summary = "Withdraw the messages that wait for a toy", .example = "  teddyctl message clear " TOY "\n"},
    {.group = "session", .verb = "list", .run = run_sessions, .where = WHERE_SERVER, .api = "GET " API "/sessions",
     .summary = "List the toys that are online", .example = "  teddyctl session list\n  teddyctl session list --json\n"},
    {.group = "token", .verb = "revoke", .args = "ID", .arg_count = 1, .run = run_device, .admin = ADMIN_REVOKE,
     .api = "POST " API "/devices/{device_id}/revoke",
     .summary = "The same as device revoke, by its other name", .example = "  teddyctl token revoke " TOY "\n"},
    {.group = "family", .verb = "list", .args = "ID", .arg_count = 1, .run = run_family_list, .admin = ADMIN_FAMILIES,
     .api = "GET " API "/devices/{device_id}/families",
     .summary = "Show a toy's token family, if one is in force", .example = "  teddyctl family list " TOY "\n"},
    {.group = "family", .verb = "revoke", .args = "ID SID", .arg_count = 2, .run = run_family_revoke, .admin = ADMIN_FAMILY_REVOKE,
     .api = "POST " API "/devices/{device_id}/families/{sid}/revoke",
     .summary = "Revoke the token family of this sid, and no later one", .example = "  teddyctl family revoke " TOY " " SID_EXAMPLE "\n"},
    {.group = "key", .verb = "list", .run = run_key_list, .api = "GET " API "/keys",
     .summary = "List the keys of the tokens: which signs, until when each verifies", .example = "  teddyctl key list\n  teddyctl key list --json\n"},
    {.group = "key", .verb = "add", .run = run_key_add, .api = "POST " API "/keys",
     .options = OPTIONS(OPTION("--alg", "ALG", alg, "HS256 ES256", "HS256, a secret of the server, or ES256, which others verify with the public key at /.well-known/jwks.json; default: as the present signer"),
                        FLAG("--now", now, "have an ES256 key sign at once, though who has read the keys before does not know it for up to five minutes")),
     .summary = "Make a key that signs from now on, ES256 once verifiers can know it",
     .notes = "The key that signed until then verifies until its last token has expired. An ES256 key is published at once and signs six minutes later.",
     .example = "  teddyctl key add\n  teddyctl key add --alg ES256\n  teddyctl key add --alg ES256 --now\n"},
    {.group = "key", .verb = "retire", .args = "KID", .arg_count = 1, .run = run_key_retire, .api = "POST " API "/keys/{kid}/retire",
     .options = OPTIONS(FLAG("--now", now, "somebody has the key: it is forgotten at once, its tokens are refused, and sessions that began with one are closed (1008 token_revoked)")),
     .summary = "Have a key sign no more; it verifies until its last token has expired",
     .notes = "The key that signs gets a successor of its kind.",
     .example = "  teddyctl key retire 0123456789abcdef\n  teddyctl key retire 0123456789abcdef --now\n"},
    {.group = "child", .verb = "forget", .args = "CHILD_ID", .arg_count = 1, .run = run_child_forget, .admin = ADMIN_FORGET,
     .api = "POST " API "/children/{child_id}/forget", .shows_json = true,
     .options = OPTIONS(OPTION("--out", "FILE", batch.out, "FILE", "the receipt there, too; it " CHILD_FILE)),
     .summary = "Erase all that is kept on a child; prints a signed receipt",
     .notes = "Its toys' sessions end at once, and they have to claim again. The receipt says how many rows of which table were erased, and when; it names the child by the pseudonym that it had in the audit trail, whose key is erased as well.",
     .example = "  teddyctl child forget child123 --out receipt.json\n"},
    {.group = "child", .verb = "verify-receipt", .args = "FILE", .arg_count = 1, .run = run_child_verify, .where = WHERE_NOTHING,
     .options = OPTIONS(OPTION("--key", "FILE", audit.key, "FILE", "what audit key printed")),
     .summary = "Check such a receipt, with what audit key printed", .example = "  teddyctl child verify-receipt receipt.json --key audit-key.pub\n"},
    {.group = "child", .verb = "export", .args = "CHILD_ID", .arg_count = 1, .run = run_child_export, .admin = ADMIN_CHILD_EXPORT,
     .api = "GET " API "/children/{child_id}/export", .shows_json = true,
     .options = OPTIONS(OPTION("--out", "FILE", batch.out, "FILE", "there and not to standard output; it " CHILD_FILE)),
     .summary = "Print all that is kept on a child as JSON", .example = "  teddyctl child export child123 --out child.json\n"},
    {.group = "child", .verb = "revoke", .args = "CHILD_ID", .arg_count = 1, .run = run_child_revoke, .admin = ADMIN_CHILD_REVOKE,
     .api = "POST " API "/children/{child_id}/revoke",
     .summary = "Revoke the tokens of all toys of a child, so that they have to claim again", .example = "  teddyctl child revoke child123\n"},
    {.group = "child", .verb = "set", .args = "CHILD_ID NAME=VALUE…", .arg_count = 1, .arg_more = 8, .run = run_child_set, .admin = ADMIN_PROFILE_SET,
     .api = "POST " API "/children/{child_id}/profile", .options = OPTIONS(DEVICE_OPTION),
     .summary = "Set what is known of a child with its toy, and its limits",
     .notes = "name=TEXT as the toy is to call it, empty for not known. age=YEARS, 0 for not known, and then every age rule applies. language=TAG: en, es-MX. quiet=HH:MM-HH:MM quiet hours in the zone of tz, empty for none. tz=ZONE: Europe/Berlin; empty for UTC. minutes=N of play a day, 0 for no limit. memory=on|off|default; off also erases what is remembered. alert_words=on|off: whether an alert may quote the child.",
     .example = "  teddyctl child set child123 name=Mia age=5 language=en\n"
                "  teddyctl child set child123 --device " TOY " quiet=20:00-07:00 tz=Europe/Berlin minutes=60\n"
                "  teddyctl child set child123 memory=off alert_words=on\n"},
    {.group = "child", .verb = "show", .args = "CHILD_ID", .arg_count = 1, .run = run_child_show, .admin = ADMIN_PROFILE_SHOW,
     .api = "GET " API "/children/{child_id}/profile", .options = OPTIONS(DEVICE_OPTION),
     .summary = "Show what is known of a child with its toy, and its limits", .example = "  teddyctl child show child123\n"},
    {.group = "child", .verb = "report", .args = "CHILD_ID", .arg_count = 1, .run = run_child_report, .admin = ADMIN_REPORT,
     .api = "GET " API "/children/{child_id}/report",
     .options = OPTIONS(DEVICE_OPTION, OPTION("--days", "N", talk.days, NULL, "so many days back")),
     .summary = "Show the minutes of play and what was blocked, by day", .example = "  teddyctl child report child123 --days 30\n"},
    {.group = "admin-token", .verb = "create", .run = run_admin_token_create, .admin = ADMIN_TOKEN_CREATE, .api = "POST " API "/admin-tokens",
     .options = OPTIONS(OPTION("--role", "ROLE", role, "viewer operator owner", "viewer (reads), operator (looks after toys) or owner (secrets, tokens, what cannot be undone)"),
                        OPTION("--ttl", "TIME", ttl, NULL, "how long it lives: 3600, 12h, 30d; default 30d, at most 365d"),
                        PREFIX("good only for devices whose id begins with P"),
                        OPTION("--name", "NAME", name, NULL, "what it is for, as the list shows it")),
     .summary = "Make a token for the admin API over HTTPS; prints it, this once",
     .example = "  teddyctl admin-token create --role viewer --name dashboard --ttl 90d\n"
                "  teddyctl admin-token create --role operator --prefix Teddy-EU- --ttl 12h\n"},
    {.group = "admin-token", .verb = "list", .run = run_admin_token_list, .admin = ADMIN_TOKEN_LIST, .api = "GET " API "/admin-tokens",
     .summary = "List the admin tokens, never the tokens themselves", .example = "  teddyctl admin-token list\n"},
    {.group = "admin-token", .verb = "revoke", .args = "TOKEN_ID", .arg_count = 1, .run = run_admin_token_revoke, .admin = ADMIN_TOKEN_REVOKE,
     .api = "POST " API "/admin-tokens/{token_id}/revoke",
     .summary = "Revoke an admin token at once", .example = "  teddyctl admin-token revoke 1a2b3c4d\n"},
    {.group = "backup", .args = "FILE", .arg_count = 1, .run = run_backup, .where = WHERE_FILES,
     .options = OPTIONS(FLAG("--force", backup.force, "replace FILE when it is there and a backup")),
     .summary = "Copy the database into a file, whether a server runs or not",
     .notes = "The secrets in it are sealed. It does not hold the master key: keep that, the TLS key and the configuration as well, in another place.",
     .example = "  teddyctl backup /backup/teddy-2026-11-21.db\n  teddyctl backup --force /backup/teddy.db\n"},
    {.group = "restore", .args = "FILE", .arg_count = 1, .run = run_restore, .where = WHERE_STOPPED,
     .options = OPTIONS(FLAG("--check", backup.check, "only say whether FILE is whole, and what it needs"),
                        FLAG("--lost", backup.lost, "the present database is lost: do without what it knows")),
     .summary = "Put such a file in the database's place, or only check it",
     .notes = "All tokens end, and toys claim anew by themselves; admin tokens are revoked; children forgotten since stay so. The former database is kept beside.",
     .example = "  teddyctl restore --check /backup/teddy-2026-11-21.db\n  teddyctl restore /backup/teddy-2026-11-21.db\n"
                "  teddyctl restore --lost /backup/teddy-2026-11-21.db\n"},
    {.group = "audit", .verb = "tail", .run = run_audit_tail, .where = WHERE_FILES, .api = "GET " API "/audit",
     .options = OPTIONS(OPTION("-n", "COUNT", audit.last, NULL, "so many events; default 20"), FLAG("-f", audit.follow, "and those to come")),
     .summary = "Show the last events of the audit trail: -n COUNT of them, -f those to come",
     .example = "  teddyctl audit tail -n 50\n  teddyctl audit tail -f --json\n"},
    {.group = "audit", .verb = "verify", .run = run_audit_verify, .where = WHERE_FILES, .api = "GET " API "/audit/verify",
     .options = OPTIONS(OPTION("--head", "FILE", audit.head, "FILE", "heads that were kept elsewhere; - for standard input"),
                        OPTION("--from-export", "FILE", audit.from_export, "FILE", "not the database's trail, but that of an export"),
                        OPTION("--key", "FILE", audit.key, "FILE", "what audit key printed")),
     .summary = "Recompute the audit trail, and compare it with signed heads; names what was changed",
     .example = "  teddyctl audit verify\n  teddyctl audit verify --head heads.jsonl --key audit-key.pub\n"
                "  teddyctl audit verify --from-export audit.jsonl --key audit-key.pub\n"},
    {.group = "audit", .verb = "export", .args = "FILE", .arg_count = 1, .run = run_audit_export, .where = WHERE_FILES,
     .options = OPTIONS(OPTION("--from", "N", audit.from, NULL, "begin with this event")),
     .summary = "Write the events, --from one of them, and a signed head as lines of JSON",
     .example = "  teddyctl audit export audit.jsonl\n  teddyctl audit export --from 1001 - | gzip > audit.gz\n"},
    {.group = "audit", .verb = "head", .run = run_audit_head, .where = WHERE_FILES, .api = "GET " API "/audit/head", .shows_json = true,
     .summary = "Print a signed head of the audit trail, to be kept elsewhere",
     .example = "  teddyctl audit head | ssh elsewhere 'cat >> heads.jsonl'\n"},
    {.group = "audit", .verb = "key", .run = run_audit_key, .where = WHERE_FILES,
     .summary = "Print the public key that heads are signed with", .example = "  teddyctl audit key > audit-key.pub\n"},
    {.group = "routes", .run = run_routes, .where = WHERE_NOTHING, .api = "GET " API "/routes",
     .summary = "List method, pattern, who may call, handler, role needed", .example = "  teddyctl routes\n"},
    {.group = "status", .run = run_status, .where = WHERE_SERVER, .api = "GET " API "/status",
     .options = OPTIONS(FLAG("--watch", watch, "again each second, until interrupted")),
     .summary = "Show the running server at a glance",
     .example = "  teddyctl status\n  teddyctl status --json\n  teddyctl status --watch\n"},
    {.group = "doctor", .run = run_doctor, .where = WHERE_FILES,
     .summary = "Find what is wrong with the server's surroundings, and say what mends it",
     .notes = "Looks at the configuration, limits, clock, certificate, disk, database and ports, whether a server runs or not, and changes nothing but a file of its own that it removes. Run it as root, with --config as the server has it. Exit status 1 when something is wrong; warnings alone are no failure.",
     .example = "  teddyctl doctor --config /etc/teddy/teddyd.conf --data /var/lib/teddy\n  teddyctl doctor --json\n"},
    {.group = "master-key", .verb = "status", .run = run_master_key, .admin = ADMIN_MASTER_STATUS, .api = "GET " API "/master-key",
     .summary = "Show where the key that seals the secrets comes from, and its name",
     .example = "  teddyctl master-key status\n  teddyctl master-key status --json\n"},
    {.group = "master-key", .verb = "rotate", .run = run_master_key, .admin = ADMIN_MASTER_ROTATE, .api = "POST " API "/master-key/rotate",
     .summary = "Replace the key that seals the secrets; nothing is interrupted", .example = "  teddyctl master-key rotate\n"},
    {.group = "drain", .run = run_drain, .where = WHERE_SERVER, .api = "POST " API "/drain",
     .summary = "Send the toys elsewhere (1001 going_away) and end the server", .example = "  teddyctl drain\n"},
    {.group = "completion", .args = "SHELL", .arg_count = 1, .run = run_completion, .where = WHERE_NOTHING, .words = "bash zsh",
     .summary = "Print what completes the commands in a shell: bash or zsh",
     .example = "  source <(teddyctl completion bash)\n  teddyctl completion zsh > ~/.zfunc/_teddyctl\n"},
    {.group = "man", .args = "PAGE", .arg_count = 1, .run = run_man, .where = WHERE_NOTHING, .words = "teddyctl teddyd teddyd.conf",
     .summary = "Print a manual page: teddyctl, teddyd or teddyd.conf",
     .example = "  teddyctl man teddyctl | man -l -\n"},
};
/* clang-format on */
const size_t ctl_command_count = sizeof ctl_commands / sizeof ctl_commands[0];
