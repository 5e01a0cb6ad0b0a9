/* Opening NVS: the default partition, where the records are, and the factory partition. */
#include "esp_port.h"

#include <esp_err.h>
#include <nvs.h>
#include <nvs_flash.h>
#include <sdkconfig.h>

#include "proto/text.h"

_Static_assert(sizeof PORT_NS <= NVS_NS_NAME_MAX_SIZE, "a namespace has 15 characters at most");
_Static_assert(sizeof PORT_NS_FACTORY <= NVS_NS_NAME_MAX_SIZE, "a namespace has 15 characters");
_Static_assert(sizeof CONFIG_TEDDY_FACTORY_PARTITION <= NVS_PART_NAME_MAX_SIZE + 1,
               "a partition's label has 16 characters at most");

#if CONFIG_TEDDY_NVS_HMAC
#define PROTECTION "encrypted, its keys derived from an eFuse"
_Static_assert(CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID >= 0, "choose NVS_SEC_HMAC_EFUSE_KEY_ID");
#if CONFIG_TEDDY_SECRET_EFUSE
_Static_assert(CONFIG_NVS_SEC_HMAC_EFUSE_KEY_ID != CONFIG_TEDDY_SECRET_EFUSE_KEY,
               "NVS and the OOB secret need an eFuse key block each");
#endif
#elif CONFIG_TEDDY_NVS_FLASH_ENC
#define PROTECTION "encrypted, its keys under flash encryption"
#else
#define PROTECTION       "not encrypted: for development only"
#define PROTECTION_LEVEL TEDDY_LOG_WARN
#endif
#ifndef PROTECTION_LEVEL
#define PROTECTION_LEVEL TEDDY_LOG_INFO
#endif

/* A full or foreign partition cannot be mended, and a toy that pairs again is better than none. */
static esp_err_t open_default(void)
{
    esp_err_t err = nvs_flash_init();

    if (err != ESP_ERR_NVS_NO_FREE_PAGES && err != ESP_ERR_NVS_NEW_VERSION_FOUND)
        return err;
    port_log(TEDDY_LOG_WARN, "NVS cannot be used (%s): erased", esp_err_to_name(err));
    err = nvs_flash_erase();
    return err == ESP_OK ? nvs_flash_init() : err;
}

/* nvs_flash_init_partition knows no encryption; only nvs_flash_init asks the default scheme. */
static esp_err_t open_factory(void)
{
#if CONFIG_NVS_ENCRYPTION
    nvs_sec_cfg_t keys = {0};
    nvs_sec_scheme_t *scheme = nvs_flash_get_default_security_scheme();
    esp_err_t err = nvs_flash_read_security_cfg_v2(scheme, &keys);

    if (err == ESP_OK)
        err = nvs_flash_secure_init_partition(CONFIG_TEDDY_FACTORY_PARTITION, &keys);
    wipe(&keys, sizeof keys);
    return err;
#else
    return nvs_flash_init_partition(CONFIG_TEDDY_FACTORY_PARTITION);
#endif
}

static int open_namespaces(struct teddy_esp *p)
{
    esp_err_t err = open_factory();

    if (err == ESP_OK)
        err = nvs_open_from_partition(CONFIG_TEDDY_FACTORY_PARTITION, PORT_NS_FACTORY, NVS_READONLY,
                                      &p->factory);
    if (err != ESP_OK) {
        port_log(TEDDY_LOG_ERROR, "no namespace %s in the partition %s: %s", PORT_NS_FACTORY,
                 CONFIG_TEDDY_FACTORY_PARTITION, esp_err_to_name(err));
        return err == ESP_ERR_NOT_FOUND || err == ESP_ERR_NVS_NOT_FOUND ? TEDDY_ENOTFOUND
                                                                        : TEDDY_ESTORE;
    }
    err = nvs_open(PORT_NS, NVS_READWRITE, &p->nvs);
    if (err != ESP_OK) {
        port_log(TEDDY_LOG_ERROR, "cannot open the namespace %s: %s", PORT_NS,
                 esp_err_to_name(err));
        nvs_close(p->factory);
        return TEDDY_ESTORE;
    }
    return TEDDY_OK;
}

int storage_open(struct teddy_esp *p)
{
    esp_err_t err = open_default();

    if (err != ESP_OK) {
        port_log(TEDDY_LOG_ERROR, "cannot open NVS: %s", esp_err_to_name(err));
        return TEDDY_ESTORE;
    }
    port_log(PROTECTION_LEVEL, "NVS is " PROTECTION);
    return open_namespaces(p);
}
