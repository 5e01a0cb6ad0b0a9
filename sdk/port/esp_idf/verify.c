/* Judging the server's certificate: Mbed TLS and ESP-IDF's certificate bundle judge the chain and
 * the name, the dates are judged by our own clock. ESP-IDF builds Mbed TLS without dates by
 * default, and with them it would ask a clock that begins in 1970. */
#include "esp_port.h"

#include <esp_crt_bundle.h>
#include <esp_err.h>
#include <mbedtls/private_access.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#define DATES ((uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE))

typedef int verify_fn(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags);

/* Set by verify_attach, which esp-tls gives nothing but the configuration. */
static verify_fn *bundle_verify;

/* Days from 1970-01-01 in the proleptic Gregorian calendar; newlib has no timegm. */
static int64_t days_from(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1;
    int era = y / 400, of_era = y - era * 400;
    int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static uint64_t seconds_of(const mbedtls_x509_time *t)
{
    int64_t s = days_from(t->year, t->mon, t->day) * 86400 + t->hour * 3600 + t->min * 60 + t->sec;

    return s > 0 ? (uint64_t)s : 0;
}

static uint32_t judge_dates(struct teddy_esp *p, const mbedtls_x509_crt *crt)
{
    uint64_t now = clock_wall(p);

    return (now > seconds_of(&crt->valid_to) ? (uint32_t)MBEDTLS_X509_BADCERT_EXPIRED : 0) |
           (now < seconds_of(&crt->valid_from) ? (uint32_t)MBEDTLS_X509_BADCERT_FUTURE : 0);
}

/* Called from the root's side to the server's own certificate (depth 0). */
static int verify(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct teddy_esp *p = ctx;
    struct port_verdict *v = &p->verdict;
    int ret;

    v->seen = true;
    /* The bundle looks only at a certificate that lacks nothing but a trusted issuer. */
    *flags &= ~DATES;
    ret = bundle_verify(NULL, crt, depth, flags);
    if (ret != 0)
        *flags |= MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    *flags |= judge_dates(p, crt);
    v->date_flags |= *flags & DATES;
    v->other_flags |= *flags & ~DATES;
    if (depth == 0)
        v->not_after = seconds_of(&crt->valid_to);
    return ret;
}

int verify_attach(void *ssl_config)
{
    mbedtls_ssl_config *config = ssl_config;
    esp_err_t err = esp_crt_bundle_attach(config);

    if (err != ESP_OK)
        return err;
    bundle_verify = config->MBEDTLS_PRIVATE(f_vrfy);
    mbedtls_ssl_conf_verify(config, verify, &toy);
    return ESP_OK;
}

int verify_refused(const struct teddy_esp *p, const char *host)
{
    const struct port_verdict *v = &p->verdict;
    const char *why = "its chain or key is not acceptable";

    if (v->date_flags == 0 && v->other_flags == 0)
        return TEDDY_OK;
    if (v->other_flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
        why = "it is not for this host";
    else if (v->other_flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        why = "no authority of the bundle has signed it";
    else if (v->other_flags == 0)
        why =
            v->date_flags & MBEDTLS_X509_BADCERT_EXPIRED ? "it has expired" : "it is not valid yet";
    port_log(TEDDY_LOG_WARN, "the certificate for %s is refused: %s", host, why);
    return v->other_flags == 0 ? TEDDY_ECLOCK : TEDDY_ECERT;
}
