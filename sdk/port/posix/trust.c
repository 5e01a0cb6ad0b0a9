/* The authorities that server certificates must descend from, and the TLS configuration made of
 * them. */
#include "posix_port.h"

#include <mbedtls/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int teddy_posix_trust_load(struct teddy_posix_trust **out, const char *ca_file, char *why,
                           size_t why_len)
{
    const char *path = ca_file ? ca_file : TEDDY_POSIX_SYSTEM_CA;
    const char *hint = ca_file ? "give --ca the authority's certificate in PEM"
                               : "install the package ca-certificates, or give --ca FILE";
    struct teddy_posix_trust *t = calloc(1, sizeof *t);
    int bad;

    *out = NULL;
    if (!t) {
        snprintf(why, why_len, "out of memory");
        return TEDDY_ENOMEM;
    }
    mbedtls_x509_crt_init(&t->chain);
    mbedtls_ssl_config_init(&t->config);
    bad = mbedtls_x509_crt_parse_file(&t->chain, path);
    /* A positive count is of certificates it cannot read; a bundle of many may hold such, a given
     * file may not. */
    if (bad < 0 || t->chain.version == 0 || (bad > 0 && ca_file)) {
        bool unreadable = access(path, R_OK) != 0;
        snprintf(why, why_len, "cannot %s the authorities in %s: %s",
                 unreadable ? "read" : "understand", path, hint);
        teddy_posix_trust_free(t);
        return unreadable ? TEDDY_EIO : TEDDY_EPROTO;
    }
    if (tls_configure(t) != TEDDY_OK) {
        snprintf(why, why_len, "out of memory");
        teddy_posix_trust_free(t);
        return TEDDY_ENOMEM;
    }
    *out = t;
    return TEDDY_OK;
}

void teddy_posix_trust_free(struct teddy_posix_trust *trust)
{
    if (!trust)
        return;
    mbedtls_ssl_config_free(&trust->config);
    mbedtls_x509_crt_free(&trust->chain);
    free(trust);
}
