/* How much memory and stack is left, and how well the radio hears. */
#include "app.h"

#include <esp_log.h>
#include <esp_timer.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>
#include <inttypes.h>
#include <stdio.h>

#include "teddy_esp.h"

static const char tag[] = "telemetry";

void telemetry_report(void)
{
    struct teddy_esp_health health;
    char json[TEDDY_REPORT_MAX];
    int len, err;

    teddy_esp_health(&health);
    len = snprintf(json, sizeof json,
                   "{\"heap\":%" PRIu32 ",\"heap_min\":%" PRIu32 ",\"heap_block\":%" PRIu32
                   ",\"stack_teddy\":%" PRIu32 ",\"stack_main\":%u,\"stack_button\":%" PRIu32
                   ",\"rssi\":%d,\"uptime_s\":%" PRIu32 "}",
                   health.heap_free, health.heap_min, health.heap_block, health.stack_min,
                   (unsigned)uxTaskGetStackHighWaterMark(NULL), button_stack_min(), wifi_rssi(),
                   (uint32_t)(esp_timer_get_time() / 1000000));
    ESP_LOGI(tag, "%s", json);
    if (len < 0 || (size_t)len >= sizeof json)
        return;
    err = teddy_esp_report(json, (size_t)len);
    if (err != TEDDY_OK && err != TEDDY_EFULL)
        ESP_LOGW(tag, "not reported: %s", teddy_err_text(err));
}
