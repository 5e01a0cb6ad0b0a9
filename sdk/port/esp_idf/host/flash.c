#include "flash.h"

#include <esp_err.h>
#include <esp_partition.h>
#include <stdint.h>
#include <string.h>

#define SECTOR 4096u

static uint8_t nvs[8 * SECTOR], factory[3 * SECTOR];
static const struct {
    esp_partition_t partition;
    uint8_t *memory;
} partitions[] = {
    {{.type = ESP_PARTITION_TYPE_DATA,
      .subtype = ESP_PARTITION_SUBTYPE_DATA_NVS,
      .address = 0x10000,
      .size = sizeof nvs,
      .erase_size = SECTOR,
      .label = "nvs"},
     nvs},
    {{.type = ESP_PARTITION_TYPE_DATA,
      .subtype = ESP_PARTITION_SUBTYPE_DATA_NVS,
      .address = 0x19000,
      .size = sizeof factory,
      .erase_size = SECTOR,
      .label = "nvs_factory"},
     factory},
};

static size_t writes, cut_at;
static bool cut, tears;

void flash_new(void)
{
    memset(nvs, 0xff, sizeof nvs);
    memset(factory, 0xff, sizeof factory);
    flash_power_on();
}

void flash_power_on(void)
{
    writes = cut_at = 0;
    cut = false;
}

void flash_cut_at(size_t n, bool torn)
{
    flash_power_on();
    cut_at = n;
    tears = torn;
}

bool flash_was_cut(void)
{
    return cut;
}

size_t flash_writes(void)
{
    return writes;
}

/* One word or sector more: whether it is done wholly, halfway or not at all. */
enum done { DONE, HALF, NOT };
static enum done next(void)
{
    if (cut)
        return NOT;
    if (++writes != cut_at)
        return DONE;
    cut = true;
    return tears ? HALF : NOT;
}

static uint8_t *memory_of(const esp_partition_t *partition)
{
    for (size_t i = 0; i < sizeof partitions / sizeof partitions[0]; i++)
        if (&partitions[i].partition == partition)
            return partitions[i].memory;
    return NULL;
}

const esp_partition_t *esp_partition_find_first(esp_partition_type_t type,
                                                esp_partition_subtype_t subtype, const char *label)
{
    (void)type;
    (void)subtype;
    for (size_t i = 0; i < sizeof partitions / sizeof partitions[0]; i++)
        if (strcmp(partitions[i].partition.label, label) == 0)
            return &partitions[i].partition;
    return NULL;
}

uint32_t esp_partition_get_main_flash_sector_size(void)
{
    return SECTOR;
}

esp_err_t esp_partition_read(const esp_partition_t *partition, size_t at, void *out, size_t len)
{
    memcpy(out, memory_of(partition) + at, len);
    return ESP_OK;
}

esp_err_t esp_partition_read_raw(const esp_partition_t *partition, size_t at, void *out, size_t len)
{
    return esp_partition_read(partition, at, out, len);
}

/* Flash clears bits, and sets none. */
esp_err_t esp_partition_write(const esp_partition_t *partition, size_t at, const void *data,
                              size_t len)
{
    const uint8_t *from = data;
    uint8_t *to = memory_of(partition) + at;

    for (size_t i = 0; i < len; i += 4) {
        size_t size = len - i < 4 ? len - i : 4;
        enum done done = next();
        if (done == NOT)
            return ESP_FAIL;
        for (size_t j = 0; j < (done == DONE ? size : size / 2); j++)
            to[i + j] &= from[i + j];
        if (done == HALF)
            return ESP_FAIL;
    }
    return ESP_OK;
}

esp_err_t esp_partition_write_raw(const esp_partition_t *partition, size_t at, const void *data,
                                  size_t len)
{
    return esp_partition_write(partition, at, data, len);
}

esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t at, size_t len)
{
    uint8_t *to = memory_of(partition) + at;

    for (size_t i = 0; i < len; i += SECTOR) {
        enum done done = next();
        if (done == NOT)
            return ESP_FAIL;
        memset(to + i, 0xff, done == DONE ? SECTOR : SECTOR / 2);
        if (done == HALF)
            return ESP_FAIL;
    }
    return ESP_OK;
}

const char *esp_err_to_name(esp_err_t code)
{
    return code == ESP_OK ? "ESP_OK" : "an error";
}
