/* Private to ops: the table made of CONFIG_MAP, and setting one key from text. */
#ifndef OPS_CONFIG_KEYS_H
#define OPS_CONFIG_KEYS_H

#include "ops/config.h"

enum config_type { CONFIG_TEXT, CONFIG_NUMBER, CONFIG_SWITCH, CONFIG_CHOICE };

struct config_key {
    const char *name;
    enum config_type type;
    size_t offset, size; /* of the member in struct config */
    const char *text;    /* default of a text or a choice */
    uint32_t number;     /* default of a number or a switch */
    uint32_t min, max;
    const char *unit, *choices, *help;
};

#define CONFIG_COUNT_ONE(...) +1
enum {
    CONFIG_KEYS =
        0 CONFIG_MAP(CONFIG_COUNT_ONE, CONFIG_COUNT_ONE, CONFIG_COUNT_ONE, CONFIG_COUNT_ONE)
};
extern const struct config_key config_keys[CONFIG_KEYS];

/* Where a key's value came from, so that an error can name it. */
enum config_from { FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_PORT, FROM_FLAG };

struct config_load {
    struct config *c;
    enum config_from from[CONFIG_KEYS];
    unsigned line[CONFIG_KEYS]; /* of the file */
    const char *file;           /* or NULL */
    char *err;
    size_t cap;
};

/* Index of the key, or -1. */
int config_find(const char *name);
void config_defaults(struct config *c);
/* Sets a key from text. False: what is wrong is in why ("is not a whole number; allowed: 0 to 64
 * threads"). */
bool config_set(struct config *c, unsigned key, const char *value, char *why, size_t cap);
/* "; did you mean '…'?" with the nearest key as that place spells it, what to do about a key that
 * there was once, or "". */
void config_suggest(const char *name, enum config_from as, char *out, size_t cap);
/* A key as that place spells it: loops, TEDDY_LOOPS, --loops. */
void config_spell(const char *name, enum config_from as, char *out, size_t cap);
/* "teddy.conf:3", "TEDDY_LOOPS", "--loops", "default". */
void config_place(const struct config_load *l, unsigned key, char *out, size_t cap);
/* What of hostile text an error line may show: printable ASCII, at most 64 characters. */
void config_printable(const char *text, char out[68]);
/* "0 to 64 threads", "script or echo", "on or off", "text". */
void config_range(const struct config_key *k, char *out, size_t cap);
void config_default_text(const struct config_key *k, char *out, size_t cap);

/* Each fills l->err on failure. */
int config_read_file(struct config_load *l);
int config_check(struct config_load *l); /* what keys say together */

void config_help(FILE *out);

#endif
