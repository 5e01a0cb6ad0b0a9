/* Reads the configuration: defaults, then the file, the environment and the flags, each over the
 * one before. */
#include "ops/config.h"

#include <stdlib.h>
#include <string.h>

#include "ops/config_keys.h"
#include "proto/text.h"

#define ENV_PREFIX     "TEDDY_"
#define ENV_PREFIX_LEN (sizeof ENV_PREFIX - 1)

extern char **environ;

static int usage(struct config_load *l, const char *flag, const char *what)
{
    char shown[68];

    config_printable(flag, shown);
    (void)snprintf(l->err, l->cap, "%s: %s", shown, what);
    return TEDDY_EINVAL;
}

/* One flag with its value (NULL: none was given). */
static int take_flag(struct config_load *l, const char *name, const char *value)
{
    char key_name[64], why[320], flag[68], hint[112];
    int key = -1;

    (void)snprintf(key_name, sizeof key_name, "%s", name);
    if (strchr(name, '_') == NULL && strlen(name) < sizeof key_name) {
        for (char *p = key_name; *p != '\0'; p++)
            *p = (char)(*p == '-' ? '_' : *p);
        key = config_find(key_name);
    }
    (void)snprintf(flag, sizeof flag, "--%.60s", name);
    if (key < 0) {
        config_suggest(key_name, FROM_FLAG, hint, sizeof hint);
        (void)snprintf(why, sizeof why, "unknown flag%s%s", hint, *hint ? "" : "; see --help");
        return usage(l, flag, why);
    }
    if (value == NULL)
        return usage(l, flag, "needs a value; see --help");
    if (!config_set(l->c, (unsigned)key, value, why, sizeof why))
        return usage(l, flag, why);
    l->from[key] = FROM_FLAG;
    return TEDDY_OK;
}

/* The flags that print and end. */
static bool inform(const char *arg)
{
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        config_help(stdout);
    else if (strcmp(arg, "--help-config") == 0)
        config_reference(stdout);
    else if (strcmp(arg, "--version") == 0)
        (void)printf("teddyd %s\n", TEDDY_VERSION);
    else
        return false;
    return true;
}

static int take_no_tls(struct config_load *l, const char *value)
{
    int key = config_find("tls");

    if (value != NULL)
        return usage(l, "--no-tls", "takes no value");
    l->c->tls = false;
    l->from[key] = FROM_FLAG;
    return TEDDY_OK;
}

/* Takes argv[*i] and, where it is a flag's value, the next one. */
static int take_argument(struct config_load *l, int argc, char **argv, int *i)
{
    const char *arg = argv[*i], *value = strchr(arg, '=');
    char name[64];
    size_t len = value != NULL ? (size_t)(value - arg) : strlen(arg);

    if (strncmp(arg, "--", 2) != 0 || len == 2)
        return usage(l, arg, "unexpected argument; every setting is --key VALUE, see --help");
    len = len - 2 < sizeof name ? len - 2 : sizeof name - 1;
    memcpy(name, arg + 2, len);
    name[len] = '\0';
    value = value != NULL ? value + 1 : NULL;
    if (strcmp(name, "no-tls") == 0)
        return take_no_tls(l, value);
    if (value == NULL && *i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0)
        value = argv[++*i];
    if (strcmp(name, "config") != 0)
        return take_flag(l, name, value);
    if (value == NULL || *value == '\0')
        return usage(l, "--config", "needs a file");
    l->file = value;
    return TEDDY_OK;
}

static int take_flags(struct config_load *l, int argc, char **argv)
{
    int rc = TEDDY_OK;

    for (int i = 1; i < argc && rc == TEDDY_OK; i++)
        rc = inform(argv[i]) ? TEDDY_AGAIN : take_argument(l, argc, argv, &i);
    return rc;
}

static int bad_variable(struct config_load *l, const char *name, const char *what)
{
    char shown[68];

    config_printable(name, shown);
    (void)snprintf(l->err, l->cap, "environment variable %s: %s", shown, what);
    return TEDDY_EPROTO;
}

/* A variable "TEDDY_NAME=value". */
static int take_variable(struct config_load *l, const char *variable)
{
    const char *equals = strchr(variable, '=');
    size_t len = equals != NULL ? (size_t)(equals - variable) : 0;
    char name[80], key_name[80], spelt[96], why[320], hint[112];
    int key = -1;

    if (equals == NULL)
        return TEDDY_OK;
    len = len < sizeof name ? len : sizeof name - 1;
    memcpy(name, variable, len);
    name[len] = '\0';
    /* Not settings: the one names the file of them, the other is a secret (master_key_file). */
    if (strcmp(name, "TEDDY_CONFIG") == 0 || strcmp(name, "TEDDY_MASTER_KEY") == 0)
        return TEDDY_OK;
    for (int i = 0; i < CONFIG_KEYS && key < 0; i++) {
        config_spell(config_keys[i].name, FROM_ENV, spelt, sizeof spelt);
        key = strcmp(name, spelt) == 0 ? i : -1;
    }
    (void)snprintf(key_name, sizeof key_name, "%s", name + ENV_PREFIX_LEN);
    if (key < 0) {
        config_suggest(key_name, FROM_ENV, hint, sizeof hint);
        (void)snprintf(why, sizeof why, "no such setting%s%s", hint,
                       *hint ? "" : "; unset it, or see teddyd --help");
        return bad_variable(l, name, why);
    }
    if (!config_set(l->c, (unsigned)key, equals + 1, why, sizeof why))
        return bad_variable(l, name, why);
    l->from[key] = FROM_ENV;
    return TEDDY_OK;
}

/* PORT, as hosting platforms set it: serve on all addresses at that port. */
static int take_port(struct config_load *l)
{
    const char *port = getenv("PORT");
    int key = config_find("listen");
    char listen[32];
    uint64_t n;

    if (port == NULL)
        return TEDDY_OK;
    if (u64_parse(span_of(port), &n) != TEDDY_OK || n > 65535)
        return bad_variable(l, "PORT", "is not a port; allowed: 0 to 65535");
    (void)snprintf(listen, sizeof listen, "0.0.0.0:%u", (unsigned)n);
    (void)snprintf(l->c->listen, sizeof l->c->listen, "%s", listen);
    l->from[key] = FROM_PORT;
    return TEDDY_OK;
}

static int take_environment(struct config_load *l)
{
    int rc = take_port(l);

    /* clearenv leaves no list at all. */
    for (char **e = environ; e != NULL && *e != NULL && rc == TEDDY_OK; e++)
        if (strncmp(*e, ENV_PREFIX, ENV_PREFIX_LEN) == 0)
            rc = take_variable(l, *e);
    return rc;
}

int config_load(struct config *c, int argc, char **argv, char *err, size_t cap)
{
    struct config flags_only;
    struct config_load l = {.c = &flags_only, .err = err, .cap = cap};
    const char *named = getenv("TEDDY_CONFIG");
    int rc;

    /* The flags are read twice: first for --config and for their own mistakes, last for their
     * values. */
    l.file = named != NULL && *named != '\0' ? named : NULL;
    config_defaults(&flags_only);
    rc = take_flags(&l, argc, argv);
    if (rc != TEDDY_OK)
        return rc;
    memset(l.from, 0, sizeof l.from);
    l.c = c;
    memset(c, 0, sizeof *c);
    config_defaults(c);
    if (l.file != NULL)
        rc = config_read_file(&l);
    if (rc == TEDDY_OK)
        rc = take_environment(&l);
    if (rc == TEDDY_OK)
        rc = take_flags(&l, argc, argv);
    if (rc == TEDDY_OK)
        rc = config_check(&l);
    return rc;
}
