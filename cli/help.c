/* What --help says, from the table of commands. */
#include <string.h>

#include "api/routes.h"
#include "cli/table.h"

#define COLUMNS 100

static const char intro[] =
    "Registers toys and looks after a Teddy server. It talks to the server that runs on the data "
    "directory; when none runs, commands on the registry work on its database directly.";
static const char outro[] =
    "Lists are tables on a terminal, otherwise lines with tabs and no titles. NO_COLOR in the "
    "environment turns colours off.\n"
    "\n"
    "Examples:\n"
    "  teddyctl device add Teddy-ESP32-0001\n"
    "  teddyctl import toys.csv\n"
    "  teddyctl session list\n"
    "  teddyctl doctor\n"
    "\n"
    "More: teddyctl COMMAND --help, man teddyctl.\n"
    "\n"
    "Exit status: 0 done, 1 failed (the last line on stderr says why, and what to do), 2 wrong "
    "usage.\n";

void command_name(const struct ctl_command *c, bool args, char out[96])
{
    bool more = args && c->args != NULL;

    (void)snprintf(out, 96, "%s%s%s%s%s", c->group, c->verb != NULL ? " " : "",
                   c->verb != NULL ? c->verb : "", more ? " " : "", more ? c->args : "");
}

bool is_group(const char *word)
{
    for (size_t i = 0; i < ctl_command_count; i++)
        if (ctl_commands[i].verb != NULL && strcmp(ctl_commands[i].group, word) == 0)
            return true;
    return false;
}

bool command_begins_group(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(ctl_commands[i].group, ctl_commands[at].group) == 0)
            return false;
    return true;
}

const char *command_role(const struct ctl_command *c)
{
    const char *space = c->api != NULL ? strchr(c->api, ' ') : NULL;

    for (size_t i = 0; space != NULL && i < teddy_routes_count; i++) {
        const struct route *r = &teddy_routes[i];
        size_t len = strlen(r->method);
        if (len == (size_t)(space - c->api) && strncmp(r->method, c->api, len) == 0 &&
            strcmp(r->pattern, space + 1) == 0)
            return route_role_name(r->role);
    }
    return NULL;
}

const char *command_where(const struct ctl_command *c)
{
    static const char *const says[] = {
        [WHERE_EITHER] = "Works with a running server and without one",
        [WHERE_SERVER] = "Needs a running server",
        [WHERE_FILES] = "Reads the data directory, whether a server runs or not",
        [WHERE_STOPPED] = "For while no server runs",
        [WHERE_NOTHING] = "Needs no server",
    };

    return says[c->where];
}

void help_wrap(FILE *out, const char *text, int at, int by, int to)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (at > by && at + 1 + (int)len > to) {
            (void)fprintf(out, "\n%*s", by, "");
            at = by;
        } else if (at > by) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fprintf(out, "%.*s", (int)len, text);
        at += (int)len;
        text += len;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

static void help_rows(FILE *out, const char *group)
{
    char name[96];

    for (size_t i = 0; i < ctl_command_count; i++) {
        if (group != NULL && strcmp(ctl_commands[i].group, group) != 0)
            continue;
        command_name(&ctl_commands[i], true, name);
        (void)fprintf(out, "  %-33s %s\n", name, ctl_commands[i].summary);
    }
}

static void help_options(FILE *out, const struct ctl_option *options)
{
    char name[64];

    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++) {
        int len = snprintf(name, sizeof name, "%s%s%s", o->name, o->value != NULL ? " " : "",
                           o->value != NULL ? o->value : "");
        (void)fprintf(out, "  %-20s ", name);
        help_wrap(out, o->text, len > 20 ? len + 3 : 23, 23, COLUMNS);
    }
}

static void help_globals(FILE *out)
{
    (void)fputs("\nOptions, anywhere on the line:\n", out);
    help_options(out, ctl_globals);
}

/* ---- The same as JSON, for programs ---- */

static json_t *options_json(const struct ctl_option *options)
{
    json_t *list = json_array();

    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s?, s:s}", "name", o->name, "value",
                                                    o->value, "text", o->text));
    return list;
}

static json_t *command_json(const struct ctl_command *c)
{
    char name[96];

    command_name(c, false, name);
    return json_pack("{s:s, s:s?, s:i, s:i, s:s, s:s?, s:s, s:s?, s:s?, s:o, s:s}", "name", name,
                     "args", c->args, "args_needed", c->arg_count, "args_more", c->arg_more,
                     "summary", c->summary, "notes", c->notes, "where", command_where(c), "api",
                     c->api, "role", command_role(c), "options", options_json(c->options),
                     "examples", c->example);
}

static int print_commands(const char *group, const struct ctl_command *only)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        if ((group == NULL || strcmp(c->group, group) == 0) && (only == NULL || only == c))
            (void)json_array_append_new(list, command_json(c));
    }
    json_t *json = json_pack("{s:o, s:o}", "commands", list, "options", options_json(ctl_globals));
    int rc = json != NULL ? print_json(json) : fail("out of memory");
    json_decref(json);
    return rc;
}

/* ---- For people ---- */

int help_all(const struct ctl *ctl)
{
    if (ctl->json)
        return print_commands(NULL, NULL);
    (void)fputs("usage: teddyctl [--data DIR] [--json] COMMAND\n\n", stdout);
    help_wrap(stdout, intro, 0, 0, COLUMNS);
    (void)fputs("\nCommands:\n", stdout);
    help_rows(stdout, NULL);
    help_globals(stdout);
    (void)fprintf(stdout, "\n%s", outro);
    return CTL_DONE;
}

int help_group(const struct ctl *ctl, const char *group)
{
    if (ctl->json)
        return print_commands(group, NULL);
    (void)printf("usage: teddyctl %s COMMAND\n\nCommands:\n", group);
    help_rows(stdout, group);
    help_globals(stdout);
    (void)fputs("\nExamples:\n", stdout);
    for (size_t i = 0; i < ctl_command_count; i++)
        if (strcmp(ctl_commands[i].group, group) == 0)
            (void)printf("%.*s\n", (int)strcspn(ctl_commands[i].example, "\n"),
                         ctl_commands[i].example);
    return CTL_DONE;
}

int help_command(const struct ctl *ctl, const struct ctl_command *c)
{
    char name[96];

    if (ctl->json)
        return print_commands(NULL, c);
    command_name(c, true, name);
    (void)printf("usage: teddyctl %s%s\n\n%s.\n", name, c->options != NULL ? " [options]" : "",
                 c->summary);
    if (c->notes != NULL)
        help_wrap(stdout, c->notes, 0, 0, COLUMNS);
    (void)printf("%s.", command_where(c));
    if (c->api != NULL)
        (void)printf(" Over HTTPS: %s, role %s.", c->api, command_role(c));
    (void)fputs("\n", stdout);
    if (c->options != NULL)
        (void)fputs("\nOptions of this command:\n", stdout);
    help_options(stdout, c->options);
    help_globals(stdout);
    (void)printf("\nExamples:\n%s", c->example);
    return CTL_DONE;
}
