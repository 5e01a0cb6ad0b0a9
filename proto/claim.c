#include "proto/claim.h"

#include "proto/ids.h"
#include "proto/json.h"
#include "proto/text.h"

/* True for text that may be shown and logged as it is: no control characters. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            return false;
    }
    return true;
}

static bool read_form(const struct json_object *obj, const char *name, char *out, size_t cap,
                      bool (*ok)(struct span))
{
    size_t len;

    if (json_string(obj, name, out, cap, &len) == TEDDY_OK && ok((struct span){out, len}))
        return true;
    out[0] = '\0';
    return false;
}

/* Any string is taken: one that is no MAC is an invalid signature, not a malformed request. */
static bool read_mac(const struct json_object *obj, struct claim *out)
{
    const struct json_member *m = json_find(obj, "hmac_hex");
    char hex[2 * LIMIT_MAC_LEN + 1];
    size_t len;

    if (m == NULL || m->type != JSON_STRING)
        return false;
    out->mac_well_formed =
        json_string(obj, "hmac_hex", hex, sizeof hex, &len) == TEDDY_OK &&
        hex_decode((struct span){hex, len}, out->mac, sizeof out->mac) == TEDDY_OK;
    if (!out->mac_well_formed)
        memset(out->mac, 0, sizeof out->mac);
    return true;
}

static bool read_firmware(const struct json_object *obj, struct claim *out)
{
    size_t len;
    int err = json_string(obj, "firmware_version", out->firmware_version,
                          sizeof out->firmware_version, &len);

    if (err == TEDDY_ENOTFOUND || (err == TEDDY_OK && is_plain(out->firmware_version)))
        return true;
    out->firmware_version[0] = '\0';
    return false;
}

/* Recorded when it can be, and never a reason to refuse. */
static void read_timestamp(const struct json_object *obj, struct claim *out)
{
    const struct json_member *m = json_find(obj, "timestamp");
    size_t len;

    if (m == NULL)
        return;
    if (m->type == JSON_NUMBER && m->value.len < sizeof out->timestamp)
        memcpy(out->timestamp, m->value.p, m->value.len);
    else if (json_string(obj, "timestamp", out->timestamp, sizeof out->timestamp, &len) !=
                 TEDDY_OK ||
             !is_plain(out->timestamp))
        out->timestamp[0] = '\0';
}

static int parse_body(struct span body, struct json_object *obj)
{
    if (body.len > LIMIT_CLAIM_BODY)
        return TEDDY_ETOOBIG;
    return json_parse(body, obj);
}

int claim_read(struct span body, struct claim *out, unsigned *bad)
{
    struct json_object obj;
    int err;

    memset(out, 0, sizeof *out);
    *bad = 0;
    err = parse_body(body, &obj);
    if (err != TEDDY_OK)
        return err;
    if (!read_form(&obj, "device_id", out->device_id, sizeof out->device_id, id_ok))
        *bad |= CLAIM_DEVICE_ID;
    if (!read_form(&obj, "child_id", out->child_id, sizeof out->child_id, id_ok))
        *bad |= CLAIM_CHILD_ID;
    if (!read_form(&obj, "nonce", out->nonce, sizeof out->nonce, nonce_ok))
        *bad |= CLAIM_NONCE;
    if (!read_mac(&obj, out))
        *bad |= CLAIM_HMAC_HEX;
    if (!read_firmware(&obj, out))
        *bad |= CLAIM_FIRMWARE_VERSION;
    read_timestamp(&obj, out);
    return *bad == 0 ? TEDDY_OK : TEDDY_EINVAL;
}

const char *claim_member_name(enum claim_member bit)
{
    switch (bit) {
    case CLAIM_DEVICE_ID:
        return "device_id";
    case CLAIM_CHILD_ID:
        return "child_id";
    case CLAIM_NONCE:
        return "nonce";
    case CLAIM_HMAC_HEX:
        return "hmac_hex";
    case CLAIM_FIRMWARE_VERSION:
        return "firmware_version";
    }
    return "";
}

size_t claim_signed_as_sent(const char *device_id, const char *child_id, const char *nonce,
                            uint8_t out[CLAIM_SIGNED_MAX])
{
    struct writer w = writer_on((char *)out, CLAIM_SIGNED_MAX);

    writer_text(&w, device_id);
    writer_text(&w, child_id);
    writer_text(&w, nonce);
    return w.overflow ? 0 : w.len;
}

size_t claim_signed_decoded(const char *device_id, const char *child_id, const char *nonce,
                            uint8_t out[CLAIM_SIGNED_MAX])
{
    size_t ids_len = claim_signed_as_sent(device_id, child_id, "", out);

    if (ids_len == 0 || !nonce_decode16(span_of(nonce), out + ids_len))
        return 0;
    return ids_len + 16;
}

/* None of these values holds anything that JSON would have escaped. */
static void member(struct writer *w, const char *before, const char *value)
{
    writer_text(w, before);
    writer_text(w, value);
    writer_text(w, "\"");
}

void claim_write(struct writer *w, const char *device_id, const char *child_id, const char *nonce,
                 const uint8_t mac[LIMIT_MAC_LEN], const char *firmware)
{
    member(w, "{\"device_id\":\"", device_id);
    member(w, ",\"child_id\":\"", child_id);
    member(w, ",\"nonce\":\"", nonce);
    writer_text(w, ",\"hmac_hex\":\"");
    writer_hex(w, mac, LIMIT_MAC_LEN);
    writer_text(w, "\"");
    if (firmware != NULL)
        member(w, ",\"firmware_version\":\"", firmware);
    writer_text(w, "}");
}

void token_pair_write(struct writer *w, const char *type, const char *access, const char *refresh,
                      uint32_t expires_in)
{
    writer_text(w, "{");
    if (type != NULL) {
        member(w, "\"type\":\"", type);
        writer_text(w, ",");
    }
    member(w, "\"access\":\"", access);
    member(w, ",\"refresh\":\"", refresh);
    if (type == NULL)
        member(w, ",\"token_type\":\"", "Bearer");
    writer_text(w, ",\"expires_in\":");
    writer_u64(w, expires_in);
    writer_text(w, "}");
}

/* The characters of a compact JWS: the toy puts what it was given into a URL. */
static bool token_ok(struct span s)
{
    return s.len > 0 && span_within(s, "-_.");
}

int token_pair_read(struct span body, struct token_pair *out)
{
    struct json_object obj;
    uint64_t expires_in;
    int err;

    memset(out, 0, sizeof *out);
    err = parse_body(body, &obj);
    if (err != TEDDY_OK)
        return err;
    if (!read_form(&obj, "access", out->access, sizeof out->access, token_ok) ||
        !read_form(&obj, "refresh", out->refresh, sizeof out->refresh, token_ok) ||
        json_u64(&obj, "expires_in", &expires_in) != TEDDY_OK || expires_in > UINT32_MAX) {
        wipe(out, sizeof *out);
        return TEDDY_EINVAL;
    }
    out->expires_in = (uint32_t)expires_in;
    return TEDDY_OK;
}

int refresh_read(struct span body, char out[LIMIT_TOKEN_LEN + 1])
{
    struct json_object obj;
    const char *name = "refresh";
    size_t len;
    int err;

    out[0] = '\0';
    err = parse_body(body, &obj);
    if (err != TEDDY_OK)
        return err;
    if (json_find(&obj, name) == NULL)
        name = "refresh_token";
    else if (json_find(&obj, "refresh_token") != NULL)
        return TEDDY_EINVAL;
    err = json_string(&obj, name, out, LIMIT_TOKEN_LEN + 1, &len);
    return err == TEDDY_OK && len > 0 ? TEDDY_OK : TEDDY_EINVAL;
}

void refresh_write(struct writer *w, const char *refresh)
{
    member(w, "{\"refresh\":\"", refresh);
    writer_text(w, "}");
}
