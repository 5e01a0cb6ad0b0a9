/* What a close frame says, and the values of the opening handshake. */
#include "proto/text.h"
#include "proto/ws.h"

/* The longest beginning of s of at most max bytes that leaves no character half. */
static size_t cut(struct span s, size_t max)
{
    size_t n = s.len;

    if (n <= max)
        return n;
    n = max;
    while (n > 0 && ((uint8_t)s.p[n] & 0xC0) == 0x80)
        n--;
    return n;
}

size_t ws_close_payload(uint8_t out[WS_CONTROL_MAX], uint16_t code, struct span reason)
{
    size_t n = cut(reason, LIMIT_CLOSE_REASON);

    if (code == WS_CLOSE_NO_STATUS)
        return 0;
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    if (n > 0)
        memcpy(out + 2, reason.p, n);
    return 2 + n;
}

void ws_close_read(const uint8_t *data, size_t len, uint16_t *code, struct span *reason)
{
    *code = WS_CLOSE_NO_STATUS;
    *reason = (struct span){"", 0};
    if (len < 2)
        return;
    *code = (uint16_t)(data[0] * 256u + data[1]);
    *reason = (struct span){(const char *)data + 2, len - 2};
}

void ws_reason_read(struct span reason, struct span *word, uint32_t *retry_ms)
{
    static const char key[] = " retry_ms=";
    const size_t key_len = sizeof key - 1;
    const char *end = reason.p + reason.len;

    word->p = reason.p;
    word->len = span_run(reason, "_-");
    *retry_ms = 0;
    reason.p += word->len;
    if ((size_t)(end - reason.p) > key_len && memcmp(reason.p, key, key_len) == 0) {
        reason.p += key_len;
        reason.len = (size_t)(end - reason.p);
        reason.len = span_run(reason, "");
        (void)!u32_parse(reason, retry_ms);
    }
}

bool ws_key_ok(struct span key)
{
    char url[22];
    uint8_t bytes[16];
    size_t len;

    if (key.len != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < sizeof url; i++) {
        char c = key.p[i];

        if (c == '-' || c == '_')
            return false;
        url[i] = c;
        if (c == '+')
            url[i] = '-';
        else if (c == '/')
            url[i] = '_';
    }
    return base64url_decode((struct span){url, sizeof url}, bytes, sizeof bytes, &len) == TEDDY_OK;
}

void ws_accept(const uint8_t sha1[20], char out[WS_ACCEPT_LEN + 1])
{
    base64_encode(sha1, 20, out);
}
