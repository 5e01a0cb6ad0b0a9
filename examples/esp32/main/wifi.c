/* Wi-Fi as a station, joined again whenever it is lost. */
#include "app.h"

#include <esp_event.h>
#include <esp_log.h>
#include <esp_netif.h>
#include <esp_random.h>
#include <esp_timer.h>
#include <esp_wifi.h>
#include <freertos/FreeRTOS.h>
#include <freertos/event_groups.h>

#define CONNECTED    BIT0
#define WAIT_BASE_MS 1000u
#define WAIT_CAP_MS  60000u

static const char tag[] = "wifi";
static EventGroupHandle_t bits;
static esp_timer_handle_t again;
static unsigned attempts;
static bool ours; /* the provisioning manager does the joining before */

static void join(void *unused)
{
    (void)unused;
    (void)esp_wifi_connect();
}

/* Full jitter, so that a house's toys do not come back all at once. */
static uint32_t next_wait_ms(void)
{
    uint32_t cap = WAIT_BASE_MS << (attempts < 6 ? attempts : 6);

    attempts++;
    return 100 + esp_random() % (cap < WAIT_CAP_MS ? cap : WAIT_CAP_MS);
}

static void on_wifi(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    uint32_t wait_ms;

    (void)unused;
    (void)base;
    if (id != WIFI_EVENT_STA_DISCONNECTED)
        return;
    xEventGroupClearBits(bits, CONNECTED);
    if (!ours)
        return;
    wait_ms = next_wait_ms();
    ESP_LOGW(tag, "lost, reason %d; again in %u ms",
             ((const wifi_event_sta_disconnected_t *)data)->reason, (unsigned)wait_ms);
    (void)esp_timer_stop(again);
    ESP_ERROR_CHECK(esp_timer_start_once(again, (uint64_t)wait_ms * 1000));
}

static void on_address(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    const ip_event_got_ip_t *got = data;

    (void)unused;
    (void)base;
    (void)id;
    ESP_LOGI(tag, "connected, " IPSTR, IP2STR(&got->ip_info.ip));
    attempts = 0;
    xEventGroupSetBits(bits, CONNECTED);
}

void wifi_start_driver(void)
{
    wifi_init_config_t config = WIFI_INIT_CONFIG_DEFAULT();
    esp_timer_create_args_t timer = {.callback = join, .name = "wifi"};

    bits = xEventGroupCreate();
    ESP_ERROR_CHECK(bits ? ESP_OK : ESP_ERR_NO_MEM);
    ESP_ERROR_CHECK(esp_timer_create(&timer, &again));
    ESP_ERROR_CHECK(esp_event_handler_register(WIFI_EVENT, ESP_EVENT_ANY_ID, on_wifi, NULL));
    ESP_ERROR_CHECK(esp_event_handler_register(IP_EVENT, IP_EVENT_STA_GOT_IP, on_address, NULL));
    esp_netif_create_default_wifi_sta();
    ESP_ERROR_CHECK(esp_wifi_init(&config));
}

void wifi_connect(void)
{
    ours = true;
    ESP_ERROR_CHECK(esp_wifi_set_mode(WIFI_MODE_STA));
    ESP_ERROR_CHECK(esp_wifi_start());
    if ((xEventGroupGetBits(bits) & CONNECTED) == 0)
        join(NULL);
}

void wifi_wait_connected(void)
{
    led_show(LED_OFFLINE);
    xEventGroupWaitBits(bits, CONNECTED, pdFALSE, pdTRUE, portMAX_DELAY);
}

int wifi_rssi(void)
{
    int rssi = 0;

    return esp_wifi_sta_get_rssi(&rssi) == ESP_OK ? rssi : 0;
}
