/* The view of a JWT. Input: a token; or, when it begins with `{`, a header and a payload parted by
 * a line end, which are encoded here, since mutation seldom gets through base64. */
#include "proto/jwt.h"

#include "fuzz.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/writer.h"

#define ROOM 4096

static size_t encode(const struct span header, const struct span payload, const uint8_t *signature,
                     size_t signature_len, char *out)
{
    size_t n;

    base64url_encode((const uint8_t *)header.p, header.len, out);
    n = strlen(out);
    out[n++] = '.';
    base64url_encode((const uint8_t *)payload.p, payload.len, out + n);
    n += strlen(out + n);
    out[n++] = '.';
    base64url_encode(signature, signature_len, out + n);
    return n + strlen(out + n);
}

static void member(struct writer *w, const char *before, const char *value)
{
    writer_text(w, before);
    writer_json_string(w, span_of(value));
}

/* A token of our own form that says the same. */
static size_t write_again(const struct jwt *jwt, char *out)
{
    char header[ROOM], payload[ROOM];
    struct writer h = writer_on(header, sizeof header);
    struct writer p = writer_on(payload, sizeof payload);

    member(&h, "{\"alg\":", jwt->alg == JWT_HS256 ? "HS256" : "ES256");
    member(&h, ",\"kid\":", jwt->kid);
    writer_text(&h, ",\"typ\":\"JWT\"}");
    member(&p, "{\"iss\":", jwt->iss);
    member(&p, ",\"aud\":", jwt->aud);
    writer_text(&p, ",\"sub\":\"");
    writer_text(&p, jwt->device_id);
    writer_text(&p, ":");
    writer_text(&p, jwt->child_id);
    member(&p, "\",\"jti\":", jwt->jti);
    member(&p, ",\"sid\":", jwt->sid);
    member(&p, ",\"use\":", jwt->use == JWT_ACCESS ? "access" : "refresh");
    writer_text(&p, ",\"iat\":");
    writer_u64(&p, jwt->iat);
    writer_text(&p, ",\"exp\":");
    writer_u64(&p, jwt->exp);
    writer_text(&p, "}");
    HOLDS(!h.overflow && !p.overflow);
    return encode((struct span){header, h.len}, (struct span){payload, p.len}, jwt->signature,
                  jwt->signature_len, out);
}

static void same(const struct jwt *a, const struct jwt *b)
{
    struct jwt x = *a, y = *b;

    x.signing_input = y.signing_input = (struct span){NULL, 0};
    HOLDS(memcmp(&x, &y, sizeof x) == 0);
}

static void check(struct span token, const struct jwt *jwt)
{
    char text[2 * ROOM];
    struct jwt back;
    size_t len;
    int err;

    HOLDS(token.len <= LIMIT_TOKEN_LEN);
    HOLDS(jwt->signature_len == (jwt->alg == JWT_HS256 ? 32 : 64));
    HOLDS(jwt->use == JWT_ACCESS || jwt->use == JWT_REFRESH);
    HOLDS(id_ok(span_of(jwt->device_id)) && id_ok(span_of(jwt->child_id)));
    HOLDS(jwt->kid[0] && jwt->iss[0] && jwt->aud[0] && jwt->jti[0] && jwt->sid[0]);
    /* The signature has one spelling, and stands right behind what it signs. */
    base64url_encode(jwt->signature, jwt->signature_len, text);
    len = strlen(text);
    HOLDS(jwt->signing_input.p == token.p && jwt->signing_input.len + 1 + len == token.len);
    HOLDS(memcmp(token.p + token.len - len, text, len) == 0);
    HOLDS(jwt_parse((struct span){token.p, token.len - 1}, &back) == TEDDY_EPROTO);
    len = write_again(jwt, text);
    err = jwt_parse((struct span){text, len}, &back);
    HOLDS(err == (len <= LIMIT_TOKEN_LEN ? TEDDY_OK : TEDDY_ETOOBIG));
    if (err == TEDDY_OK)
        same(jwt, &back);
}

static void try_token(struct span token)
{
    uint8_t *block = heap_copy(token.p, token.len);
    struct span exact = {(const char *)block, token.len};
    struct jwt jwt;

    if (jwt_parse(exact, &jwt) == TEDDY_OK)
        check(exact, &jwt);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t signature[64] = {1, 2, 3};
    static char text[2 * ROOM];
    struct span in = {(const char *)data, len};
    struct span header, payload;
    const char *end;

    if (len > ROOM / 2)
        return 0;
    try_token(in);
    end = len > 0 && data[0] == '{' ? memchr(in.p, '\n', len) : NULL;
    if (end == NULL)
        return 0;
    header = (struct span){in.p, (size_t)(end - in.p)};
    payload = (struct span){end + 1, len - header.len - 1};
    for (size_t signature_len = 32; signature_len <= 64; signature_len += 32)
        try_token((struct span){text, encode(header, payload, signature, signature_len, text)});
    return 0;
}
