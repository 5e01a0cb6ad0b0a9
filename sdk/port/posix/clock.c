/* What time it is, for certificates: the latest of build time, the time last told by a verified
 * server, and the system's clock, because a clock that is wrong is nearly always behind. */
#include "posix_port.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/text.h"

#ifndef TEDDY_BUILD_TIME
#error "TEDDY_BUILD_TIME must be the build's time in seconds since 1970"
#endif

uint64_t teddy_posix_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t clock_wall(void *ctx)
{
    struct teddy_posix *p = ctx;
    time_t system = time(NULL);
    uint64_t now = later(TEDDY_BUILD_TIME, system > 0 ? (uint64_t)system : 0);

    now = later(now, p->time_stored);
    if (p->time_told > 0)
        now = later(now, p->time_told + (teddy_posix_now_ms() - p->time_told_at_ms) / 1000);
    return now;
}

void clock_server_time(void *ctx, uint64_t unix_s)
{
    struct teddy_posix *p = ctx;
    char text[24];
    int len;

    /* Believed only over verified TLS, and never past the end of the certificate that vouched for
     * it: a server that errs must not be able to make every later certificate look expired for
     * good. */
    if (!p->peer.cert || unix_s > p->peer.cert->not_after)
        return;
    p->time_told = unix_s;
    p->time_told_at_ms = teddy_posix_now_ms();
    if (!p->state || unix_s < p->time_stored + PORT_TIME_STORE_STEP_S)
        return;
    len = snprintf(text, sizeof text, "%llu\n", (unsigned long long)unix_s);
    if (file_replace(p->state->time, p->state->tmp, (const uint8_t *)text, (size_t)len) == TEDDY_OK)
        p->time_stored = unix_s;
    else
        port_log(p, TEDDY_LOG_WARN, "cannot write %s", p->state->time);
}

void clock_load(struct teddy_posix *p)
{
    uint8_t text[24];
    size_t len = 0;
    uint64_t stored;

    if (file_read(p->state->time, false, text, sizeof text, &len) != TEDDY_OK)
        return;
    /* Without its end it may be a part of a number. */
    if (len == 0 || text[len - 1] != '\n' ||
        u64_parse((struct span){(const char *)text, len - 1}, &stored) != TEDDY_OK ||
        stored > 253402300799u)
        port_log(p, TEDDY_LOG_WARN, "%s holds no time: not used", p->state->time);
    else
        p->time_stored = stored;
}

uint64_t clock_from_x509(const mbedtls_x509_time *t)
{
    struct tm tm = {.tm_year = t->year - 1900,
                    .tm_mon = t->mon - 1,
                    .tm_mday = t->day,
                    .tm_hour = t->hour,
                    .tm_min = t->min,
                    .tm_sec = t->sec};
    time_t s = timegm(&tm);

    return s > 0 ? (uint64_t)s : 0;
}
