/* What the parts of verify share: the report, the tokens as they go, and the claims they make. */
#ifndef DEVICE_VERIFY_PARTS_H
#define DEVICE_VERIFY_PARTS_H

#include "args.h"
#include "proto/claim.h"
#include "proto/jwt.h"
#include "wire_ws.h"

struct verify {
    const struct args *args;
    struct teddy_url url;
    char host[TEDDY_HOST_MAX + 1];
    const char *claim_path;
    char ws_path[TEDDY_PATH_MAX + LIMIT_ID_LEN + 2];
    struct wire main, other; /* two connections at once, for takeovers */
    struct answer answer;
    struct incoming in;

    struct token_pair pair; /* the latest good one */
    bool has_pair;
    char nonce[33];  /* of the latest accepted claim, … */
    uint8_t mac[32]; /* … and its signature */

    unsigned passed, failed, skipped;
    bool colour;
    unsigned problems,
        bad_problems; /* error answers seen, and those that were not as they must be */
    char bad_problem[160];
    char last_log[320];
};

/* One line of the report. seen is a printf format. Returns ok. */
__attribute__((format(printf, 4, 5))) bool check(struct verify *v, bool ok, const char *what,
                                                 const char *seen, ...);
__attribute__((format(printf, 3, 4))) void skip(struct verify *v, const char *what, const char *why,
                                                ...);

/* A claim as the device would make it; any member may be overridden by a part that wants it wrong.
 */
struct claim_form {
    const char *device_id, *child_id, *nonce;
    bool decoded;         /* sign the nonce's bytes */
    const char *extra;    /* further members, ",\"a\":1", or NULL */
    const char *hmac_hex; /* instead of the signature, or NULL */
};
void nonce_new(struct verify *v, char out[33]);
/* Sends it; the answer is in v->answer. When it was accepted, the pair, nonce and signature are
 * kept. */
bool claim_send(struct verify *v, const struct claim_form *form);
/* The claim of the arguments, with a fresh nonce; true when accepted. */
bool claim_fresh(struct verify *v);
/* A request on the main connection, waiting out one 429. Counts and checks error bodies. */
void ask(struct verify *v, const char *method, const char *target, const char *lines,
         const char *body, size_t body_len);
/* POST of JSON. */
void post_json(struct verify *v, const char *target, const char *body);
/* "401 invalid_signature", "no answer: timed out" */
const char *seen_answer(const struct verify *v);
const char *seen_close(const struct verify *v);
/* The answer's `code`. */
bool code_is(struct verify *v, const char *code);

/* Opens a session with the present access token, says hello and awaits welcome. */
bool session_open(struct verify *v, struct wire *w);

/* The parts, in the order they are walked. False: what follows makes no sense. */
bool verify_reach(struct verify *v);
bool verify_claim(struct verify *v);
void verify_errors(struct verify *v);
void verify_upgrades(struct verify *v);
void verify_session(struct verify *v);
void verify_closes(struct verify *v);
void verify_policy(struct verify *v);
void verify_refresh(struct verify *v);

#endif
