#include "ops/config_keys.h"

#include <ctype.h>
#include <string.h>

#include "proto/text.h"
#include "proto/utf8.h"

#define MEMBER(key) offsetof(struct config, key), sizeof(((struct config *)0)->key)

const struct config_key config_keys[CONFIG_KEYS] = {
#define ROW_S(key, def, help) {#key, CONFIG_TEXT, MEMBER(key), def, 0, 0, 0, "", "", help},
#define ROW_N(key, def, min, max, unit, help)                                                      \
    {#key, CONFIG_NUMBER, MEMBER(key), "", def, min, max, unit, "", help},
#define ROW_B(key, def, help) {#key, CONFIG_SWITCH, MEMBER(key), "", def, 0, 1, "", "", help},
#define ROW_E(key, def, choices, help)                                                             \
    {#key, CONFIG_CHOICE, MEMBER(key), def, 0, 0, 0, "", choices, help},
    CONFIG_MAP(ROW_S, ROW_N, ROW_B, ROW_E)};

int config_find(const char *name)
{
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return i;
    return -1;
}

static void *member(struct config *c, const struct config_key *k)
{
    return (char *)c + k->offset;
}

static void set_text(struct config *c, const struct config_key *k, const char *text)
{
    char *to = member(c, k);
    memset(to, 0, k->size);
    memcpy(to, text, strnlen(text, k->size - 1));
}

static void set_number(struct config *c, const struct config_key *k, uint32_t n)
{
    bool on = n != 0;

    if (k->type == CONFIG_SWITCH)
        memcpy(member(c, k), &on, sizeof on);
    else
        memcpy(member(c, k), &n, sizeof n);
}

void config_defaults(struct config *c)
{
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->type == CONFIG_TEXT || k->type == CONFIG_CHOICE)
            set_text(c, k, k->text);
        else
            set_number(c, k, k->number);
    }
}

static bool printable_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7F)
            return false;
    return utf8_ok(text, len);
}

static const char *wrong_text(const struct config_key *k, const char *value)
{
    size_t len = strlen(value);

    if (len >= k->size)
        return "is longer than 511 bytes";
    if (!printable_text(value, len))
        return "holds a control character or is not UTF-8";
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"')
        return "stands in quotes; write it without them";
    return NULL;
}

/* The word of choices ("a|b|c") that value is. */
static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);

    for (const char *p = choices; *p != '\0';) {
        size_t n = strcspn(p, "|");
        if (n == len && memcmp(p, value, n) == 0)
            return true;
        p += n + (p[n] == '|');
    }
    return false;
}

static bool is_switch(const char *value, uint32_t *on)
{
    *on = strcmp(value, "on") == 0 || strcmp(value, "true") == 0;
    return *on || strcmp(value, "off") == 0 || strcmp(value, "false") == 0;
}

static bool is_number(const char *value, uint64_t *n)
{
    return (value[0] != '0' || value[1] == '\0') && u64_parse(span_of(value), n) == TEDDY_OK;
}

static const char *set(struct config *c, const struct config_key *k, const char *value)
{
    const char *wrong = NULL;
    uint64_t n = 0;
    uint32_t on;

    switch (k->type) {
    case CONFIG_TEXT:
        wrong = wrong_text(k, value);
        if (wrong == NULL)
            set_text(c, k, value);
        return wrong;
    case CONFIG_CHOICE:
        if (!is_choice(k->choices, value))
            return "is not one of its words";
        set_text(c, k, value);
        return NULL;
    case CONFIG_SWITCH:
        if (!is_switch(value, &on))
            return "is neither on nor off";
        set_number(c, k, on);
        return NULL;
    case CONFIG_NUMBER:
        if (!is_number(value, &n))
            return "is not a whole number";
        if (n < k->min || n > k->max)
            return "is out of range";
        set_number(c, k, (uint32_t)n);
    }
    return NULL;
}

bool config_set(struct config *c, unsigned key, const char *value, char *why, size_t cap)
{
    const struct config_key *k = &config_keys[key];
    const char *wrong = set(c, k, value);
    char shown[68], range[128];

    if (wrong == NULL)
        return true;
    config_printable(value, shown);
    config_range(k, range, sizeof range);
    if (k->type == CONFIG_TEXT)
        (void)snprintf(why, cap, "'%s' %s", shown, wrong);
    else
        (void)snprintf(why, cap, "'%s' %s; allowed: %s", shown, wrong, range);
    return false;
}

void config_printable(const char *text, char out[68])
{
    size_t n = 0;

    while (n < 64 && text[n] != '\0') {
        out[n] = (char)(text[n] >= ' ' && text[n] < 0x7F ? text[n] : '?');
        n++;
    }
    (void)snprintf(out + n, 68 - n, "%s", text[n] != '\0' ? "..." : "");
}

/* Levenshtein's distance of two short words; long ones count as far. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t m = strlen(a), n = strlen(b);

    if (m >= 64 || n >= 64)
        return 99;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= m; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < other ? change : other;
        }
    }
    return row[n];
}

void config_spell(const char *name, enum config_from as, char *out, size_t cap)
{
    bool env = as == FROM_ENV, flag = as == FROM_FLAG;
    int n = snprintf(out, cap, "%s%s", env ? "TEDDY_" : flag ? "--" : "", name);
    size_t from = env ? 6 : flag ? 2 : 0;

    for (size_t i = from; i < (size_t)n && i < cap - 1; i++) {
        if (env)
            out[i] = (char)toupper((unsigned char)out[i]);
        else if (flag && out[i] == '_')
            out[i] = '-';
    }
}

void config_suggest(const char *name, enum config_from as, char *out, size_t cap)
{
    char lower[64], spelt[80];
    unsigned best = 4;
    const char *nearest = NULL;

    (void)snprintf(lower, sizeof lower, "%s", name);
    for (char *p = lower; *p != '\0'; p++)
        *p = (char)(*p == '-' ? '_' : tolower((unsigned char)*p));
    if (strcmp(lower, "admin_token_file") == 0) {
        (void)snprintf(out, cap, "; it is gone: remove it, and make tokens with '%s'",
                       "teddyctl admin-token create");
        return;
    }
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        unsigned d = distance(lower, config_keys[i].name);
        if (d < best && d < strlen(config_keys[i].name)) {
            best = d;
            nearest = config_keys[i].name;
        }
    }
    out[0] = '\0';
    if (nearest == NULL)
        return;
    config_spell(nearest, as, spelt, sizeof spelt);
    (void)snprintf(out, cap, "; did you mean '%s'?", spelt);
}

void config_place(const struct config_load *l, unsigned key, char *out, size_t cap)
{
    switch (l->from[key]) {
    case FROM_DEFAULT:
        (void)snprintf(out, cap, "default");
        break;
    case FROM_FILE:
        (void)snprintf(out, cap, "%s:%u", l->file, l->line[key]);
        break;
    case FROM_PORT:
        (void)snprintf(out, cap, "PORT");
        break;
    case FROM_ENV:
    case FROM_FLAG:
        config_spell(config_keys[key].name, l->from[key], out, cap);
    }
}
