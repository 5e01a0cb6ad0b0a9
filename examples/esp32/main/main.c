/* A whole toy on an ESP32-S3 or C3: provisioning, the session, a button, a LED, telemetry. */
#include "app.h"

#include <esp_app_desc.h>
#include <esp_event.h>
#include <esp_log.h>
#include <esp_netif.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>

#include "proto/limits.h"
#include "teddy_esp.h"

static const char tag[] = "app";

static void state_changed(const struct teddy_event *e)
{
    static const char *const names[] = {
        [TEDDY_STATE_IDLE] = "idle",
        [TEDDY_STATE_CLAIMING] = "claiming",
        [TEDDY_STATE_REFRESHING] = "refreshing",
        [TEDDY_STATE_CONNECTING] = "connecting",
        [TEDDY_STATE_ONLINE] = "online",
        [TEDDY_STATE_WAITING] = "waiting",
    };

    led_show_state(e->state);
    if (e->state == TEDDY_STATE_WAITING)
        ESP_LOGW(tag, "%s failed: %s, status %d, close %d, %s; again in %u ms", e->purpose,
                 teddy_err_text(e->err), e->status, e->close, e->code, (unsigned)e->wait_ms);
    else
        ESP_LOGI(tag, "%s", names[e->state]);
}

/* In the toy's task. What is said and answered stays out of the log: it is a child's. */
static void on_event(void *user, const struct teddy_event *e)
{
    (void)user;
    switch (e->type) {
    case TEDDY_EVENT_STATE:
        state_changed(e);
        break;
    case TEDDY_EVENT_CLAIMED:
    case TEDDY_EVENT_REFRESHED:
        ESP_LOGI(tag, "tokens for %u s%s", (unsigned)e->expires_in,
                 e->err ? ", not stored: they last for this session" : "");
        break;
    case TEDDY_EVENT_ECHO:
        ESP_LOGI(tag, "utterance %s arrived", e->id);
        break;
    case TEDDY_EVENT_REPLY:
        ESP_LOGI(tag, "%u bytes of a reply%s", (unsigned)e->text_len, e->done ? ", the last" : "");
        break;
    case TEDDY_EVENT_ERROR:
        ESP_LOGW(tag, "the server says %s", e->code);
        break;
    case TEDDY_EVENT_DROPPED:
        ESP_LOGW(tag, "utterance %s is dropped: %s", e->id, e->code);
        break;
    case TEDDY_EVENT_CLOCK:
        ESP_LOGW(tag, "the clock is %lld s off the server's", (long long)e->skew_s);
        break;
    default:
        break;
    }
}

static bool on_message(void *user, const struct teddy_message *message)
{
    (void)user;
    ESP_LOGI(tag, "message %s, %u bytes", message->id, (unsigned)message->text_len);
    return true;
}

static void broken(const char *what)
{
    ESP_LOGE(tag, "%s: this toy needs the factory (README.md)", what);
    led_show(LED_BROKEN);
    vTaskDelete(NULL);
}

static int start_toy(void)
{
    static char child_id[LIMIT_ID_LEN + 1];
    struct teddy_esp_options options = {
        .child_id = child_id,
        .firmware = esp_app_get_description()->version,
        .on_event = on_event,
        .on_message = on_message,
    };

    return child_load(child_id) ? teddy_esp_start(&options) : TEDDY_ENOTFOUND;
}

void app_main(void)
{
    led_start();
    if (teddy_esp_init() != TEDDY_OK)
        broken("the storage or the secret");
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    button_start();
    wifi_start_driver();
    if (!provision())
        broken("prov_salt or prov_verifier");
    wifi_connect();
    wifi_wait_connected();
    if (start_toy() != TEDDY_OK)
        broken("the configuration");
    for (;;) {
        vTaskDelay(pdMS_TO_TICKS(CONFIG_EXAMPLE_REPORT_S * 1000));
        telemetry_report();
    }
}
