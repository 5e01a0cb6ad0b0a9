/* teddyctl: reads the command line and runs the command. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ctl.h"

/* "--name VALUE" or "--name=VALUE": true, with *value, or with *status when it is missing. */
static bool option(const char *name, char **argv, int argc, int *i, const char **value, int *status)
{
    size_t len = strlen(name);

    if (strncmp(argv[*i], name, len) != 0 || (argv[*i][len] != '=' && argv[*i][len] != '\0'))
        return false;
    if (argv[*i][len] == '=')
        *value = argv[*i] + len + 1;
    else if (*i + 1 < argc)
        *value = argv[++*i];
    else
        *status = usage("%s needs a value", name);
    return true;
}

static int take_option(struct ctl *ctl, char **argv, int argc, int *i)
{
    const char *arg = argv[*i];
    int status = CTL_DONE;

    if (option("--data", argv, argc, i, &ctl->data, &status) ||
        option("--config", argv, argc, i, &ctl->config, &status) ||
        option("--secret", argv, argc, i, &ctl->secret, &status) ||
        option("--secret-file", argv, argc, i, &ctl->secret_file, &status) ||
        option("--alg", argv, argc, i, &ctl->alg, &status) ||
        option("--expires", argv, argc, i, &ctl->expires, &status) ||
        option("--object", argv, argc, i, &ctl->object, &status) ||
        option("--role", argv, argc, i, &ctl->role, &status) ||
        option("--ttl", argv, argc, i, &ctl->ttl, &status) ||
        option("--prefix", argv, argc, i, &ctl->prefix, &status) ||
        option("--name", argv, argc, i, &ctl->name, &status) ||
        option("--count", argv, argc, i, &ctl->batch.count, &status) ||
        option("--first", argv, argc, i, &ctl->batch.first, &status) ||
        option("--digits", argv, argc, i, &ctl->batch.digits, &status) ||
        option("--out", argv, argc, i, &ctl->batch.out, &status) ||
        option("--device", argv, argc, i, &ctl->talk.device, &status) ||
        option("--days", argv, argc, i, &ctl->talk.days, &status) ||
        option("--processor", argv, argc, i, &ctl->talk.processor, &status) ||
        option("--head", argv, argc, i, &ctl->audit.head, &status) ||
        option("--from-export", argv, argc, i, &ctl->audit.from_export, &status) ||
        option("--key", argv, argc, i, &ctl->audit.key, &status) ||
        option("--from", argv, argc, i, &ctl->audit.from, &status) ||
        option("--to", argv, argc, i, &ctl->fleet.to, &status) ||
        option("--limit", argv, argc, i, &ctl->fleet.limit, &status) ||
        option("--part", argv, argc, i, &ctl->fleet.part, &status) ||
        option("--state", argv, argc, i, &ctl->fleet.state, &status) ||
        option("-n", argv, argc, i, &ctl->audit.last, &status))
        return status;
    if (strcmp(arg, "--json") == 0)
        ctl->json = true;
    else if (strcmp(arg, "--now") == 0)
        ctl->now = true;
    else if (strcmp(arg, "--force") == 0)
        ctl->backup.force = true;
    else if (strcmp(arg, "--check") == 0)
        ctl->backup.check = true;
    else if (strcmp(arg, "--lost") == 0)
        ctl->backup.lost = true;
    else if (strcmp(arg, "-f") == 0)
        ctl->audit.follow = true;
    else if (strcmp(arg, "--online") == 0)
        ctl->fleet.online = true;
    else if (strcmp(arg, "--offline") == 0)
        ctl->fleet.offline = true;
    else if (strcmp(arg, "--rotate") == 0)
        ctl->rotate = true;
    else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        ctl->help = true;
    else
        return usage("unknown option '%.60s'; see teddyctl --help", arg);
    return CTL_DONE;
}

static int read_line(struct ctl *ctl, int argc, char **argv)
{
    bool options = true;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        int rc = CTL_DONE;
        if (options && strcmp(arg, "--") == 0)
            options = false;
        else if (options && arg[0] == '-' && arg[1] != '\0')
            rc = take_option(ctl, argv, argc, &i);
        else if (ctl->word_count == (int)(sizeof ctl->words / sizeof ctl->words[0]))
            rc = usage("too many words; see teddyctl --help");
        else
            ctl->words[ctl->word_count++] = arg;
        if (rc != CTL_DONE)
            return rc;
    }
    if (ctl->word_count > 0 && strcmp(ctl->words[0], "help") == 0) {
        ctl->help = true;
        ctl->word_count--;
        memmove(ctl->words, ctl->words + 1, (size_t)ctl->word_count * sizeof ctl->words[0]);
    }
    return CTL_DONE;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < ctl_command_count; i++)
        if (ctl_commands[i].verb != NULL && strcmp(ctl_commands[i].group, word) == 0)
            return true;
    return false;
}

static const struct ctl_command *find_command(const struct ctl *ctl)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        if (ctl->word_count == 0 || strcmp(c->group, ctl->words[0]) != 0)
            continue;
        if (c->verb == NULL || (ctl->word_count > 1 && strcmp(c->verb, ctl->words[1]) == 0))
            return c;
    }
    return NULL;
}

static int no_command(const struct ctl *ctl)
{
    const char *word = ctl->word_count > 0 ? ctl->words[0] : NULL;

    if (ctl->help && (word == NULL || (is_group(word) && ctl->word_count == 1))) {
        if (word == NULL)
            help_all(stdout);
        else
            help_group(stdout, word);
        return CTL_DONE;
    }
    if (word == NULL)
        return usage("a command is missing; see teddyctl --help");
    if (!is_group(word))
        return usage("unknown command '%.60s'; see teddyctl --help", word);
    if (ctl->word_count == 1)
        return usage("%s what? see teddyctl %s --help", word, word);
    return usage("unknown command '%s %.60s'; see teddyctl %s --help", word, ctl->words[1], word);
}

/* What was given and this command does not take; NULL: nothing. */
static const char *foreign_option(const struct ctl *ctl)
{
    const struct ctl_command *c = ctl->command;
    const struct ctl_batch *b = &ctl->batch;
    const struct ctl_audit *a = &ctl->audit;
    const struct ctl_fleet *f = &ctl->fleet;
    bool creates = c->run == run_batch_create, token = c->admin == ADMIN_TOKEN_CREATE;

    if ((ctl->secret != NULL || ctl->secret_file != NULL) && !c->takes_secret)
        return "secret";
    if ((ctl->expires != NULL || ctl->object != NULL) && !c->takes_message)
        return "--expires or --object";
    if ((ctl->alg != NULL || ctl->now) && strcmp(c->group, "key") != 0)
        return "--alg or --now";
    if (ctl->rotate && c->admin != ADMIN_RELEASE)
        return "--rotate";
    if ((ctl->role != NULL || ctl->ttl != NULL || ctl->name != NULL) && !token)
        return "--role, --ttl or --name";
    if ((b->count != NULL || b->first != NULL || b->digits != NULL) && !creates)
        return "--count, --first or --digits";
    if (b->out != NULL && !creates && c->run != run_child_forget && c->run != run_child_export)
        return "--out";
    if (ctl->talk.device != NULL && c->run != run_child_set && c->run != run_child_show &&
        c->run != run_child_report && c->run != run_audit_tail)
        return "--device";
    if ((ctl->talk.days != NULL && c->run != run_child_report) ||
        (ctl->talk.processor != NULL && c->run != run_device_set))
        return "--days or --processor";
    if (ctl->backup.force && c->run != run_backup)
        return "--force";
    if ((ctl->backup.check || ctl->backup.lost) && c->run != run_restore)
        return "--check or --lost";
    if (ctl->prefix != NULL && !token && !creates && c->run != run_batch_list &&
        c->run != run_import && c->run != run_device_list)
        return "--prefix";
    if ((f->part != NULL || f->state != NULL || f->online || f->offline) &&
        c->run != run_device_list)
        return "--part, --state, --online or --offline";
    if ((f->to != NULL || f->limit != NULL) && c->run != run_device_telemetry)
        return "--to or --limit";
    if (a->from != NULL && c->run != run_device_telemetry && strcmp(c->group, "audit") != 0)
        return "--from";
    if ((a->head != NULL || a->from_export != NULL || a->last != NULL || a->follow ||
         (a->key != NULL && c->run != run_child_verify)) &&
        strcmp(c->group, "audit") != 0)
        return "option of audit";
    return NULL;
}

static int run_command(struct ctl *ctl)
{
    const struct ctl_command *c = ctl->command;
    int own = c->verb != NULL ? 2 : 1;
    int most = c->arg_count + (c->takes_message ? 1 : 0) + (c->run == run_child_set ? 8 : 0);
    const char *verb = c->verb != NULL ? c->verb : "", *space = c->verb != NULL ? " " : "";

    if (ctl->help) {
        help_command(stdout, c);
        return CTL_DONE;
    }
    if (ctl->word_count - own < c->arg_count)
        return usage("%s%s%s: %s is missing; see teddyctl %s%s%s --help", c->group, space, verb,
                     c->args, c->group, space, verb);
    if (ctl->word_count - own > most)
        return usage("%s%s%s: '%.60s' is too much; see teddyctl %s%s%s --help", c->group, space,
                     verb, ctl->words[own + most], c->group, space, verb);
    if (foreign_option(ctl) != NULL)
        return usage("%s%s%s takes no %s", c->group, space, verb, foreign_option(ctl));
    return c->run(ctl, c->arg_count > 0 ? ctl->words[own] : NULL);
}

int main(int argc, char **argv)
{
    struct ctl ctl = {.uid = getuid()};
    int rc;

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("teddyctl %s\n", TEDDY_VERSION);
        return CTL_DONE;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* who closed our output is told by exit status */
    rc = read_line(&ctl, argc, argv);
    if (rc != CTL_DONE)
        return rc;
    ctl.command = find_command(&ctl);
    rc = ctl.command != NULL ? run_command(&ctl) : no_command(&ctl);
    if (fflush(stdout) != 0 && rc == CTL_DONE)
        rc = CTL_FAILED;
    return rc;
}
