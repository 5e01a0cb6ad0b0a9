/* What the factory wrote for the application. */
#include "esp_port.h"
#include "teddy_esp.h"

#include <esp_err.h>
#include <nvs.h>

static int outcome(const char *key, esp_err_t err)
{
    switch (err) {
    case ESP_OK:
        return TEDDY_OK;
    case ESP_ERR_NVS_NOT_FOUND:
        return TEDDY_ENOTFOUND;
    case ESP_ERR_NVS_INVALID_LENGTH:
        return TEDDY_ENOSPC;
    default:
        port_log(TEDDY_LOG_ERROR, "cannot read %s of the factory partition: %s", key,
                 esp_err_to_name(err));
        return TEDDY_ESTORE;
    }
}

int teddy_esp_factory_text(const char *key, char *text, size_t cap)
{
    size_t size = cap;

    return outcome(key, nvs_get_str(toy.factory, key, text, &size));
}

int teddy_esp_factory_blob(const char *key, uint8_t *data, size_t cap, size_t *len)
{
    size_t size = cap;
    int err = outcome(key, nvs_get_blob(toy.factory, key, data, &size));

    *len = err == TEDDY_OK ? size : 0;
    return err;
}
