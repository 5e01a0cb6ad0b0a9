/* The command line taken apart: options anywhere on it, each as the table has it; the rest are
 * words. */
#include <string.h>

#include "cli/table.h"

#define GIVEN_MAX ((int)(sizeof((struct ctl *)0)->given / sizeof(struct ctl_option *)))
#define WORDS_MAX ((int)(sizeof((struct ctl *)0)->words / sizeof(char *)))

/* One name means the same everywhere, so the first is as good as any. */
static const struct ctl_option *find_in(const struct ctl_option *options, const char *name,
                                        size_t len, struct near *near)
{
    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++) {
        if (strncmp(o->name, name, len) == 0 && o->name[len] == '\0')
            return o;
        near_try(near, o->name);
    }
    return NULL;
}

static const struct ctl_option *find_option(const char *name, size_t len, struct near *near)
{
    const struct ctl_option *found;

    if (len == 2 && strncmp(name, "-h", len) == 0) {
        name = "--help";
        len = strlen(name);
    }
    found = find_in(ctl_globals, name, len, near);
    for (size_t i = 0; found == NULL && i < ctl_command_count; i++)
        found = find_in(ctl_commands[i].options, name, len, near);
    return found;
}

static int unknown_option(const char *arg, const struct near *near)
{
    char hint[128];

    near_say(near, hint);
    return usage("unknown option '%.60s'%s teddyctl --help%s", arg, hint,
                 strchr(arg, ' ') != NULL ? "; text that begins with - stands behind --" : "");
}

/* "--name VALUE", "--name=VALUE", or "--flag". */
static int take_option(struct ctl *ctl, char **argv, int argc, int *i)
{
    const char *arg = argv[*i], *equals = strchr(arg, '=');
    size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
    char name[64] = "";
    memcpy(name, arg, len < sizeof name ? len : sizeof name - 1);
    struct near near = near_begin(name);
    const struct ctl_option *o = find_option(arg, len, &near);
    const char *value = equals != NULL ? equals + 1 : NULL;
    const bool yes = true;

    if (o == NULL)
        return unknown_option(arg, &near);
    if (o->value == NULL && value != NULL)
        return usage("%s takes no value; see teddyctl --help", o->name);
    if (o->value != NULL && value == NULL && *i + 1 < argc)
        value = argv[++*i];
    if (o->value != NULL && equals == NULL && value != NULL && strncmp(value, "--", 2) == 0)
        return usage("%s needs a value; '%.60s' looks like an option: if it is the value, write "
                     "%s=%.60s",
                     o->name, value, o->name, value);
    if (o->value != NULL && value == NULL)
        return usage("%s needs a value", o->name);
    if (ctl->given_count == GIVEN_MAX)
        return usage("too many options; see teddyctl --help");
    ctl->given[ctl->given_count++] = o;
    if (o->value != NULL)
        memcpy((char *)ctl + o->to, &value, sizeof value);
    else
        memcpy((char *)ctl + o->to, &yes, sizeof yes);
    return CTL_DONE;
}

int words_read(struct ctl *ctl, int argc, char **argv)
{
    bool options = true;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        int rc = CTL_DONE;
        if (options && strcmp(arg, "--") == 0)
            options = false;
        else if (options && arg[0] == '-' && arg[1] != '\0')
            rc = take_option(ctl, argv, argc, &i);
        else if (ctl->word_count == WORDS_MAX)
            rc = usage("too many words; see teddyctl --help");
        else
            ctl->words[ctl->word_count++] = arg;
        if (rc != CTL_DONE)
            return rc;
    }
    while (ctl->word_count > 0 && strcmp(ctl->words[0], "help") == 0) {
        ctl->help = true;
        ctl->word_count--;
        memmove(ctl->words, ctl->words + 1, (size_t)ctl->word_count * sizeof ctl->words[0]);
    }
    return CTL_DONE;
}

static bool lists(const struct ctl_option *options, const char *name)
{
    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++)
        if (strcmp(o->name, name) == 0)
            return true;
    return false;
}

const char *words_foreign(const struct ctl *ctl, const struct ctl_command *c)
{
    for (int i = 0; i < ctl->given_count; i++)
        if (!lists(ctl_globals, ctl->given[i]->name) && !lists(c->options, ctl->given[i]->name))
            return ctl->given[i]->name;
    return NULL;
}
