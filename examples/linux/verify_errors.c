/* Every refusal of a claim that can be provoked without harm; fewer than 20, for that many a minute
 * are allowed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/endpoints.h"
#include "proto/text.h"
#include "verify_parts.h"

#define JSON_LINES "Content-Type: application/json\r\nConnection: close\r\n"

static void form_errors(struct verify *v)
{
    static const char text[] = "{}";
    size_t big = LIMIT_CLAIM_BODY + 1;
    char *body = malloc(big);

    ask(v, "GET", v->claim_path, "Connection: close\r\n", NULL, 0);
    check(v, v->answer.status == 405 && http1_field_has(&v->answer.head, "Allow", "POST"),
          "GET on the claim is 405 with Allow: POST", "%s, Allow %s", seen_answer(v),
          http1_field_has(&v->answer.head, "Allow", "POST") ? "POST" : "lacks POST");
    ask(v, "POST", v->claim_path, "Content-Type: text/plain\r\nConnection: close\r\n", text,
        sizeof text - 1);
    check(v, v->answer.status == 415, "a claim of another media type is 415", "%s", seen_answer(v));
    post_json(v, v->claim_path, "this is not JSON");
    check(v, v->answer.status == 400, "a claim that is no JSON is 400", "%s", seen_answer(v));
    post_json(v, v->claim_path, "{\"nonce\":\"aaaaaaaa\",\"nonce\":\"bbbbbbbb\"}");
    check(v, v->answer.status == 400, "a duplicate member is 400", "%s", seen_answer(v));
    if (body) {
        memset(body, ' ', big);
        ask(v, "POST", v->claim_path, JSON_LINES, body, big);
        check(v, v->answer.status == 413, "a body over 4 KiB is 413", "%s", seen_answer(v));
    }
    free(body);
}

static bool names(const struct verify *v, const char *member)
{
    return memmem(v->answer.body.p, v->answer.body.len, member, strlen(member)) != NULL;
}

static void member_errors(struct verify *v)
{
    char nonce[33];

    post_json(v, v->claim_path, "{}");
    check(v,
          v->answer.status == 422 && names(v, "device_id") && names(v, "child_id") &&
              names(v, "nonce") && names(v, "hmac_hex"),
          "a claim without members is 422 and names each", "%s", seen_answer(v));
    nonce_new(v, nonce);
    claim_send(v, &(struct claim_form){v->args->id, "no spaces here", nonce, .hmac_hex = NULL});
    check(v, v->answer.status == 422 && names(v, "child_id") && !names(v, "hmac_hex"),
          "a malformed child_id is 422 and it alone is named", "%s", seen_answer(v));
}

static void identity_errors(struct verify *v)
{
    char nobody[48], nonce[33];
    struct claim_form f = {.child_id = v->args->child, .nonce = nonce};

    nonce_new(v, nonce);
    snprintf(nobody, sizeof nobody, "nobody-%s", nonce);
    f.device_id = nobody;
    claim_send(v, &f);
    check(v, v->answer.status == 404 && code_is(v, "device_not_found"),
          "an unknown device is 404 device_not_found", "%s", seen_answer(v));
    f.device_id = v->args->id;
    f.hmac_hex = "0000000000000000000000000000000000000000000000000000000000000000";
    claim_send(v, &f);
    check(v, v->answer.status == 401 && code_is(v, "invalid_signature"),
          "a wrong signature is 401 invalid_signature", "%s", seen_answer(v));
    f.hmac_hex = "not hex at all";
    claim_send(v, &f);
    check(v, v->answer.status == 401 && code_is(v, "invalid_signature"),
          "a malformed signature is 401, too", "%s", seen_answer(v));
}

/* The signed bytes stay the same when a character moves from one member to the next. */
static void shifted_claim(struct verify *v)
{
    const char *child = v->args->child;
    size_t len = strlen(child);
    char shifted_child[LIMIT_ID_LEN + 2], shifted_nonce[40];
    struct claim_form f = {
        .device_id = v->args->id, .child_id = shifted_child, .nonce = shifted_nonce};

    if (len > 1) {
        snprintf(shifted_child, sizeof shifted_child, "%.*s", (int)(len - 1), child);
        snprintf(shifted_nonce, sizeof shifted_nonce, "%c%s", child[len - 1], v->nonce);
    } else {
        snprintf(shifted_child, sizeof shifted_child, "%s%c", child, v->nonce[0]);
        snprintf(shifted_nonce, sizeof shifted_nonce, "%s", v->nonce + 1);
    }
    claim_send(v, &f);
    if (v->answer.status == 403 && code_is(v, "release_required"))
        skip(v, "a claim with its boundary shifted is 409",
             "403: this device is bound to its child");
    else
        check(v, v->answer.status == 409 && code_is(v, "nonce_replayed"),
              "a claim with its boundary shifted is 409", "%s", seen_answer(v));
}

static void replays(struct verify *v)
{
    char nonce[33];
    struct claim_form f = {.device_id = v->args->id, .child_id = v->args->child, .nonce = nonce};

    snprintf(nonce, sizeof nonce, "%s", v->nonce);
    claim_send(v, &f);
    check(v, v->answer.status == 409 && code_is(v, "nonce_replayed"),
          "the same claim again is 409 nonce_replayed", "%s", seen_answer(v));
    shifted_claim(v);
}

static void variants(struct verify *v)
{
    char nonce[33];
    struct claim_form f = {
        .device_id = v->args->id,
        .child_id = v->args->child,
        .nonce = nonce,
        .decoded = true,
        .extra = ",\"firmware_version\":\"verify\",\"timestamp\":1,\"an_unknown_member\":[{}]"};

    nonce_new(v, nonce);
    bool accepted = claim_send(v, &f);
    check(v, accepted,
          "a signature over the nonce's 16 decoded bytes, and unknown members, are accepted", "%s",
          seen_answer(v));
}

void verify_errors(struct verify *v)
{
    form_errors(v);
    member_errors(v);
    identity_errors(v);
    replays(v);
    variants(v);
    ask(v, "GET", "/no/such/path", "Connection: close\r\n", NULL, 0);
    check(v, v->answer.status == 404, "an unknown path is 404", "%s", seen_answer(v));
}
