/* Random numbers and SHA-1. */
#include "esp_port.h"

#include <esp_random.h>
#include <mbedtls/sha1.h>

/* True random numbers as long as Wi-Fi or Bluetooth runs, and pseudo-random ones otherwise, which
 * the chip cannot tell us: teddy_esp_start comes after esp_wifi_start. */
int crypto_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    esp_fill_random(out, len);
    return TEDDY_OK;
}

int crypto_sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    (void)ctx;
    return mbedtls_sha1(msg, len, digest) == 0 ? TEDDY_OK : TEDDY_EIO;
}
