/* The button: a short press says something, a long one makes the toy new. */
#include "app.h"

#include <driver/gpio.h>
#include <esp_attr.h>
#include <esp_log.h>
#include <esp_system.h>
#include <freertos/FreeRTOS.h>
#include <freertos/task.h>
#include <sdkconfig.h>

#include "teddy_esp.h"

#define SETTLE_MS 30
#define LONG_MS   5000
#define STACK     4096

static const char tag[] = "button";
static TaskHandle_t watcher;

static void IRAM_ATTR on_edge(void *unused)
{
    BaseType_t woken = pdFALSE;

    (void)unused;
    vTaskNotifyGiveFromISR(watcher, &woken);
    portYIELD_FROM_ISR(woken);
}

static bool pressed(void)
{
    return gpio_get_level((gpio_num_t)CONFIG_EXAMPLE_BUTTON_GPIO) == 0;
}

/* How long it is held, LONG_MS at most. */
static uint32_t held_ms(void)
{
    TickType_t since = xTaskGetTickCount();
    uint32_t ms = 0;

    while (pressed() && ms < LONG_MS) {
        vTaskDelay(pdMS_TO_TICKS(SETTLE_MS));
        ms = pdTICKS_TO_MS(xTaskGetTickCount() - since);
    }
    return ms;
}

static void say(void)
{
    static const char text[] = CONFIG_EXAMPLE_UTTERANCE;
    /* What was said a minute ago is not worth an answer any more. */
    struct teddy_say how = {.when_full = TEDDY_DROP_OLDEST, .expires_ms = 60000};
    uint64_t id = 0;
    int err = teddy_esp_say(text, sizeof text - 1, &how, &id);

    if (err == TEDDY_OK)
        ESP_LOGI(tag, "utterance %llu", (unsigned long long)id);
    else
        ESP_LOGW(tag, "not said: %s", teddy_err_text(err));
}

static void make_new(void)
{
    int err = teddy_esp_forget();

    ESP_LOGW(tag, "tokens, child and Wi-Fi are forgotten%s", err ? ", not wholly" : "");
    provision_forget();
    esp_restart();
}

static void watch(void *unused)
{
    (void)unused;
    for (;;) {
        uint32_t ms;

        ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
        ms = held_ms();
        if (ms >= LONG_MS)
            make_new();
        else if (ms >= SETTLE_MS)
            say();
    }
}

void button_start(void)
{
    gpio_config_t config = {
        .pin_bit_mask = UINT64_C(1) << CONFIG_EXAMPLE_BUTTON_GPIO,
        .mode = GPIO_MODE_INPUT,
        .pull_up_en = GPIO_PULLUP_ENABLE,
        .intr_type = GPIO_INTR_NEGEDGE,
    };

    ESP_ERROR_CHECK(
        xTaskCreate(watch, "button", STACK, NULL, 4, &watcher) == pdPASS ? ESP_OK : ESP_ERR_NO_MEM);
    ESP_ERROR_CHECK(gpio_config(&config));
    ESP_ERROR_CHECK(gpio_install_isr_service(0));
    ESP_ERROR_CHECK(gpio_isr_handler_add((gpio_num_t)CONFIG_EXAMPLE_BUTTON_GPIO, on_edge, NULL));
}

uint32_t button_stack_min(void)
{
    return watcher ? uxTaskGetStackHighWaterMark(watcher) : 0;
}
