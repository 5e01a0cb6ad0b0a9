/* The POSIX port, broken on purpose in one way: proof that the checks can fail. Tests only. */
#include <mbedtls/ssl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "port/posix/posix_port.h"
#include "posix_board.h"

static struct teddy_port port; /* teddy_posix_port, with something replaced */
static const struct teddy_port *const good = &teddy_posix_port;
static bool no_verify, no_name;

static void block(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

/* ---- certificates ---- */

void __real_mbedtls_ssl_conf_authmode(mbedtls_ssl_config *conf, int mode);
void __wrap_mbedtls_ssl_conf_authmode(mbedtls_ssl_config *conf, int mode);
void __wrap_mbedtls_ssl_conf_authmode(mbedtls_ssl_config *conf, int mode)
{
    __real_mbedtls_ssl_conf_authmode(conf, no_verify ? MBEDTLS_SSL_VERIFY_OPTIONAL : mode);
}

uint32_t __real_mbedtls_ssl_get_verify_result(const mbedtls_ssl_context *ssl);
uint32_t __wrap_mbedtls_ssl_get_verify_result(const mbedtls_ssl_context *ssl);
uint32_t __wrap_mbedtls_ssl_get_verify_result(const mbedtls_ssl_context *ssl)
{
    return no_verify ? 0 : __real_mbedtls_ssl_get_verify_result(ssl);
}

bool __real_san_has_ip(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t len);
bool __wrap_san_has_ip(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t len);
bool __wrap_san_has_ip(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t len)
{
    return no_name || __real_san_has_ip(crt, ip, len);
}

static int connect_dates(void *ctx, const char *host, uint16_t number, bool tls)
{
    int rc = good->connect(ctx, host, number, tls);

    return rc == TEDDY_ECLOCK ? TEDDY_ECERT : rc;
}

static int connect_word(void *ctx, const char *host, uint16_t number, bool tls)
{
    int rc = good->connect(ctx, host, number, tls);

    return rc == TEDDY_EIO ? TEDDY_ECLOSED : rc;
}

/* ---- the machine ---- */

static uint64_t seed;

static int random_seed(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(seed >> 56);
    }
    return TEDDY_OK;
}

static int random_poor(void *ctx, uint8_t *out, size_t len)
{
    int rc = good->random(ctx, out, len);

    for (size_t i = 0; i < len; i++)
        out[i] &= 0x0f;
    return rc;
}

static int hmac_wrong(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    int rc = good->hmac_sha256(ctx, msg, len, mac);

    mac[31] ^= 1;
    return rc;
}

static int sha1_wrong(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    return good->sha1(ctx, msg, len < 56 ? len : 55, digest);
}

static uint64_t wall_zero(void *ctx)
{
    (void)ctx;
    return 1000;
}

/* ---- records ---- */

static struct {
    size_t len[TEDDY_RECORDS];
    uint8_t data[TEDDY_RECORDS][TEDDY_RECORD_MAX];
} ram;

static int load_ram(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    (void)ctx;
    if (ram.len[record] == 0)
        return TEDDY_ENOTFOUND;
    if (ram.len[record] > cap)
        return TEDDY_EAUTH;
    memcpy(buf, ram.data[record], ram.len[record]);
    *len = ram.len[record];
    return TEDDY_OK;
}

static int save_ram(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    (void)ctx;
    memcpy(ram.data[record], data, len);
    ram.len[record] = len;
    return TEDDY_OK;
}

static int erase_ram(void *ctx)
{
    (void)ctx;
    memset(&ram, 0, sizeof ram);
    return TEDDY_OK;
}

static int save_one(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    (void)record;
    return good->save(ctx, TEDDY_RECORD_TOKENS, data, len);
}

static int load_one(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    (void)record;
    return good->load(ctx, TEDDY_RECORD_TOKENS, buf, cap, len);
}

static int save_slow(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    block();
    return good->save(ctx, record, data, len);
}

static int save_short(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    return good->save(ctx, record, data, len > 1024 ? 1024 : len);
}

static int load_wide(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    return good->load(ctx, record, buf, cap < 100 ? TEDDY_RECORD_MAX : cap, len);
}

static int load_blind(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    int rc = good->load(ctx, record, buf, cap, len);

    return rc == TEDDY_EAUTH ? TEDDY_ENOTFOUND : rc;
}

static int erase_half(void *ctx)
{
    uint8_t last[TEDDY_RECORD_MAX];
    size_t len;
    int had = good->load(ctx, TEDDY_RECORD_LAST, last, sizeof last, &len);
    int rc = good->erase(ctx);

    return had == TEDDY_OK ? good->save(ctx, TEDDY_RECORD_LAST, last, len) : rc;
}

/* ---- the connection ---- */

static int recv_block(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    int rc = good->recv(ctx, buf, cap, got);

    if (rc == TEDDY_AGAIN)
        block();
    return rc;
}

static int recv_endless(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    int rc = good->recv(ctx, buf, cap, got);

    return rc < 0 && teddy_posix_fd(ctx) >= 0 ? TEDDY_AGAIN : rc;
}

static int recv_lossy(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    uint8_t more[16];
    int rc;

    if (cap >= sizeof more)
        return good->recv(ctx, buf, cap, got);
    rc = good->recv(ctx, more, sizeof more, got);
    if (rc == TEDDY_OK) {
        *got = *got < cap ? *got : cap;
        memcpy(buf, more, *got);
    }
    return rc;
}

static int connect_block(void *ctx, const char *host, uint16_t number, bool tls)
{
    int rc = good->connect(ctx, host, number, tls);

    for (unsigned i = 0; rc == TEDDY_AGAIN && i < 30; i++) {
        (void)teddy_posix_wait(ctx, 10, TEDDY_WANTS_READ, NULL, 0);
        rc = good->connect(ctx, host, number, tls);
    }
    return rc;
}

static int send_block(void *ctx, const uint8_t *data, size_t len, size_t *sent)
{
    int rc = good->send(ctx, data, len, sent);

    if (rc == TEDDY_AGAIN)
        block();
    return rc;
}

static void disconnect_forgets(void *ctx)
{
    teddy_posix_forget_session(ctx);
    good->disconnect(ctx);
}

static const struct {
    const char *how;
    struct teddy_port with; /* what it replaces */
    bool *flag;
} ways[] = {
    {"verify", {0}, &no_verify},
    {"name", {0}, &no_name},
    {"dates", {.connect = connect_dates}, NULL},
    {"word", {.connect = connect_word}, NULL},
    {"seed", {.random = random_seed}, NULL},
    {"random", {.random = random_poor}, NULL},
    {"hmac", {.hmac_sha256 = hmac_wrong}, NULL},
    {"sha1", {.sha1 = sha1_wrong}, NULL},
    {"clock", {.wall_time = wall_zero}, NULL},
    {"lose", {.load = load_ram, .save = save_ram, .erase = erase_ram}, NULL},
    {"one", {.load = load_one, .save = save_one}, NULL},
    {"slow", {.save = save_slow}, NULL},
    {"short", {.save = save_short}, NULL},
    {"wide", {.load = load_wide}, NULL},
    {"blind", {.load = load_blind}, NULL},
    {"half", {.erase = erase_half}, NULL},
    {"block", {.recv = recv_block}, NULL},
    {"endless", {.recv = recv_endless}, NULL},
    {"lossy", {.recv = recv_lossy}, NULL},
    {"connect", {.connect = connect_block}, NULL},
    {"send", {.send = send_block}, NULL},
    {"resume", {.disconnect = disconnect_forgets}, NULL},
};

/* The table is nothing but pointers to functions, and so it is replaced one by one. */
static void replace(const struct teddy_port *with)
{
#define REPLACE(member)                                                                            \
    if (with->member)                                                                              \
    port.member = with->member
    REPLACE(random);
    REPLACE(hmac_sha256);
    REPLACE(sha1);
    REPLACE(load);
    REPLACE(save);
    REPLACE(erase);
    REPLACE(connect);
    REPLACE(send);
    REPLACE(recv);
    REPLACE(disconnect);
    REPLACE(wall_time);
#undef REPLACE
}

void posix_board_booted(void)
{
    seed = 42;
    memset(&ram, 0, sizeof ram);
}

const struct teddy_port *posix_board_port(void)
{
    if (!port.random)
        port = teddy_posix_port;
    return &port;
}

bool posix_board_break(const char *how)
{
    port = teddy_posix_port;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(how, ways[i].how) != 0)
            continue;
        replace(&ways[i].with);
        if (ways[i].flag)
            *ways[i].flag = true;
        return true;
    }
    return false;
}
