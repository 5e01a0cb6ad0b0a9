#include <stdio.h>
#include <string.h>

#include "cli/ctl.h"

static void name_of(const struct ctl_command *c, char out[96])
{
    (void)snprintf(out, 96, "%s%s%s%s%s", c->group, c->verb != NULL ? " " : "",
                   c->verb != NULL ? c->verb : "", c->args[0] != '\0' ? " " : "", c->args);
}

static void help_rows(FILE *out, const char *group)
{
    char name[96];

    for (size_t i = 0; i < ctl_command_count; i++) {
        if (group != NULL && strcmp(ctl_commands[i].group, group) != 0)
            continue;
        name_of(&ctl_commands[i], name);
        (void)fprintf(out, "  %-28s %s\n", name, ctl_commands[i].summary);
    }
}

static void help_options(FILE *out)
{
    (void)fputs("\nOptions, anywhere on the line:\n"
                "  --data DIR      the server's data directory; default: as the server finds it\n"
                "                  (TEDDY_DATA, $STATE_DIRECTORY, $XDG_DATA_HOME/teddy, "
                "~/.local/share/teddy)\n"
                "  --config FILE   the server's configuration file, for its data directory\n"
                "  --json          print JSON, one line\n"
                "  --help          print this, or more about a command\n"
                "  --version       print the version\n",
                out);
}

void help_all(FILE *out)
{
    (void)fputs(
        "usage: teddyctl [--data DIR] [--json] COMMAND\n"
        "\n"
        "Registers toys and looks after a Teddy server. It talks to the server that runs on the "
        "data\n"
        "directory; when none runs, commands on the registry work on its database directly.\n"
        "\n"
        "Commands:\n",
        out);
    help_rows(out, NULL);
    help_options(out);
    (void)fputs("\nLists are tables on a terminal, otherwise lines with tabs and no titles.\n"
                "\n"
                "Examples:\n"
                "  teddyctl device add Teddy-ESP32-0001\n"
                "  teddyctl import toys.csv\n"
                "  teddyctl session list\n"
                "\n"
                "Exit status: 0 done, 1 failed (one line on stderr says why), 2 wrong usage.\n",
                out);
}

void help_group(FILE *out, const char *group)
{
    (void)fprintf(out, "usage: teddyctl %s COMMAND\n\nCommands:\n", group);
    help_rows(out, group);
    help_options(out);
}

static const char *options_of(const struct ctl_command *c)
{
    if (c->takes_secret)
        return " [--secret HEX | --secret-file FILE]";
    if (c->takes_message)
        return " [--expires SECONDS]\n"
               "       teddyctl send ID --object JSON [--expires SECONDS]";
    if (c->run == run_console_link)
        return " [--role ROLE] [--ttl TIME] [--prefix P] [--name NAME]";
    if (c->admin == ADMIN_TOKEN_CREATE)
        return " --role ROLE [--ttl TIME] [--prefix P] [--name NAME]";
    if (c->run == run_backup)
        return " [--force]";
    if (c->run == run_restore)
        return " [--check | --lost]";
    if (c->run == run_child_forget || c->run == run_child_export)
        return " [--out FILE]";
    if (c->run == run_child_set)
        return " [--device ID] NAME=VALUE …";
    if (c->run == run_child_show)
        return " [--device ID]";
    if (c->run == run_child_report)
        return " [--device ID] [--days N]";
    if (c->run == run_device_set)
        return " --processor NAME";
    if (c->run == run_child_verify)
        return " --key FILE";
    if (c->run == run_device_list)
        return " [--prefix P] [--part TEXT] [--state STATE] [--online | --offline]";
    if (c->run == run_device_telemetry)
        return " [--from SECONDS] [--to SECONDS] [--limit N]";
    if (c->run == run_audit_tail)
        return " [-n COUNT] [-f | --device ID]";
    if (c->admin == ADMIN_RELEASE)
        return " [--rotate]";
    if (strcmp(c->group, "key") != 0 || strcmp(c->verb, "list") == 0)
        return "";
    return strcmp(c->verb, "add") == 0 ? " [--alg HS256|ES256] [--now]" : " [--now]";
}

static void help_batch(FILE *out, const struct ctl_command *c)
{
    if (c->run == run_batch_create)
        (void)fputs(
            "\n  --count N      how many, up to 100000\n"
            "  --prefix P     each id is the prefix and a number\n"
            "  --first N      the first number; default: behind the highest that follows the "
            "prefix\n"
            "  --digits N     of the number, with zeros in front; default: 6, or as many as "
            "needed\n"
            "  --out DIR      is made: nvs-config.csv and nvs-values.csv for ESP-IDF's "
            "mfg_gen.py,\n"
            "                 labels-*.svg to print, manifest.json with their checksums\n"
            "After an interruption the same command finishes the batch, or begins it anew. DIR "
            "holds "
            "the\n"
            "secrets: keep it as private as the server's data, and delete it when the toys are "
            "written.\n",
            out);
    else if (c->run == run_batch_list)
        (void)fputs("\n  --prefix P     only those of this prefix\n", out);
    else if (c->run == run_import)
        (void)fputs("\n  --prefix P     each id has to begin with it\n"
                    "A line is device_id,oob_secret; when the first line names its columns, they "
                    "may come in\n"
                    "any order and with others. Each bad line is named, and then none is "
                    "imported. A toy\n"
                    "that is registered already, with this secret, is passed over.\n",
                    out);
}

static void help_devices(FILE *out, const struct ctl_command *c)
{
    if (c->run == run_device_list)
        (void)fputs("\n  --prefix P     whose id begins so; fast with any number of toys\n"
                    "  --part TEXT    with this in the id or the firmware's version, in any case;\n"
                    "                 looks at each toy\n"
                    "  --state STATE  claimed, lapsed (has to claim again), unclaimed, disabled\n"
                    "  --online       with an open session; --offline: without\n",
                    out);
    else if (c->run == run_device_telemetry)
        (void)fputs("\n  --from, --to   seconds since 1970, as of: date -d yesterday +%s\n"
                    "  --limit N      the newest so many, up to 4096\n"
                    "The server keeps one report in telemetry_interval_s for "
                    "retention_telemetry_days.\n",
                    out);
    else if (c->run == run_device_sessions)
        (void)fputs("\nThe last 50, for retention_sessions_days; one that is open is not among "
                    "them: session list.\n",
                    out);
}

static void help_backup(FILE *out, const struct ctl_command *c)
{
    if (c->run == run_backup)
        (void)fputs("\n  --force   replace FILE when it is there\n"
                    "The secrets in it are sealed. It does not hold the master key: keep that, the "
                    "TLS key and\n"
                    "the configuration as well, in another place.\n",
                    out);
    else if (c->run == run_restore)
        (void)fputs(
            "\n  --check   only say whether FILE is whole, and what it needs\n"
            "  --lost    the present database is lost: do without what it knows\n"
            "For while no server runs. All tokens end, and toys claim anew by themselves; admin "
            "tokens are\n"
            "revoked; children forgotten since stay so. The former database is kept beside.\n",
            out);
}

void help_command(FILE *out, const struct ctl_command *c)
{
    char name[96];

    name_of(c, name);
    (void)fprintf(out, "usage: teddyctl %s%s\n\n%s.\n", name, options_of(c), c->summary);
    if (c->takes_message)
        (void)fputs(
            "\n  --expires SECONDS   how long it may wait; default: the server's "
            "downlink_expiry_s\n"
            "  --object JSON       an object for the toy's program in place of words\n"
            "With - as TEXT the words come from standard input, where the list of processes "
            "does not\n"
            "show them. A toy that is online gets the message at once, another when it comes "
            "back.\n"
            "Prints the message's id and when it expires as JSON.\n",
            out);
    if (c->takes_secret)
        (void)fputs("\n  --secret HEX         the toy's secret, 64 hex digits; other users can see "
                    "it in the\n"
                    "                       list of processes while the command runs\n"
                    "  --secret-file FILE   the same from a file, or with - from standard input\n"
                    "Without either the server makes a secret. It is shown this once.\n",
                    out);
    if (strcmp(c->group, "key") == 0 && strcmp(c->verb, "add") == 0)
        (void)fputs("\n  --alg ALG   HS256, a secret of the server, or ES256, which others verify "
                    "with the\n"
                    "              public key at /.well-known/jwks.json; default: as the present "
                    "signer\n"
                    "  --now       have an ES256 key sign at once, though who has read the keys "
                    "before\n"
                    "              does not know it for up to five minutes\n"
                    "The key that signed until then verifies until its last token has expired.\n",
                    out);
    if (strcmp(c->group, "key") == 0 && strcmp(c->verb, "retire") == 0)
        (void)fputs("\n  --now   somebody has the key: it is forgotten at once, its tokens are "
                    "refused, and\n"
                    "          sessions that began with one are closed (1008 token_revoked)\n"
                    "The key that signs gets a successor of its kind.\n",
                    out);
    if (c->admin == ADMIN_TOKEN_CREATE)
        (void)fputs("\n  --role ROLE     viewer (reads), operator (looks after toys) or owner "
                    "(secrets, tokens, what\n"
                    "                  cannot be undone)\n"
                    "  --ttl TIME      how long it lives: 3600, 12h, 30d; default 30d, at most "
                    "365d\n"
                    "  --prefix P      good only for devices whose id begins with P\n"
                    "  --name NAME     what it is for, as the list shows it\n",
                    out);
    if (c->run == run_child_forget)
        (void)fputs("\n  --out FILE   the receipt there, too\n"
                    "Its toys' sessions end at once, and they have to claim again. The receipt "
                    "says how many\n"
                    "rows of which table were erased, and when; it names the child by the "
                    "pseudonym that it had\n"
                    "in the audit trail, whose key is erased as well.\n",
                    out);
    if (c->run == run_child_set)
        (void)fputs("\n  --device ID       which toy; it may be left out when the child has one\n"
                    "  name=TEXT         as the toy is to call it; empty: not known\n"
                    "  age=YEARS         0: not known, and then every age rule applies\n"
                    "  language=TAG      en, es-MX, …\n"
                    "  quiet=HH:MM-HH:MM quiet hours, in the zone of tz; empty: none\n"
                    "  tz=ZONE           Europe/Berlin, …; empty: UTC\n"
                    "  minutes=N         of play a day; 0: no limit\n"
                    "  memory=on|off|default   off also erases what is remembered\n"
                    "  alert_words=on|off      whether an alert may quote the child\n",
                    out);
    if (c->admin == ADMIN_RELEASE)
        (void)fputs("\n  --rotate   give it a new secret as well, printed as JSON this once: for a "
                    "bench that writes\n"
                    "             it into the toy before somebody else gets it\n"
                    "Its own secret, and what makes an old claim of it a replay, stay otherwise.\n",
                    out);
    help_batch(out, c);
    help_backup(out, c);
    help_devices(out, c);
    help_options(out);
    (void)fprintf(out, "\nExamples:\n%s", c->example);
}
