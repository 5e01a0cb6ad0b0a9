/* What teddyd says about its settings: --help for a terminal, the reference for docs/. */
#include <string.h>

#include "ops/config_keys.h"

/* "a|b|c" as "a, b or c", each between marks. */
static void join_choices(const char *choices, const char *mark, char *out, size_t cap)
{
    size_t len = 0;

    out[0] = '\0';
    for (const char *p = choices; *p != '\0';) {
        size_t n = strcspn(p, "|");
        const char *rest = p[n] == '|' ? p + n + 1 : "";
        const char *between = *rest == '\0' ? "" : strchr(rest, '|') != NULL ? ", " : " or ";
        int wrote = snprintf(out + len, cap - len, "%s%.*s%s%s", mark, (int)n, p, mark, between);
        len += wrote > 0 ? (size_t)wrote : 0;
        if (len >= cap)
            return;
        p = rest;
    }
}

static void number_range(const struct config_key *k, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%u to %u%s%s", k->min, k->max, k->unit[0] != '\0' ? " " : "",
                   k->unit);
}

void config_range(const struct config_key *k, char *out, size_t cap)
{
    if (k->type == CONFIG_NUMBER)
        number_range(k, out, cap);
    else if (k->type == CONFIG_CHOICE)
        join_choices(k->choices, "", out, cap);
    else
        (void)snprintf(out, cap, "%s", k->type == CONFIG_SWITCH ? "on or off" : "text");
}

void config_default_text(const struct config_key *k, char *out, size_t cap)
{
    if (k->type == CONFIG_NUMBER)
        (void)snprintf(out, cap, "%u", k->number);
    else if (k->type == CONFIG_SWITCH)
        (void)snprintf(out, cap, "%s", k->number != 0 ? "on" : "off");
    else
        (void)snprintf(out, cap, "%s", k->text);
}

void config_help(FILE *out)
{
    (void)fputs(
        "usage: teddyd [--config FILE] [--KEY VALUE]...\n"
        "\n"
        "The server that talking toys pair with and speak to. Without any setting it serves on\n"
        "https://127.0.0.1:8443 with keys and a development certificate that it makes in its data\n"
        "directory. SIGTERM ends it in order, SIGHUP loads the certificate anew.\n"
        "\n"
        "Each KEY below is a flag (--key VALUE or --key=VALUE), an environment variable "
        "(TEDDY_KEY)\n"
        "and a line of the file (key = value); a flag counts most, then the environment, then the "
        "file.\n"
        "\n"
        "  --config FILE\n        A file of settings; or name it in TEDDY_CONFIG\n"
        "  --no-tls\n        The same as --tls off\n"
        "  --help, --help-config, --version\n        Print this, the reference as Markdown, the "
        "version\n"
        "\n",
        out);
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *k = &config_keys[i];
        char flag[80], range[160], def[160];
        config_spell(k->name, FROM_FLAG, flag, sizeof flag);
        config_range(k, range, sizeof range);
        config_default_text(k, def, sizeof def);
        (void)fprintf(out, "  %s\n        %s\n        %s; default %s\n", flag, k->help, range,
                      def[0] != '\0' ? def : "empty");
    }
    (void)fputs("\nExit status: 0 ended in order, 1 failed, 2 wrong usage.\n", out);
}

static void reference_row(FILE *out, const struct config_key *k)
{
    char range[160], def[160], quoted[168] = "empty";

    config_range(k, range, sizeof range);
    if (k->type == CONFIG_CHOICE)
        join_choices(k->choices, "`", range, sizeof range);
    config_default_text(k, def, sizeof def);
    if (def[0] != '\0')
        (void)snprintf(quoted, sizeof quoted, "`%s`", def);
    (void)fprintf(out, "| `%s` | %s | %s | %s |\n", k->name, quoted, range, k->help);
}

void config_reference(FILE *out)
{
    (void)fputs(
        "# Configuration\n"
        "\n"
        "Made by `teddyd --help-config`; a test keeps this page and the program the same.\n"
        "\n"
        "Every key below can be set in three places. A flag counts most, then the environment, "
        "then the file:\n"
        "\n"
        "| where | form | example |\n"
        "| --- | --- | --- |\n"
        "| flag | `--key-with-dashes VALUE` or `=VALUE` | `--log-format json` |\n"
        "| environment | `TEDDY_` and the key in capitals | `TEDDY_LOG_FORMAT=json` |\n"
        "| file | `key = value`, one a line; `#` or `;` begins a comment | `log_format = json` |\n"
        "\n"
        "The file is named by `--config FILE` or `TEDDY_CONFIG`. Its lines have at most 199 bytes, "
        "its keys no\n"
        "sections and no repetition. `PORT` in the environment, as hosting platforms set it, "
        "stands for\n"
        "`listen = 0.0.0.0:PORT`; `TEDDY_LISTEN` and `--listen` count more. `--no-tls` is `--tls "
        "off`.\n"
        "\n"
        "An unknown key, flag or `TEDDY_` variable, and a value out of its range, stop the server "
        "at start\n"
        "with one line that names the place.\n"
        "\n"
        "| key | default | range | meaning |\n"
        "| --- | --- | --- | --- |\n",
        out);
    for (unsigned i = 0; i < CONFIG_KEYS; i++)
        reference_row(out, &config_keys[i]);
}

void config_each(void (*take)(void *arg, const struct config_about *key), void *arg)
{
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *k = &config_keys[i];
        char range[160], value[160];
        config_range(k, range, sizeof range);
        config_default_text(k, value, sizeof value);
        take(arg, &(struct config_about){k->name, k->help, range, value});
    }
}
