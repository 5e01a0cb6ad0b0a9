/* The toy's records, sealed: "TDS" version(1) ‖ nonce(12) ‖ AES-256-GCM ciphertext ‖ tag(16), with
 * the first four bytes and the record's kind authenticated, so that neither passes for the other.
 * Their key lies in a file of its own, so that it can move to better-kept storage. */
#include "posix_port.h"

#include <mbedtls/gcm.h>
#include <string.h>

#include "proto/text.h"

#define KEY_LEN   32
#define HEAD_LEN  4
#define BOUND_LEN (HEAD_LEN + 1)
#define NONCE_LEN 12
#define TAG_LEN   16
#define OVERHEAD  (HEAD_LEN + NONCE_LEN + TAG_LEN)

static const uint8_t head[HEAD_LEN] = {'T', 'D', 'S', 2};

/* TEDDY_ENOTFOUND when there is none, TEDDY_EAUTH when it is not a key: zeros are what a power cut
 * leaves of a file on a disk that does not keep its word. */
static int key_load(struct teddy_posix *p, uint8_t key[KEY_LEN])
{
    static const uint8_t zeros[KEY_LEN];
    size_t len = 0;
    int err = file_read(p->state->key, true, key, KEY_LEN, &len);

    if (err == TEDDY_ETOOBIG || (err == TEDDY_OK && len != KEY_LEN))
        return TEDDY_EAUTH;
    if (err == TEDDY_OK && memcmp(key, zeros, KEY_LEN) == 0)
        return TEDDY_EAUTH;
    return err;
}

/* Whatever a damaged key had sealed is lost already, so a new one may take its place. */
static int key_load_or_make(struct teddy_posix *p, uint8_t key[KEY_LEN])
{
    int err = key_load(p, key);

    if (err != TEDDY_ENOTFOUND && err != TEDDY_EAUTH)
        return err;
    if (teddy_posix_port.random(p, key, KEY_LEN) != TEDDY_OK)
        return TEDDY_EIO;
    if (err == TEDDY_ENOTFOUND)
        return file_create(p->state->key, p->state->tmp, key, KEY_LEN);
    port_log(p, TEDDY_LOG_WARN, "the key in %s is damaged: replaced", p->state->key);
    return file_replace(p->state->key, p->state->tmp, key, KEY_LEN);
}

/* What is authenticated without being sealed. */
static void bind_kind(enum teddy_record record, uint8_t bound[BOUND_LEN])
{
    memcpy(bound, head, HEAD_LEN);
    bound[HEAD_LEN] = (uint8_t)record;
}

static int seal(const uint8_t key[KEY_LEN], enum teddy_record record, const uint8_t *data,
                size_t len, uint8_t *out)
{
    mbedtls_gcm_context gcm;
    uint8_t bound[BOUND_LEN];
    uint8_t *nonce = out + HEAD_LEN, *body = nonce + NONCE_LEN;
    int err = TEDDY_EIO;

    memcpy(out, head, HEAD_LEN);
    bind_kind(record, bound);
    if (teddy_posix_port.random(NULL, nonce, NONCE_LEN) != TEDDY_OK)
        return TEDDY_EIO;
    mbedtls_gcm_init(&gcm);
    if (mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, KEY_LEN * 8) == 0 &&
        mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, len, nonce, NONCE_LEN, bound,
                                  BOUND_LEN, data, body, TAG_LEN, body + len) == 0)
        err = TEDDY_OK;
    mbedtls_gcm_free(&gcm);
    return err;
}

static int unseal(const uint8_t key[KEY_LEN], enum teddy_record record, const uint8_t *sealed,
                  size_t sealed_len, uint8_t *out)
{
    mbedtls_gcm_context gcm;
    uint8_t bound[BOUND_LEN];
    const uint8_t *nonce = sealed + HEAD_LEN, *body = nonce + NONCE_LEN;
    size_t len = sealed_len - OVERHEAD;
    int err = TEDDY_EAUTH;

    bind_kind(record, bound);
    mbedtls_gcm_init(&gcm);
    if (mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, KEY_LEN * 8) == 0 &&
        mbedtls_gcm_auth_decrypt(&gcm, len, nonce, NONCE_LEN, bound, BOUND_LEN, body + len, TAG_LEN,
                                 body, out) == 0)
        err = TEDDY_OK;
    mbedtls_gcm_free(&gcm);
    return err;
}

static int load_sealed(struct teddy_posix *p, enum teddy_record record, uint8_t *buf, size_t cap,
                       size_t *len)
{
    uint8_t sealed[TEDDY_RECORD_MAX + OVERHEAD], key[KEY_LEN];
    size_t sealed_len = 0;
    int err = file_read(p->state->record[record], true, sealed, sizeof sealed, &sealed_len);

    if (err == TEDDY_ENOTFOUND || err == TEDDY_EIO)
        return err;
    if (err || sealed_len < OVERHEAD || memcmp(sealed, head, HEAD_LEN) != 0)
        return TEDDY_EAUTH;
    err = key_load(p, key);
    if (err == TEDDY_OK && sealed_len - OVERHEAD > cap)
        err = TEDDY_EAUTH; /* no record of this core's */
    if (err == TEDDY_OK)
        err = unseal(key, record, sealed, sealed_len, buf);
    wipe(key, sizeof key);
    if (err == TEDDY_OK)
        *len = sealed_len - OVERHEAD;
    return err == TEDDY_ENOTFOUND ? TEDDY_EAUTH : err;
}

int record_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    struct teddy_posix *p = ctx;
    int err;

    if (!p->state)
        return ram_load(&p->ram[record], buf, cap, len);
    err = load_sealed(p, record, buf, cap, len);
    if (err == TEDDY_EAUTH)
        port_log(p, TEDDY_LOG_WARN, "the record in %s is damaged or not sealed by %s: not used",
                 p->state->record[record], p->state->key);
    else if (err == TEDDY_EIO)
        port_log(p, TEDDY_LOG_ERROR, "cannot read %s", p->state->record[record]);
    return err;
}

static int save_sealed(struct teddy_posix *p, enum teddy_record record, const uint8_t *data,
                       size_t len)
{
    uint8_t sealed[TEDDY_RECORD_MAX + OVERHEAD], key[KEY_LEN];
    int err = key_load_or_make(p, key);

    if (err == TEDDY_OK)
        err = seal(key, record, data, len, sealed);
    wipe(key, sizeof key);
    if (err == TEDDY_OK)
        err = file_replace(p->state->record[record], p->state->tmp, sealed, len + OVERHEAD);
    return err == TEDDY_OK ? TEDDY_OK : TEDDY_EIO;
}

int record_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    struct teddy_posix *p = ctx;
    int err;

    if (len > TEDDY_RECORD_MAX)
        return TEDDY_ETOOBIG;
    if (!p->state)
        return ram_save(&p->ram[record], data, len);
    err = save_sealed(p, record, data, len);
    if (err)
        port_log(p, TEDDY_LOG_ERROR, "cannot write %s: the old record stays",
                 p->state->record[record]);
    return err;
}

int record_erase(void *ctx)
{
    struct teddy_posix *p = ctx;
    int err = TEDDY_OK;

    for (size_t i = 0; i < TEDDY_RECORDS; i++) {
        ram_erase(&p->ram[i]);
        if (p->state && file_remove(p->state->record[i]) != TEDDY_OK)
            err = TEDDY_EIO;
    }
    return err;
}
