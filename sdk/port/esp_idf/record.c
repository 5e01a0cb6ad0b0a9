/* The records, a blob of NVS each.
 *
 * NVS is a log: a new blob is written whole beside the old one, and counts only when its index
 * entry is; the old one is erased after that. Power lost at any moment leaves one of the two, and
 * what is damaged fails its checksum and counts as not there. Under NVS encryption each entry is
 * sealed with XTS-AES, which hides the tokens but does not sign them: who can write the flash can
 * spoil a record, and the server then refuses its tokens.
 *
 * A write takes milliseconds, and tens of them when it comes to erase a sector: flash cannot be
 * written without stopping whoever runs from it, so no other task would spare the toy this wait. */
#include "esp_port.h"

#include <esp_err.h>
#include <nvs.h>

static const char *const keys[] = {
    [TEDDY_RECORD_TOKENS] = PORT_KEY_TOKENS,
    [TEDDY_RECORD_LAST] = PORT_KEY_LAST,
};
_Static_assert(sizeof keys / sizeof keys[0] == TEDDY_RECORDS, "each record has its key");
_Static_assert(sizeof PORT_KEY_TOKENS <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters at most");
_Static_assert(sizeof PORT_KEY_LAST <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters at most");
/* The index entry, and one page's worth of 32-byte entries without its first: a record that spans
 * no more than two pages is never refused for want of contiguous room. */
_Static_assert(TEDDY_RECORD_MAX <= 125 * 32, "a record fits one page of NVS");

static int failed(const char *doing, enum teddy_record record, esp_err_t err)
{
    port_log(TEDDY_LOG_ERROR, "cannot %s the record %s: %s", doing, keys[record],
             esp_err_to_name(err));
    return TEDDY_EIO;
}

int record_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    struct teddy_esp *p = ctx;
    size_t size = cap;
    esp_err_t err = nvs_get_blob(p->nvs, keys[record], buf, &size);

    switch (err) {
    case ESP_OK:
        *len = size;
        return TEDDY_OK;
    case ESP_ERR_NVS_NOT_FOUND:
        return TEDDY_ENOTFOUND;
    case ESP_ERR_NVS_INVALID_LENGTH: /* no record of this core's */
    case ESP_ERR_NVS_TYPE_MISMATCH:
        port_log(TEDDY_LOG_WARN, "the record %s is damaged: not used", keys[record]);
        return TEDDY_EAUTH;
    default:
        return failed("read", record, err);
    }
}

int record_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    struct teddy_esp *p = ctx;
    esp_err_t err;

    if (len > TEDDY_RECORD_MAX)
        return TEDDY_ETOOBIG;
    err = nvs_set_blob(p->nvs, keys[record], data, len);
    if (err == ESP_OK)
        err = nvs_commit(p->nvs);
    return err == ESP_OK ? TEDDY_OK : failed("write", record, err);
}

int record_erase(void *ctx)
{
    struct teddy_esp *p = ctx;
    int result = TEDDY_OK;

    for (int i = 0; i < TEDDY_RECORDS; i++) {
        esp_err_t err = nvs_erase_key(p->nvs, keys[i]);
        if (err == ESP_ERR_NVS_NOT_FOUND)
            continue;
        if (err == ESP_OK)
            err = nvs_commit(p->nvs);
        if (err != ESP_OK)
            result = failed("erase", (enum teddy_record)i, err);
    }
    return result;
}
