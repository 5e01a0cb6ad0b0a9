#include "process/signed.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "process/asked.h"
#include "proto/writer.h"

static bool sign(const char *secret, const char *timestamp, const char *body, uint8_t mac[32])
{
    char *message = NULL;
    unsigned len = 0;
    int n = asprintf(&message, "%s.%s", timestamp, body);
    bool ok = n > 0 && HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)message,
                            (size_t)n, mac, &len) != NULL;
    if (n > 0)
        asked_free(message);
    return ok && len == 32;
}

bool signed_headers(const char *secret, const char *body, char *room, size_t cap,
                    const char *headers[2])
{
    char timestamp[24];
    uint8_t mac[32];
    struct writer w = writer_on(room, cap);
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)time(NULL));
    if (!sign(secret, timestamp, body, mac))
        return false;
    headers[0] = w.buf;
    writer_text(&w, "Teddy-Timestamp: ");
    writer_text(&w, timestamp);
    writer_bytes(&w, "", 1);
    headers[1] = w.buf + w.len;
    writer_text(&w, "Teddy-Signature: v1=");
    writer_hex(&w, mac, sizeof mac);
    return writer_end(&w) == TEDDY_OK;
}
