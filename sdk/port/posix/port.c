/* The instance: made of its options, and the table the core calls. */
#include "posix_port.h"

#include <errno.h>
#include <mbedtls/md.h>
#include <mbedtls/sha1.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "proto/text.h"

void port_log(struct teddy_posix *p, enum teddy_log_level level, const char *format, ...)
{
    char line[640];
    va_list args;

    if (!p->log)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    p->log(p->log_user, level, line);
}

static void core_log(void *ctx, enum teddy_log_level level, const char *line)
{
    struct teddy_posix *p = ctx;

    if (p->log)
        p->log(p->log_user, level, line);
}

static int random_bytes(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    while (len > 0) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return TEDDY_EIO;
        out += n;
        len -= (size_t)n;
    }
    return TEDDY_OK;
}

static int hmac_sha256(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    struct teddy_posix *p = ctx;

    if (!p->has_secret)
        return TEDDY_EIO;
    if (mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), p->secret, sizeof p->secret,
                        msg, len, mac) != 0)
        return TEDDY_EIO;
    return TEDDY_OK;
}

static int sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    (void)ctx;
    return mbedtls_sha1_ret(msg, len, digest) == 0 ? TEDDY_OK : TEDDY_EIO;
}

const struct teddy_port teddy_posix_port = {
    .random = random_bytes,
    .hmac_sha256 = hmac_sha256,
    .sha1 = sha1,
    .load = record_load,
    .save = record_save,
    .erase = record_erase,
    .resolve = dns_resolve,
    .connect = link_connect,
    .send = link_send,
    .recv = link_recv,
    .disconnect = link_disconnect,
    .wall_time = clock_wall,
    .server_time = clock_server_time,
    .log = core_log,
};

static int take_trust(struct teddy_posix *p, const struct teddy_posix_options *o, char *why,
                      size_t why_len)
{
    int err = TEDDY_OK;

    p->trust = o->trust;
    if (!p->trust) {
        err = teddy_posix_trust_load(&p->own_trust, o->ca_file, why, why_len);
        p->trust = p->own_trust;
    }
    return err;
}

static int take_secret(struct teddy_posix *p, const struct teddy_posix_options *o, char *why,
                       size_t why_len)
{
    int err = TEDDY_OK;

    if (o->secret)
        memcpy(p->secret, o->secret, sizeof p->secret);
    else if (o->secret_file)
        err = secret_read(o->secret_file, p->secret, why, why_len);
    p->has_secret = err == TEDDY_OK && (o->secret || o->secret_file);
    return err;
}

static int take_network(struct teddy_posix *p, const struct teddy_posix_options *o, char *why,
                        size_t why_len)
{
    if (o->bind_addr) {
        if (!address_parse(o->bind_addr, &p->bind)) {
            snprintf(why, why_len,
                     "cannot bind to \"%s\": give a numeric address such as 127.0.0.5",
                     o->bind_addr);
            return TEDDY_EINVAL;
        }
        p->has_bind = true;
    }
    if (o->dns_servers && !(p->dns_servers = strdup(o->dns_servers)))
        return TEDDY_ENOMEM;
    return TEDDY_OK;
}

int teddy_posix_new(struct teddy_posix **out, const struct teddy_posix_options *o, char *why,
                    size_t why_len)
{
    char unused[8];
    struct teddy_posix *p = calloc(1, sizeof *p);
    int err;

    *out = NULL;
    if (!why) {
        why = unused;
        why_len = sizeof unused;
    }
    snprintf(why, why_len, "out of memory");
    if (!p)
        return TEDDY_ENOMEM;
    p->log = o->log;
    p->log_user = o->log_user;
    p->link.fd = -1;
    if ((err = take_trust(p, o, why, why_len)) || (err = take_secret(p, o, why, why_len)) ||
        (err = take_network(p, o, why, why_len)) ||
        (o->state_file && (err = state_open(p, o->state_file, why, why_len)))) {
        teddy_posix_free(p);
        return err;
    }
    if (why_len > 0)
        why[0] = '\0';
    *out = p;
    return TEDDY_OK;
}

void teddy_posix_free(struct teddy_posix *p)
{
    if (!p)
        return;
    link_disconnect(p);
    dns_forget(p);
    resume_forget(p);
    peer_clear(&p->peer);
    state_close(p);
    for (size_t i = 0; i < TEDDY_RECORDS; i++)
        ram_erase(&p->ram[i]);
    teddy_posix_trust_free(p->own_trust);
    free(p->dns_servers);
    wipe(p, sizeof *p);
    free(p);
}

void teddy_posix_forget_session(struct teddy_posix *p)
{
    resume_forget(p);
}
