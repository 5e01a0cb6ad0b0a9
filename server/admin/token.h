/* Admin tokens: what administers over HTTPS. A token is `tdy_`, 8 hex digits by which its row is
 * found, `_` and 43 characters of base64url, 256 random bits. It is shown once; what is kept is the
 * SHA-256 of all of it. */
#ifndef ADMIN_TOKEN_H
#define ADMIN_TOKEN_H

#include "http/route.h"
#include "proto/span.h"
#include "store/admin_tokens.h"

#define ADMIN_TOKEN_TEXT    (4 + ADMIN_TOKEN_ID_LEN + 1 + 43)
#define ADMIN_TOKEN_TTL_S   2592000u  /* 30 days, unless it says otherwise */
#define ADMIN_TOKEN_TTL_MAX 31536000u /* a year: no token lives for ever */
#define ADMIN_TOKENS_MAX    256u      /* in force at once */

struct admin_command;

/* The part of an admin_command that is about tokens. */
struct admin_token_work {
    struct admin_token_row made; /* ADMIN_TOKEN_CREATE */
    char text[ADMIN_TOKEN_TEXT + 1];
    struct admin_token_row *rows; /* all there are, once the command is done */
    unsigned count, cap;
};

/* ADMIN_TOKEN_CREATE: reads {"role": …} with "expires_in", "prefix" and "name" or without into c,
, whose token is drawn already. What is wrong, naming the member, in why: false. *bad_json: it is no
JSON
 * object at all. */
bool admin_token_read(struct admin_command *c, struct span json, bool *bad_json, char *why,
                      size_t cap);
/* The command's work; its result is the job's. */
int admin_token_run(struct store_tx *tx, struct admin_command *c);
/* makes: with a token drawn. NULL: out of memory, or the CSPRNG failed. */
struct admin_token_work *admin_token_work_new(bool makes);
void admin_token_work_free(struct admin_token_work *w); /* wipes. NULL is fine */

bool admin_token_id_ok(struct span id);
/* A token's form, its id and its digest; false: it is none. */
bool admin_token_parse(struct span text, char id[ADMIN_TOKEN_ID_LEN + 1], uint8_t sha256[32]);

/* ---- The tokens in memory, so that no request waits for the store. Threads: any (one lock, held
 * for one look-up). ---- */

struct admin_tokens;

enum admin_token_verdict { ADMIN_TOKEN_BAD, ADMIN_TOKEN_EXPIRED, ADMIN_TOKEN_GOOD };

/* As the store has them. TEDDY_ENOMEM, TEDDY_ESTORE. Blocks: on the store. */
TEDDY_MUST_CHECK int admin_tokens_load(struct store *store, struct admin_tokens **out);
void admin_tokens_free(struct admin_tokens *t); /* NULL is fine */
/* After a command has changed them: takes its rows, which replace those before. Called in the order
 * of the commits. */
void admin_tokens_take(struct admin_tokens *t, struct admin_token_work *w);
/* Whether text is a token in force. Of a good one *out is the row, and *record says that its use is
 * to be written down: the first time in a minute. A revoked token is as bad as one that never was.
 */
enum admin_token_verdict admin_tokens_check(struct admin_tokens *t, struct span text,
                                            uint64_t now_s, struct admin_token_row *out,
                                            bool *record);
/* The same of a token that was shown before, by its id. record NULL: it is no use of it. */
enum admin_token_verdict admin_tokens_known(struct admin_tokens *t, const char *id, uint64_t now_s,
                                            struct admin_token_row *out, bool *record);

#endif
