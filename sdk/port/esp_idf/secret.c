/* The OOB secret: in an eFuse block that only the HMAC peripheral reads, or in the factory
 * partition, from where it is fetched for each use and not kept. */
#include "esp_port.h"
#include "teddy_esp.h"

#include <esp_err.h>
#include <nvs.h>
#include <sdkconfig.h>

#include "proto/limits.h"
#include "proto/text.h"

_Static_assert(sizeof PORT_KEY_SECRET <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters at most");

#if CONFIG_TEDDY_SECRET_EFUSE
#include <esp_hmac.h>

int secret_check(struct teddy_esp *p)
{
    uint8_t mac[LIMIT_MAC_LEN];
    int err = secret_hmac(p, (const uint8_t *)"", 1, mac);

    wipe(mac, sizeof mac);
    return err == TEDDY_OK ? TEDDY_OK : TEDDY_ENOTFOUND;
}

int secret_hmac(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    esp_err_t err = esp_hmac_calculate((hmac_key_id_t)CONFIG_TEDDY_SECRET_EFUSE_KEY, msg, len, mac);

    (void)ctx;
    if (err == ESP_OK)
        return TEDDY_OK;
    port_log(TEDDY_LOG_ERROR, "eFuse key %d is no HMAC key: %s", CONFIG_TEDDY_SECRET_EFUSE_KEY,
             esp_err_to_name(err));
    return TEDDY_EIO;
}

#else
#include <mbedtls/md.h>

static int fetch(uint8_t secret[LIMIT_SECRET_LEN])
{
    size_t len;
    int err = teddy_esp_factory_blob(PORT_KEY_SECRET, secret, LIMIT_SECRET_LEN, &len);

    if (err == TEDDY_OK && len == LIMIT_SECRET_LEN)
        return TEDDY_OK;
    port_log(TEDDY_LOG_ERROR, "the factory partition has no " PORT_KEY_SECRET " of %d bytes",
             LIMIT_SECRET_LEN);
    return TEDDY_ENOTFOUND;
}

int secret_check(struct teddy_esp *p)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    int err = fetch(secret);

    (void)p;
    wipe(secret, sizeof secret);
    return err;
}

int secret_hmac(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    uint8_t secret[LIMIT_SECRET_LEN];
    int err = fetch(secret);

    (void)ctx;
    if (err == TEDDY_OK && mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), secret,
                                           sizeof secret, msg, len, mac) != 0)
        err = TEDDY_EIO;
    wipe(secret, sizeof secret);
    return err == TEDDY_OK ? TEDDY_OK : TEDDY_EIO;
}
#endif
