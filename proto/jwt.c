#include "proto/jwt.h"

#include "proto/ids.h"
#include "proto/json.h"
#include "proto/text.h"

#define HEADER_MAX  256 /* bytes of a header that says alg, kid and typ alone */
#define PAYLOAD_MAX (LIMIT_TOKEN_LEN / 4 * 3)

/* The three parts as sent. */
struct parts {
    struct span header;
    struct span payload;
    struct span signature;
};

static bool split(struct span token, struct parts *out)
{
    struct span *const part[] = {&out->header, &out->payload, &out->signature};
    size_t n = 0;
    size_t start = 0;

    for (size_t i = 0; i <= token.len; i++) {
        if (i < token.len && token.p[i] != '.')
            continue;
        if (n == 3)
            return false;
        *part[n++] = (struct span){token.p + start, i - start};
        start = i + 1;
    }
    return n == 3;
}

/* A member that is a string of 1 to cap - 1 visible ASCII characters. */
static bool read_word(const struct json_object *obj, const char *name, char *out, size_t cap)
{
    size_t len;

    if (json_string(obj, name, out, cap, &len) != TEDDY_OK || len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (out[i] < 0x21 || out[i] > 0x7E)
            return false;
    }
    return true;
}

static int read_alg(const struct json_object *obj, enum jwt_alg *out)
{
    char alg[8];
    size_t len;

    switch (json_string(obj, "alg", alg, sizeof alg, &len)) {
    case TEDDY_OK:
        break;
    case TEDDY_ENOSPC:
        return TEDDY_EUNSUPPORTED;
    default:
        return TEDDY_EPROTO;
    }
    if (strlen("HS256") == len && memcmp(alg, "HS256", len) == 0)
        *out = JWT_HS256;
    else if (strlen("ES256") == len && memcmp(alg, "ES256", len) == 0)
        *out = JWT_ES256;
    else
        return TEDDY_EUNSUPPORTED;
    return TEDDY_OK;
}

static int read_header(struct span part, struct jwt *out)
{
    uint8_t text[HEADER_MAX];
    struct json_object obj;
    char typ[4];
    size_t len;
    int err;

    if (base64url_decode(part, text, sizeof text, &len) != TEDDY_OK)
        return TEDDY_EPROTO;
    if (json_parse((struct span){(const char *)text, len}, &obj) != TEDDY_OK)
        return TEDDY_EPROTO;
    err = read_alg(&obj, &out->alg);
    if (err != TEDDY_OK)
        return err;
    /* Three members, these three: there is no room for jku, jwk, x5u, x5c or crit. */
    if (obj.count != 3 || !read_word(&obj, "kid", out->kid, sizeof out->kid) ||
        !read_word(&obj, "typ", typ, sizeof typ) || memcmp(typ, "JWT", 4) != 0)
        return TEDDY_EPROTO;
    return TEDDY_OK;
}

static bool read_subject(const struct json_object *obj, struct jwt *out)
{
    char sub[JWT_SUB_MAX + 1];
    struct span device;
    struct span child;

    if (!read_word(obj, "sub", sub, sizeof sub))
        return false;
    device = (struct span){sub, 0};
    while (sub[device.len] != ':' && sub[device.len] != '\0')
        device.len++;
    if (sub[device.len] == '\0')
        return false;
    child = span_of(sub + device.len + 1);
    if (!id_ok(device) || !id_ok(child))
        return false;
    memcpy(out->device_id, device.p, device.len); /* out was zeroed: the NUL is there */
    memcpy(out->child_id, child.p, child.len);
    return true;
}

static bool read_use(const struct json_object *obj, enum jwt_use *out)
{
    char use[8];

    if (!read_word(obj, "use", use, sizeof use))
        return false;
    if (span_is(span_of(use), "access"))
        *out = JWT_ACCESS;
    else if (span_is(span_of(use), "refresh"))
        *out = JWT_REFRESH;
    else
        return false;
    return true;
}

static bool read_payload(struct span part, struct jwt *out)
{
    uint8_t text[PAYLOAD_MAX];
    struct json_object obj;
    size_t len;

    if (base64url_decode(part, text, sizeof text, &len) != TEDDY_OK)
        return false;
    if (json_parse((struct span){(const char *)text, len}, &obj) != TEDDY_OK)
        return false;
    return read_word(&obj, "iss", out->iss, sizeof out->iss) &&
           read_word(&obj, "aud", out->aud, sizeof out->aud) &&
           read_word(&obj, "jti", out->jti, sizeof out->jti) &&
           read_word(&obj, "sid", out->sid, sizeof out->sid) && read_subject(&obj, out) &&
           read_use(&obj, &out->use) && json_u64(&obj, "iat", &out->iat) == TEDDY_OK &&
           json_u64(&obj, "exp", &out->exp) == TEDDY_OK;
}

static bool read_signature(struct span part, struct jwt *out)
{
    size_t wanted = out->alg == JWT_HS256 ? 32 : 64;

    return base64url_decode(part, out->signature, sizeof out->signature, &out->signature_len) ==
               TEDDY_OK &&
           out->signature_len == wanted;
}

static int parse(struct span token, struct jwt *out)
{
    struct parts parts;
    int err;

    if (token.len > LIMIT_TOKEN_LEN)
        return TEDDY_ETOOBIG;
    if (!split(token, &parts))
        return TEDDY_EPROTO;
    err = read_header(parts.header, out);
    if (err != TEDDY_OK)
        return err;
    if (!read_payload(parts.payload, out) || !read_signature(parts.signature, out))
        return TEDDY_EPROTO;
    out->signing_input = (struct span){token.p, parts.header.len + 1 + parts.payload.len};
    return TEDDY_OK;
}

int jwt_parse(struct span token, struct jwt *out)
{
    int err;

    memset(out, 0, sizeof *out);
    err = parse(token, out);
    if (err != TEDDY_OK)
        memset(out, 0, sizeof *out); /* nobody may act on half a token */
    return err;
}
