/* What a database and a key file give back. Input: 'k' and the text of a master key's file; or 's',
 * a device id of up to 64 bytes that ends with NUL, and what should be a sealed secret of it. */
#include "store/seal_box.h"

#include "fuzz.h"
#include "identity/master_key.h"
#include "proto/text.h"
#include "proto/writer.h"

/* Keys that are taken can be written and are taken again; others leave none. */
static void try_key(struct span text)
{
    struct seal_master keys = {0}, again = {0};
    char out[SEAL_MASTERS * (2 * SEAL_KEY_LEN + 1) + 1];
    struct writer w = writer_on(out, sizeof out);

    if (master_key_parse(text, &keys) != NULL) {
        HOLDS(keys.count == 0);
        return;
    }
    HOLDS(keys.count == 1 || keys.count == 2);
    for (unsigned i = 0; i < keys.count; i++) {
        writer_hex(&w, keys.key[i], SEAL_KEY_LEN);
        writer_text(&w, "\n");
    }
    HOLDS(writer_end(&w) == TEDDY_OK);
    HOLDS(master_key_parse((struct span){out, w.len}, &again) == NULL);
    HOLDS(again.count == keys.count);
    HOLDS(memcmp(again.key, keys.key, keys.count * (size_t)SEAL_KEY_LEN) == 0);
}

/* Nothing opens but what was sealed: the key is nobody's. */
static void try_sealed(struct seal_box *box, const uint8_t *data, size_t len)
{
    static const uint8_t none[LIMIT_SECRET_LEN];
    const uint8_t *end = memchr(data, 0, len < 65 ? len : 65);
    uint8_t secret[LIMIT_SECRET_LEN] = {1}, *sealed;

    if (end == NULL || (size_t)(data + len - end) - 1 != SEALED_LEN)
        return;
    sealed = heap_copy(end + 1, SEALED_LEN);
    HOLDS(seal_box_open(box, (const char *)data, sealed, secret) == TEDDY_EAUTH);
    HOLDS(memcmp(secret, none, sizeof none) == 0);
    /* What it would have been opens, as that device's alone, and not with a byte changed. */
    HOLDS(seal_box_shut(box, (const char *)data, end + 1, sealed) == TEDDY_OK);
    HOLDS(seal_box_open(box, (const char *)data, sealed, secret) == TEDDY_OK);
    HOLDS(memcmp(secret, end + 1, sizeof secret) == 0);
    sealed[end[SEALED_LEN] % SEALED_LEN] ^= (uint8_t)(end[1] | 1);
    HOLDS(seal_box_open(box, (const char *)data, sealed, secret) == TEDDY_EAUTH);
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct seal_box *box;
    static const uint8_t key[SEAL_KEY_LEN] = {'n', 'o', 'b', 'o', 'd', 'y'};

    if (box == NULL)
        box = seal_box_new(key);
    HOLDS(box != NULL);
    if (len > 0 && data[0] == 'k') {
        char *text = (char *)heap_copy(data + 1, len - 1);
        try_key((struct span){text, len - 1});
        free(text);
    } else if (len > 0 && data[0] == 's') {
        try_sealed(box, data + 1, len - 1);
    }
    return 0;
}
