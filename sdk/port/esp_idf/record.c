/* The records, each in two blobs of NVS by turns, and a byte that says which of them counts.
 *
 * NVS alone would not do: when power goes just after the data of a new blob is written and before
 * its index entry is begun, ESP-IDF's nvs_flash takes the old data for a duplicate as it starts
 * again, and neither is left (host/storage_test.c finds the moment). So the new record goes where
 * the one that counts is not, and the byte after it; one entry of NVS is replaced as a whole.
 *
 * Under NVS encryption each entry is sealed with XTS-AES, which hides the tokens but does not sign
 * them: who can write the flash can spoil a record, and the server then refuses its tokens.
 *
 * A write takes milliseconds, and tens of them when it comes to erase a sector: flash cannot be
 * written without stopping whoever runs from it, so no other task would spare the toy this wait. */
#include "esp_port.h"

#include <esp_err.h>
#include <nvs.h>

struct keys {
    char slot[2][NVS_KEY_NAME_MAX_SIZE];
    char at[NVS_KEY_NAME_MAX_SIZE]; /* u8: the slot that counts */
};

#define KEYS(name)                                                                                 \
    {                                                                                              \
        .slot = {name "0", name "1"}, .at = name "_at"                                             \
    }
static const struct keys keys[] = {
    [TEDDY_RECORD_TOKENS] = KEYS(PORT_KEY_TOKENS),
    [TEDDY_RECORD_LAST] = KEYS(PORT_KEY_LAST),
};
_Static_assert(sizeof keys / sizeof keys[0] == TEDDY_RECORDS, "each record has its keys");
_Static_assert(sizeof PORT_KEY_TOKENS "_at" <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters");
_Static_assert(sizeof PORT_KEY_LAST "_at" <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters");

static int failed(const char *doing, enum teddy_record record, esp_err_t err)
{
    port_log(TEDDY_LOG_ERROR, "cannot %s the record %s: %s", doing, keys[record].slot[0],
             esp_err_to_name(err));
    return TEDDY_EIO;
}

static int damaged(enum teddy_record record)
{
    port_log(TEDDY_LOG_WARN, "the record %s is damaged: not used", keys[record].slot[0]);
    return TEDDY_EAUTH;
}

int record_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    struct teddy_esp *p = ctx;
    size_t size = cap;
    uint8_t at = 0;
    esp_err_t err = nvs_get_u8(p->nvs, keys[record].at, &at);

    if (err == ESP_ERR_NVS_NOT_FOUND)
        return TEDDY_ENOTFOUND;
    if (err == ESP_OK && at > 1)
        return damaged(record);
    if (err == ESP_OK)
        err = nvs_get_blob(p->nvs, keys[record].slot[at], buf, &size);
    switch (err) {
    case ESP_OK:
        *len = size;
        return TEDDY_OK;
    case ESP_ERR_NVS_NOT_FOUND:
    case ESP_ERR_NVS_INVALID_LENGTH: /* no record of this core's */
    case ESP_ERR_NVS_TYPE_MISMATCH:
        return damaged(record);
    default:
        return failed("read", record, err);
    }
}

int record_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    struct teddy_esp *p = ctx;
    uint8_t at = 1;
    esp_err_t err;

    if (len > TEDDY_RECORD_MAX)
        return TEDDY_ETOOBIG;
    err = nvs_get_u8(p->nvs, keys[record].at, &at);
    if (err != ESP_OK && err != ESP_ERR_NVS_NOT_FOUND)
        return failed("find", record, err);
    at = at == 0 ? 1 : 0;
    err = nvs_set_blob(p->nvs, keys[record].slot[at], data, len);
    if (err == ESP_OK)
        err = nvs_set_u8(p->nvs, keys[record].at, at);
    if (err == ESP_OK)
        err = nvs_commit(p->nvs);
    return err == ESP_OK ? TEDDY_OK : failed("write", record, err);
}

static esp_err_t erase_key(struct teddy_esp *p, const char *key)
{
    esp_err_t err = nvs_erase_key(p->nvs, key);

    return err == ESP_ERR_NVS_NOT_FOUND ? ESP_OK : err;
}

int record_erase(void *ctx)
{
    struct teddy_esp *p = ctx;
    int result = TEDDY_OK;

    for (int i = 0; i < TEDDY_RECORDS; i++) {
        esp_err_t err = erase_key(p, keys[i].at);
        for (int slot = 0; slot < 2 && err == ESP_OK; slot++)
            err = erase_key(p, keys[i].slot[slot]);
        if (err == ESP_OK)
            err = nvs_commit(p->nvs);
        if (err != ESP_OK)
            result = failed("erase", (enum teddy_record)i, err);
    }
    return result;
}
