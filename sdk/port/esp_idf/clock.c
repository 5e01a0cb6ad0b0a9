/* What time it is, for certificates: the latest of build time, the time last told by a verified
 * server, and the system's clock, which SNTP sets. SNTP is not signed: it can move the clock
 * forward, so that a certificate is refused, but never back to when an expired one was good. */
#include "esp_port.h"

#include <esp_err.h>
#include <esp_event.h>
#include <esp_netif_sntp.h>
#include <esp_timer.h>
#include <nvs.h>
#include <sdkconfig.h>
#include <time.h>

#ifndef TEDDY_BUILD_TIME
#error "TEDDY_BUILD_TIME must be the build's time in seconds since 1970"
#endif

_Static_assert(sizeof PORT_KEY_TIME <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters at most");

uint64_t clock_now_ms(void)
{
    return (uint64_t)esp_timer_get_time() / 1000;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t clock_wall(void *ctx)
{
    struct teddy_esp *p = ctx;
    time_t system = time(NULL);
    uint64_t now = later(TEDDY_BUILD_TIME, system > 0 ? (uint64_t)system : 0);

    now = later(now, p->clock.stored);
    if (p->clock.told > 0)
        now = later(now, p->clock.told + (clock_now_ms() - p->clock.told_at_ms) / 1000);
    return now;
}

void clock_server_time(void *ctx, uint64_t unix_s)
{
    struct teddy_esp *p = ctx;

    /* Never past the end of the certificate that vouched for it: a server that errs must not make
     * every later certificate look expired for good. */
    if (!p->link.verified || unix_s > p->verdict.not_after)
        return;
    p->clock.told = unix_s;
    p->clock.told_at_ms = clock_now_ms();
    if (unix_s < p->clock.stored + CONFIG_TEDDY_TIME_STORE_STEP_S)
        return;
    if (nvs_set_u64(p->nvs, PORT_KEY_TIME, unix_s) == ESP_OK && nvs_commit(p->nvs) == ESP_OK)
        p->clock.stored = unix_s;
    else
        port_log(TEDDY_LOG_WARN, "cannot store the time");
}

void clock_start(struct teddy_esp *p)
{
    uint64_t stored = 0;

    if (nvs_get_u64(p->nvs, PORT_KEY_TIME, &stored) == ESP_OK && stored <= UINT64_C(253402300799))
        p->clock.stored = stored;
}

void clock_sntp(void)
{
    esp_sntp_config_t config = ESP_NETIF_SNTP_DEFAULT_CONFIG(CONFIG_TEDDY_SNTP_SERVER);
    esp_err_t err;

    if (sizeof CONFIG_TEDDY_SNTP_SERVER == 1)
        return;
    config.wait_for_sync = false;
    err = esp_netif_sntp_init(&config);
    /* ESP_ERR_INVALID_STATE: the application started it already. */
    if (err != ESP_OK && err != ESP_ERR_INVALID_STATE)
        port_log(TEDDY_LOG_WARN, "SNTP does not start: %s", esp_err_to_name(err));
}
