/* teddyctl man: manual pages from the table of commands and from that of the configuration. */
#include <ctype.h>
#include <string.h>

#include "cli/table.h"
#include "ops/config.h"
#include "tools/roff.h"

static const char teddyctl_about[] =
    "Registers toys and looks after a Teddy server. It talks to the server that runs on the data "
    "directory, over its admin socket; when none runs, commands on the registry work on its "
    "database directly. It runs as root or as the server's own user.\n"
    "\n"
    "Options may stand anywhere on the line. Lists are tables on a terminal, otherwise lines with "
    "tabs and no titles, in which nothing is cut. With --json every command prints JSON: one line, "
    "or of a stream one line for each. Long work shows its progress on a terminal, on standard "
    "error, unless --quiet or --json is given.\n";

static const char exit_status[] =
    "0: done.\n"
    "\n"
    "1: failed; the last line on standard error says why, and what to do. Of doctor: something is "
    "wrong. Of audit verify: the trail is not as it was written. Output that could not be written "
    "is a failure too.\n"
    "\n"
    "2: wrong usage: no such command or option, or a value that cannot be meant.\n";

static void put_options(FILE *out, const struct ctl_option *options)
{
    char tag[64];

    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++) {
        (void)snprintf(tag, sizeof tag, "%s%s%s", o->name, o->value != NULL ? " " : "",
                       o->value != NULL ? o->value : "");
        roff_item(out, tag, o->text);
    }
}

static void put_command(FILE *out, const struct ctl_command *c)
{
    char name[96], where[320];
    const char *role = command_role(c);

    command_name(c, true, name);
    (void)fputs(".SS ", out);
    roff_text(out, name);
    (void)snprintf(where, sizeof where, "%s. %s.%s%s%s%s%s", c->summary, command_where(c),
                   role != NULL ? " Over HTTPS: " : "", role != NULL ? c->api : "",
                   role != NULL ? ", role " : "", role != NULL ? role : "",
                   role != NULL ? "." : "");
    roff_text(out, where);
    if (c->notes != NULL) {
        (void)fputs(".PP\n", out);
        roff_text(out, c->notes);
    }
    put_options(out, c->options);
    (void)fputs(".PP\n", out);
    roff_lines(out, c->example);
}

static void page_teddyctl(FILE *out)
{
    roff_begin(out, "teddyctl", 1, TEDDY_VERSION, "register toys and look after a Teddy server");
    roff_section(out, "SYNOPSIS");
    roff_text(out, "teddyctl [--data DIR] [--config FILE] [--json] COMMAND [ARGUMENT…] [OPTION…]");
    roff_section(out, "DESCRIPTION");
    roff_lines(out, teddyctl_about);
    roff_section(out, "OPTIONS");
    put_options(out, ctl_globals);
    roff_section(out, "COMMANDS");
    for (size_t i = 0; i < ctl_command_count; i++)
        put_command(out, &ctl_commands[i]);
    roff_section(out, "EXIT STATUS");
    roff_lines(out, exit_status);
    roff_section(out, "ENVIRONMENT");
    roff_item(out, "TEDDY_CONFIG", "the configuration file, as --config");
    roff_item(out, "TEDDY_DATA, STATE_DIRECTORY, XDG_DATA_HOME", "where the data directory is");
    roff_item(out, "TEDDY_MASTER_KEY, TEDDY_MASTER_KEY_FILE",
              "the key that seals the secrets, for work without a server");
    roff_item(out, "NO_COLOR", "set and not empty: no colours");
    roff_item(out, "TERM", "dumb: no colours and no progress");
    roff_see_also(out, "teddyd(8), teddyd.conf(5), teddy-device(1), teddy-sim(1)");
}

static void page_teddyd(FILE *out)
{
    roff_begin(out, "teddyd", 8, TEDDY_VERSION, "server of talking toys");
    roff_section(out, "SYNOPSIS");
    roff_text(out, "teddyd [--config FILE] [--KEY VALUE]…");
    roff_section(out, "DESCRIPTION");
    roff_lines(out,
               "Pairs toys with children, keeps their sessions over WebSocket and TLS and answers "
               "what they say. Without any setting it serves on https://127.0.0.1:8443 with keys "
               "and a development certificate that it makes in its data directory.\n"
               "\n"
               "It prints one line when it serves, ready and its address, and is operated with "
               "teddyctl(1).\n");
    roff_section(out, "OPTIONS");
    roff_item(out, "--config FILE",
              "a file of settings, teddyd.conf(5); or name it in TEDDY_CONFIG");
    roff_item(out, "--KEY VALUE, --KEY=VALUE",
              "any key of teddyd.conf(5), with dashes for its underscores");
    roff_item(out, "--no-tls", "the same as --tls off");
    roff_item(out, "--help, --help-config, --version",
              "print the settings, the reference of them as Markdown, the version");
    roff_section(out, "SIGNALS");
    roff_item(out, "SIGHUP",
              "reads tls_cert and tls_key anew; when they are bad the old ones stay");
    roff_item(out, "SIGTERM, SIGINT",
              "drains: sessions are sent away (1012), requests in flight are answered, the store "
              "is closed");
    roff_section(out, "EXIT STATUS");
    roff_lines(out, "0: ended in order. 1: failed; a line on standard error says why. 2: wrong "
                    "usage.\n");
    roff_section(out, "EXAMPLES");
    roff_lines(out, "  teddyd\n  teddyd --config /etc/teddy/teddyd.conf --data /var/lib/teddy\n"
                    "  teddyd --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem\n");
    roff_see_also(out, "teddyd.conf(5), teddyctl(1)");
}

static void put_key(void *arg, const struct config_about *key)
{
    char text[1024];
    FILE *out = arg;

    (void)snprintf(text, sizeof text, "%s. %s; default: %s.", key->help, key->range,
                   key->value[0] != '\0' ? key->value : "empty");
    text[0] = (char)toupper((unsigned char)text[0]);
    roff_item(out, key->name, text);
}

static void page_conf(FILE *out)
{
    roff_begin(out, "teddyd.conf", 5, TEDDY_VERSION, "configuration of teddyd");
    roff_section(out, "DESCRIPTION");
    roff_lines(out,
               "Lines of KEY = VALUE; # or ; begins a comment. A line has at most 199 bytes; there "
               "are no sections, and no key stands twice. The file is named by --config or "
               "TEDDY_CONFIG; the Debian package's is /etc/teddy/teddyd.conf.\n"
               "\n"
               "Every key is a flag of teddyd(8) as well (--log-format json) and a variable of the "
               "environment (TEDDY_LOG_FORMAT=json). A flag counts most, then the environment, "
               "then the file. An unknown key, and a value out of its range, stop the server at "
               "start with one line that names the place.\n");
    roff_section(out, "KEYS");
    config_each(put_key, out);
    roff_section(out, "EXAMPLES");
    roff_lines(out, "  listen = 0.0.0.0:443\n  tls_cert = /etc/teddy/tls/fullchain.pem\n"
                    "  tls_key = /etc/teddy/tls/privkey.pem\n  log_format = json\n");
    roff_see_also(out, "teddyd(8), teddyctl(1)");
}

int run_man(struct ctl *ctl, const char *page)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } pages[] = {{"teddyctl", page_teddyctl}, {"teddyd", page_teddyd}, {"teddyd.conf", page_conf}};

    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (strcmp(pages[i].name, page) == 0)
            return print_text(ctl, "page", pages[i].print);
    return usage("'%.60s' is no page: teddyctl, teddyd or teddyd.conf; see teddyctl man --help",
                 page);
}
