/* teddyctl: finds the command that is meant and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/table.h"

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

static int unknown_command(const char *word)
{
    struct near near = near_begin(word);
    char hint[128];

    near_try(&near, "help");
    for (size_t i = 0; i < ctl_command_count; i++)
        near_try(&near, ctl_commands[i].group);
    near_say(&near, hint);
    return usage("unknown command '%.60s'%s teddyctl --help", word, hint);
}

static int unknown_verb(const char *group, const char *word)
{
    struct near near = near_begin(word);
    char hint[128];

    for (size_t i = 0; i < ctl_command_count; i++)
        if (strcmp(ctl_commands[i].group, group) == 0)
            near_try(&near, ctl_commands[i].verb);
    near_say(&near, hint);
    return usage("unknown command '%s %.60s'%s teddyctl %s --help", group, word, hint, group);
}

static int no_command(const struct ctl *ctl)
{
    const char *word = ctl->word_count > 0 ? ctl->words[0] : NULL;

    if (ctl->help && word == NULL)
        return help_all(ctl);
    if (word == NULL)
        return usage("a command is missing; see teddyctl --help");
    if (!is_group(word))
        return unknown_command(word);
    if (ctl->help && ctl->word_count == 1)
        return help_group(ctl, word);
    if (ctl->word_count == 1)
        return usage("%s what? see teddyctl %s --help", word, word);
    return unknown_verb(word, ctl->words[1]);
}

static int run_command(struct ctl *ctl)
{
    const struct ctl_command *c = ctl->command;
    int own = c->verb != NULL ? 2 : 1, most = own + c->arg_count + c->arg_more;
    const char *foreign = words_foreign(ctl, c);
    char name[96];

    command_name(c, false, name);
    if (ctl->help)
        return help_command(ctl, c);
    if (ctl->word_count - own < c->arg_count)
        return usage("%s: %s is missing; see teddyctl %s --help", name, c->args, name);
    if (ctl->word_count > most)
        return usage("%s: '%.60s' is too much; see teddyctl %s --help", name, ctl->words[most],
                     name);
    if (foreign != NULL)
        return usage("%s takes no %s; see teddyctl %s --help", name, foreign, name);
    print_only_shows(c->api != NULL && strncmp(c->api, "GET ", 4) == 0);
    return c->run(ctl, c->arg_count > 0 ? ctl->words[own] : NULL);
}

static int print_version(const struct ctl *ctl)
{
    if (!ctl->json)
        return printf("teddyctl %s\n", TEDDY_VERSION) > 0 ? CTL_DONE : CTL_FAILED;
    json_t *json = json_pack("{s:s, s:s}", "program", "teddyctl", "version", TEDDY_VERSION);
    int rc = json != NULL ? print_json(json) : fail("out of memory");
    json_decref(json);
    return rc;
}

int main(int argc, char **argv)
{
    struct ctl ctl = {.uid = getuid()};
    int rc;

    (void)signal(SIGPIPE, SIG_IGN); /* who closed our output is told by exit status */
    rc = words_read(&ctl, argc, argv);
    if (rc != CTL_DONE)
        return rc;
    ctl.command = find_command(&ctl);
    if (ctl.version)
        rc = print_version(&ctl);
    else
        rc = ctl.command != NULL ? run_command(&ctl) : no_command(&ctl);
    if (fflush(stdout) != 0 && rc == CTL_DONE)
        rc = CTL_FAILED;
    return rc;
}
