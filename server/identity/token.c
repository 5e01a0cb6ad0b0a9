#include "identity/token.h"

#include <stdio.h>
#include <string.h>

#include "identity/keys.h"
#include "identity/rules.h"
#include "proto/text.h"
#include "proto/writer.h"

#define PAYLOAD_MAX 1024 /* more than any token of LIMIT_TOKEN_LEN carries */

static void write_member(struct writer *w, const char *before, const char *value)
{
    writer_text(w, before);
    writer_json_string(w, span_of(value));
}

static void write_id(struct writer *w, const char *before, const uint8_t id[STORE_JTI_LEN])
{
    writer_text(w, before);
    writer_hex(w, id, STORE_JTI_LEN);
    writer_text(w, "\"");
}

static int write_payload(char *buf, size_t cap, const struct token_policy *p,
                         const struct family_row *f, const struct pair_row *pair, enum jwt_use use,
                         size_t *len)
{
    struct writer w = writer_on(buf, cap);
    bool access = use == JWT_ACCESS;
    write_member(&w, "{\"iss\":", p->iss);
    write_member(&w, ",\"aud\":", p->aud);
    writer_text(&w, ",\"sub\":\""); /* ids need no escapes */
    writer_text(&w, f->device_id);
    writer_text(&w, ":");
    writer_text(&w, f->child_id);
    writer_text(&w, "\",\"iat\":");
    writer_u64(&w, pair->iat_s);
    writer_text(&w, ",\"exp\":");
    writer_u64(&w, access ? pair->access_exp_s : pair->refresh_exp_s);
    write_id(&w, ",\"jti\":\"", access ? pair->access_jti : pair->refresh_jti);
    write_id(&w, ",\"sid\":\"", f->sid);
    writer_text(&w, access ? ",\"use\":\"access\"}" : ",\"use\":\"refresh\"}");
    *len = w.len;
    return writer_end(&w) == TEDDY_OK ? TEDDY_OK : TEDDY_ETOOBIG;
}

#define BASE64URL_LEN(n) ((4 * (n) + 2) / 3)

/* An HMAC over what was written here: cjose's way over JSON objects costs several times the hash.
 */
static int sign_hs256(const struct key *key, const char *payload, size_t len, char *out)
{
    uint8_t mac[32];
    size_t head = strlen(key->head), signing = head + BASE64URL_LEN(len);
    if (signing + 1 + BASE64URL_LEN(sizeof mac) > LIMIT_TOKEN_LEN)
        return TEDDY_ETOOBIG;
    memcpy(out, key->head, head);
    base64url_encode((const uint8_t *)payload, len, out + head);
    struct span secret = keys_secret(key);
    if (identity_hmac_sha256((const uint8_t *)secret.p, secret.len, (const uint8_t *)out, signing,
                             mac) != TEDDY_OK)
        return TEDDY_EIO;
    out[signing] = '.';
    base64url_encode(mac, sizeof mac, out + signing + 1);
    return TEDDY_OK;
}

static int sign_by_cjose(const struct key *key, const char *payload, size_t len, char *out)
{
    const char *text = NULL;
    int err = TEDDY_OK;
    cjose_jws_t *jws = cjose_jws_sign(key->jwk, key->header, (const uint8_t *)payload, len, NULL);
    if (jws == NULL || !cjose_jws_export(jws, &text, NULL))
        err = TEDDY_EIO;
    else if (strlen(text) > LIMIT_TOKEN_LEN)
        err = TEDDY_ETOOBIG;
    else
        memcpy(out, text, strlen(text) + 1);
    cjose_jws_release(jws);
    return err;
}

int token_sign(const struct keys *k, const struct token_policy *p, const struct family_row *f,
               const struct pair_row *pair, enum jwt_use use, char *out)
{
    char payload[PAYLOAD_MAX];
    size_t len = 0;
    int err = write_payload(payload, sizeof payload, p, f, pair, use, &len);
    if (err != TEDDY_OK)
        return err;
    return k->signer->alg == JWT_HS256 ? sign_hs256(k->signer, payload, len, out)
                                       : sign_by_cjose(k->signer, payload, len, out);
}

int token_policy_check(const struct keys *k, const struct token_policy *p, char *err, size_t cap)
{
    struct family_row f = {0};
    char token[LIMIT_TOKEN_LEN + 1];
    struct jwt read;
    memset(f.device_id, 'x', LIMIT_ID_LEN);
    memset(f.child_id, 'x', LIMIT_ID_LEN);
    f.pair.access_exp_s = f.pair.refresh_exp_s = f.pair.iat_s =
        99999999999; /* a digit more than today's */
    int e = token_sign(k, p, &f, &f.pair, JWT_REFRESH, token);
    if (e == TEDDY_OK)
        e = token_check(k, p, span_of(token), JWT_REFRESH, 1, &read);
    if (e == TEDDY_OK)
        return TEDDY_OK;
    if (e == TEDDY_EIO)
        snprintf(err, cap, "tokens: the key %s does not sign", k->signer->kid);
    else
        snprintf(err, cap,
                 "tokens: jwt_issuer and jwt_audience are too long or not plain text: a token "
                 "would not fit %d bytes; shorten them",
                 LIMIT_TOKEN_LEN);
    return TEDDY_EINVAL;
}

/* Over the bytes that were sent, as signing is. */
static bool hs256_ok(const struct key *key, const struct jwt *t)
{
    uint8_t mac[32];
    struct span secret = keys_secret(key);
    return t->signature_len == sizeof mac &&
           identity_hmac_sha256((const uint8_t *)secret.p, secret.len,
                                (const uint8_t *)t->signing_input.p, t->signing_input.len,
                                mac) == TEDDY_OK &&
           ct_equal(mac, t->signature, sizeof mac);
}

/* RFC 8725: the key, found by its kid, says which algorithm there is; the token only may not
 * disagree. jwt_parse has refused any header with more than alg, kid and typ. */
static bool signature_ok(const struct keys *k, struct span token, const struct jwt *t)
{
    const struct key *key = keys_find(k, t->kid);
    if (key == NULL || key->alg != t->alg)
        return false;
    if (key->alg == JWT_HS256)
        return hs256_ok(key, t);
    if (key->alg != JWT_ES256 || t->signature_len != 64)
        return false;
    cjose_jws_t *jws = cjose_jws_import(token.p, token.len, NULL);
    bool ok = jws != NULL && cjose_jws_verify(jws, key->jwk, NULL);
    cjose_jws_release(jws);
    return ok;
}

int token_check(const struct keys *k, const struct token_policy *p, struct span token,
                enum jwt_use use, uint64_t now_s, struct jwt *out)
{
    int err = jwt_parse(token, out);
    if (err != TEDDY_OK)
        return err;
    if (!signature_ok(k, token, out) || strcmp(out->iss, p->iss) != 0 ||
        strcmp(out->aud, p->aud) != 0 || out->use != use) {
        memset(out, 0, sizeof *out);
        return TEDDY_EAUTH;
    }
    return now_s < out->exp ? TEDDY_OK : TEDDY_EEXPIRED;
}

int token_ids(const struct jwt *t, uint8_t sid[STORE_JTI_LEN], uint8_t jti[STORE_JTI_LEN])
{
    int err = hex_decode(span_of(t->sid), sid, STORE_JTI_LEN);
    return err != TEDDY_OK ? err : hex_decode(span_of(t->jti), jti, STORE_JTI_LEN);
}

static void pair_begin(const struct token_policy *p, uint64_t now_s, struct pair_row *out)
{
    *out = (struct pair_row){
        .iat_s = now_s, .access_exp_s = now_s + p->access_s, .refresh_exp_s = now_s + p->refresh_s};
}

int pair_new(const struct token_policy *p, uint64_t now_s, struct pair_row *out)
{
    uint8_t drawn[2][STORE_JTI_LEN]; /* at once: a draw costs more than its bytes */
    pair_begin(p, now_s, out);
    int err = identity_random(drawn[0], sizeof drawn);
    memcpy(out->access_jti, drawn[0], STORE_JTI_LEN);
    memcpy(out->refresh_jti, drawn[1], STORE_JTI_LEN);
    return err;
}

/* A sid begins with its time. It names a family and opens nothing; the 88 random bits keep two
 * apart. */
#define SID_TIME 5

int family_new(const struct token_policy *p, const char *device_id, const char *child_id,
               uint64_t now_s, struct family_row *out)
{
    uint8_t drawn[3][STORE_JTI_LEN];
    *out = (struct family_row){0};
    memcpy(out->device_id, device_id, strnlen(device_id, sizeof out->device_id - 1));
    memcpy(out->child_id, child_id, strnlen(child_id, sizeof out->child_id - 1));
    pair_begin(p, now_s, &out->pair);
    int err = identity_random(drawn[0], sizeof drawn);
    for (int i = 0; i < SID_TIME; i++)
        out->sid[i] = (uint8_t)(now_s >> (8 * (SID_TIME - 1 - i)));
    memcpy(out->sid + SID_TIME, drawn[0], STORE_JTI_LEN - SID_TIME);
    memcpy(out->pair.access_jti, drawn[1], STORE_JTI_LEN);
    memcpy(out->pair.refresh_jti, drawn[2], STORE_JTI_LEN);
    return err;
}
