/* The keys themselves: read, made, found, published. */
#include "identity/keys.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "identity/rules.h"
#include "proto/text.h"
#include "proto/writer.h"

#define KID_BYTES 8

const char *alg_name(enum jwt_alg alg)
{
    return alg == JWT_HS256 ? "HS256" : "ES256";
}

const struct key *keys_find(const struct keys *k, const char *kid)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->key[i].kid, kid) == 0)
            return &k->key[i];
    return NULL;
}

const char *keys_jwks(const struct keys *k)
{
    return k->jwks;
}

void key_fini(struct key *key)
{
    cjose_jwk_release(key->jwk);
    cjose_header_release(key->header);
    *key = (struct key){0};
}

void keys_free(struct keys *k)
{
    if (k == NULL)
        return;
    for (size_t i = 0; i < k->count; i++)
        key_fini(&k->key[i]);
    free(k->key);
    free(k->jwks);
    free(k);
}

int keys_slot(const struct keys *k, const char *kid)
{
    const struct key *key = kid != NULL ? keys_find(k, kid) : k->signer;
    return key != NULL ? key->slot : -1;
}

uint64_t keys_next_s(const struct keys *k)
{
    return k->next_s;
}

static bool kid_ok(const char *kid)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = strlen(kid);
    return len >= 1 && len <= JWT_KID_MAX && strspn(kid, allowed) == len;
}

/* What is said of the key beside its numbers. NULL when it is fine, otherwise what is wrong. */
static const char *read_labels(const json_t *json, struct key *key)
{
    const char *kid = json_string_value(json_object_get(json, "kid"));
    const char *alg = json_string_value(json_object_get(json, "alg"));
    const json_t *iat = json_object_get(json, "iat"), *signs = json_object_get(json, "signs_at"),
                 *retired = json_object_get(json, "retired_at"),
                 *ttl = json_object_get(json, "ttl");
    if (kid == NULL || !kid_ok(kid))
        return "\"kid\" must be 1 to 32 of A-Z a-z 0-9 _ . -";
    snprintf(key->kid, sizeof key->kid, "%s", kid);
    if (alg == NULL || (strcmp(alg, "HS256") != 0 && strcmp(alg, "ES256") != 0))
        return "\"alg\" must be HS256 or ES256";
    key->alg = strcmp(alg, "HS256") == 0 ? JWT_HS256 : JWT_ES256;
    if (!json_is_integer(iat) || json_integer_value(iat) < 0)
        return "\"iat\" must be a number of seconds";
    key->iat_s = (uint64_t)json_integer_value(iat);
    if (signs != NULL && (!json_is_integer(signs) || json_integer_value(signs) <= 0))
        return "\"signs_at\" must be a number of seconds";
    if (retired != NULL && (!json_is_integer(retired) || json_integer_value(retired) <= 0))
        return "\"retired_at\" must be a number of seconds";
    if (ttl != NULL && (!json_is_integer(ttl) || json_integer_value(ttl) <= 0 ||
                        json_integer_value(ttl) > UINT32_MAX))
        return "\"ttl\" must be a number of seconds";
    key->ttl_s = ttl == NULL ? 0 : (uint32_t)json_integer_value(ttl);
    key->signs_s = signs == NULL ? 0 : (uint64_t)json_integer_value(signs);
    key->retired_s = retired == NULL ? 0 : (uint64_t)json_integer_value(retired);
    return NULL;
}

/* True when what the key signs it also verifies: an EC key whose parts belong to different keys
 * does not. */
static bool proves_itself(const struct key *key)
{
    cjose_jws_t *jws = cjose_jws_sign(key->jwk, key->header, (const uint8_t *)"probe", 5, NULL);
    bool ok = jws != NULL && cjose_jws_verify(jws, key->jwk, NULL);
    cjose_jws_release(jws);
    return ok;
}

struct span keys_secret(const struct key *key)
{
    return (struct span){cjose_jwk_get_keydata(key->jwk, NULL),
                         cjose_jwk_get_keysize(key->jwk, NULL) / 8};
}

static bool make_header(struct key *key)
{
    char text[JWT_KID_MAX + 40];
    int len = snprintf(text, sizeof text, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
                       alg_name(key->alg), key->kid);
    base64url_encode((const uint8_t *)text, (size_t)len, key->head);
    memcpy(key->head + strlen(key->head), ".", 2);
    key->header = cjose_header_new(NULL);
    return key->header != NULL &&
           cjose_header_set(key->header, CJOSE_HDR_ALG, alg_name(key->alg), NULL) &&
           cjose_header_set(key->header, CJOSE_HDR_KID, key->kid, NULL) &&
           cjose_header_set(key->header, "typ", "JWT", NULL);
}

static const char *read_key(json_t *json, struct key *key)
{
    const char *wrong = read_labels(json, key);
    if (wrong != NULL)
        return wrong;
    const char *kty = json_string_value(json_object_get(json, "kty"));
    if (kty == NULL || strcmp(kty, key->alg == JWT_HS256 ? "oct" : "EC") != 0)
        return "\"kty\" does not fit its \"alg\" (oct for HS256, EC for ES256)";
    if (key->alg == JWT_ES256 &&
        (json_object_get(json, "d") == NULL || !json_is_string(json_object_get(json, "crv"))))
        return "the private part \"d\" or \"crv\" is missing";
    key->jwk = cjose_jwk_import_json(json, NULL);
    if (key->jwk == NULL)
        return "its numbers cannot be read";
    /* RFC 7518 section 3.2: an HMAC key is at least as long as the hash. cjose counts bits. */
    if (key->alg == JWT_HS256 && cjose_jwk_get_keysize(key->jwk, NULL) < 256)
        return "an HS256 key must have at least 32 bytes";
    if (key->alg == JWT_ES256 && cjose_jwk_EC_get_curve(key->jwk, NULL) != CJOSE_JWK_EC_P_256)
        return "an ES256 key must be on P-256";
    if (!make_header(key) || !proves_itself(key))
        return "its numbers do not belong together";
    return NULL;
}

int keys_read(struct keys *k, const char *path, const json_t *array, char *err, size_t cap)
{
    size_t count = json_array_size(array);
    if (count > KEYRING_MAX) {
        snprintf(err, cap, "keys %s: more than %d keys", path, KEYRING_MAX);
        return TEDDY_EPROTO;
    }
    k->key = calloc(KEYRING_MAX + 1, sizeof *k->key);
    if (k->key == NULL) {
        snprintf(err, cap, "keys %s: out of memory", path);
        return TEDDY_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct key *key = &k->key[i];
        const char *wrong = read_key(json_array_get(array, i), key);
        if (wrong == NULL && keys_find(k, key->kid) != NULL)
            wrong = "another key has the same \"kid\"";
        k->count++;
        if (wrong != NULL) {
            snprintf(err, cap, "keys %s: key %zu (%s): %s; correct it or restore a backup", path,
                     i + 1, key->kid[0] != 0 ? key->kid : "no kid", wrong);
            return TEDDY_EPROTO;
        }
    }
    return TEDDY_OK;
}

/* A key of alg as JSON. NULL: no entropy or memory. */
static json_t *new_key(enum jwt_alg alg, uint64_t iat_s, uint64_t signs_s)
{
    uint8_t id[KID_BYTES];
    char kid[2 * KID_BYTES + 1];
    struct writer w = writer_on(kid, sizeof kid);
    if (identity_random(id, sizeof id) != TEDDY_OK)
        return NULL;
    writer_hex(&w, id, sizeof id);
    if (writer_end(&w) != TEDDY_OK)
        return NULL;
    cjose_jwk_t *jwk = alg == JWT_HS256 ? cjose_jwk_create_oct_random(256, NULL)
                                        : cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, NULL);
    char *text = jwk == NULL ? NULL : cjose_jwk_to_json(jwk, true, NULL);
    json_t *json = text == NULL ? NULL : json_loads(text, 0, NULL);
    if (text != NULL)
        wipe(text, strlen(text));
    free(text);
    cjose_jwk_release(jwk);
    if (json != NULL && json_object_set_new(json, "kid", json_string(kid)) == 0 &&
        json_object_set_new(json, "alg", json_string(alg_name(alg))) == 0 &&
        json_object_set_new(json, "use", json_string("sig")) == 0 &&
        json_object_set_new(json, "iat", json_integer((json_int_t)iat_s)) == 0 &&
        (signs_s == 0 ||
         json_object_set_new(json, "signs_at", json_integer((json_int_t)signs_s)) == 0))
        return json;
    json_decref(json);
    return NULL;
}

bool keys_make(struct keys *k, json_t *array, enum jwt_alg alg, uint64_t iat_s, uint64_t signs_s)
{
    json_t *json = new_key(alg, iat_s, signs_s);
    struct key *key = &k->key[k->count];
    bool ok = json != NULL && read_key(json, key) == NULL && json_array_append(array, json) == 0;
    json_decref(json); /* the array's now */
    if (ok)
        k->count++;
    else
        key_fini(key);
    return ok;
}

static json_t *public_part(const struct key *key)
{
    char *text = cjose_jwk_to_json(key->jwk, false, NULL);
    json_t *json = text == NULL ? NULL : json_loads(text, 0, NULL);
    free(text);
    if (json != NULL && (json_object_set_new(json, "alg", json_string(alg_name(key->alg))) != 0 ||
                         json_object_set_new(json, "use", json_string("sig")) != 0)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

bool keys_publish(struct keys *k)
{
    json_t *doc = json_pack("{s:[]}", "keys");
    json_t *array = json_object_get(doc, "keys");
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < k->count; i++)
        if (k->key[i].alg == JWT_ES256)
            ok = json_array_append_new(array, public_part(&k->key[i])) == 0;
    k->jwks = ok ? json_dumps(doc, JSON_COMPACT) : NULL;
    json_decref(doc);
    return k->jwks != NULL;
}
