/* Where the devices stand that a connection had lately. By its id a device is found through two
 * trees: one of the ids has the number of its row, and one of the rows has that. Of many devices
 * each step down the first is a page that no cache holds. So the numbers of 16,384 are kept (128
 * KiB), by a hash of the id; who comes later takes the place of another. */
#include <stdlib.h>

#include "store/internal.h"

#define PLACES (1u << 14)

struct device_place {
    uint32_t tag; /* of the id */
    uint32_t row; /* 0: free */
};

static uint64_t hash_of(const char *id)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *id != 0; id++)
        h = (h ^ (uint8_t)*id) * 1099511628211u;
    return h;
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static int64_t find(const struct store_tx *tx, uint64_t hash)
{
    const struct device_place *p = tx->places == NULL ? NULL : &tx->places[hash % PLACES];
    return p != NULL && p->tag == tag_of(hash) ? p->row : 0;
}

int64_t device_place(const struct store_tx *tx, const char *device_id)
{
    return find(tx, hash_of(device_id));
}

void device_place_keep(struct store_tx *tx, const char *device_id, int64_t row)
{
    uint64_t hash = hash_of(device_id);
    if (row <= 0 || row > UINT32_MAX || find(tx, hash) == row)
        return;
    if (tx->places == NULL)
        tx->places = calloc(PLACES, sizeof *tx->places);
    if (tx->places != NULL)
        tx->places[hash % PLACES] = (struct device_place){tag_of(hash), (uint32_t)row};
}

void device_places_free(struct store_tx *tx)
{
    free(tx->places);
    tx->places = NULL;
}

int tx_device(struct store_tx *tx, sqlite3_stmt *st, const char *device_id)
{
    int64_t row = device_place(tx, device_id);
    bind_text(st, 1, device_id);
    if (row > 0)
        bind_u64(st, 2, (uint64_t)row);
    int err = tx_row(tx, st);
    if (err == TEDDY_ENOTFOUND && row > 0) {
        sqlite3_reset(st);
        sqlite3_bind_null(st, 2);
        err = tx_row(tx, st);
    }
    if (err == TEDDY_OK)
        device_place_keep(tx, device_id, sqlite3_column_int64(st, 0));
    return err;
}
