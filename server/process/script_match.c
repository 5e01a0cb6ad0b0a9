#include "process/script_rules.h"

static bool token_fits(const struct rules *r, const struct token *t, const struct words *w,
                       unsigned i)
{
    const struct word *word = &w->word[i];
    for (unsigned a = 0; a < t->alt_count; a++) {
        const struct alt *alt = RULES_AT(r, alts, alt, t->alt_first + a);
        if (alt->hash == word->hash &&
            span_eq(alt->word, (struct span){w->fold + word->at, word->len})) {
            return true;
        }
    }
    return false;
}

/* Each capture takes as few words as it can. Only the last one passed is ever widened: what stands
 * before it already fits as early as possible, so that widening an earlier one cannot help. This
 * keeps it at tokens times words. */
static bool pattern_fits(const struct rules *r, const struct pattern *p, const struct words *w,
                         struct capture captures[RULES_CAPTURES])
{
    unsigned token = 0, word = 0, capture = 0;
    unsigned back_token = 0,
             back_capture = 0; /* behind the last capture passed; back_token 0: none */
    for (;;) {
        const struct token *t =
            token < p->token_count ? RULES_AT(r, tokens, token, p->token_first + token) : NULL;
        if (t && t->kind != TOKEN_WORD) {
            unsigned least = t->kind == TOKEN_SOME;
            if (w->count - word < least) {
                return false;
            }
            captures[capture] = (struct capture){word, least};
            back_capture = capture++;
            word += least;
            back_token = ++token;
        } else if (t && word < w->count && token_fits(r, t, w, word)) {
            token++;
            word++;
        } else if (!t && word == w->count) {
            return true;
        } else {
            struct capture *c = &captures[back_capture];
            if (back_token == 0 || c->first + c->count >= w->count) {
                return false;
            }
            c->count++;
            token = back_token;
            capture = back_capture + 1;
            word = c->first + c->count;
        }
    }
}

const struct rule *rules_match(const struct rules *r, const struct words *w,
                               struct capture captures[RULES_CAPTURES])
{
    for (uint32_t i = 0; i < r->rules.count; i++) {
        const struct rule *rule = RULES_AT(r, rules, rule, i);
        for (unsigned h = 0; h < rule->hear_count; h++) {
            if (pattern_fits(r, RULES_AT(r, hears, pattern, rule->hear_first + h), w, captures)) {
                return rule;
            }
        }
    }
    return RULES_AT(r, rules, rule, r->fallback);
}
