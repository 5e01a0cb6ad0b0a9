/* The child's id, in a namespace of the application's. */
#include "app.h"

#include <esp_err.h>
#include <nvs.h>

#include "proto/ids.h"
#include "proto/limits.h"

#define NAMESPACE "teddy_app"
#define KEY       "child_id"
_Static_assert(sizeof NAMESPACE <= NVS_NS_NAME_MAX_SIZE, "a namespace has 15 characters at most");
_Static_assert(sizeof KEY <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters at most");

bool child_load(char *out)
{
    size_t size = LIMIT_ID_LEN + 1;
    nvs_handle_t nvs;
    esp_err_t err;

    if (nvs_open(NAMESPACE, NVS_READONLY, &nvs) != ESP_OK)
        return false;
    err = nvs_get_str(nvs, KEY, out, &size);
    nvs_close(nvs);
    return err == ESP_OK && id_ok((struct span){out, size - 1});
}

bool child_store(const uint8_t *id, size_t len)
{
    char text[LIMIT_ID_LEN + 1];
    nvs_handle_t nvs;
    esp_err_t err;

    if (len > LIMIT_ID_LEN || !id_ok((struct span){(const char *)id, len}))
        return false;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)id[i];
    text[len] = '\0';
    if (nvs_open(NAMESPACE, NVS_READWRITE, &nvs) != ESP_OK)
        return false;
    err = nvs_set_str(nvs, KEY, text);
    if (err == ESP_OK)
        err = nvs_commit(nvs);
    nvs_close(nvs);
    return err == ESP_OK;
}

void child_forget(void)
{
    nvs_handle_t nvs;

    if (nvs_open(NAMESPACE, NVS_READWRITE, &nvs) != ESP_OK)
        return;
    if (nvs_erase_key(nvs, KEY) == ESP_OK)
        (void)nvs_commit(nvs);
    nvs_close(nvs);
}
