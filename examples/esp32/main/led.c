/* The LED: a pattern of eight eighths of a second for each state. */
#include "app.h"

#include <driver/gpio.h>
#include <esp_err.h>
#include <esp_timer.h>
#include <sdkconfig.h>
#include <stdatomic.h>

#define BEAT_US 125000

static const uint8_t patterns[] = {
    [LED_BROKEN] = 0xaa,       /* flickers */
    [LED_PROVISIONING] = 0xcc, /* blinks */
    [LED_OFFLINE] = 0x01,      /* a flash a second */
    [LED_CONNECTING] = 0x05,   /* two flashes a second */
    [LED_WAITING] = 0x15,      /* three */
    [LED_ONLINE] = 0xff,       /* lit */
};
static atomic_uint shown = LED_OFFLINE;

static void beat(void *unused)
{
    static unsigned at;

    (void)unused;
    (void)gpio_set_level((gpio_num_t)CONFIG_EXAMPLE_LED_GPIO,
                         (uint32_t)patterns[atomic_load(&shown)] >> at & 1u);
    at = (at + 1) % 8;
}

void led_show(enum led_mode mode)
{
    atomic_store(&shown, mode);
}

void led_show_state(enum teddy_state state)
{
    static const enum led_mode modes[] = {
        [TEDDY_STATE_IDLE] = LED_OFFLINE,          [TEDDY_STATE_CLAIMING] = LED_CONNECTING,
        [TEDDY_STATE_REFRESHING] = LED_CONNECTING, [TEDDY_STATE_CONNECTING] = LED_CONNECTING,
        [TEDDY_STATE_ONLINE] = LED_ONLINE,         [TEDDY_STATE_WAITING] = LED_WAITING,
    };

    led_show(modes[state]);
}

void led_start(void)
{
    gpio_config_t config = {
        .pin_bit_mask = UINT64_C(1) << CONFIG_EXAMPLE_LED_GPIO,
        .mode = GPIO_MODE_OUTPUT,
    };
    esp_timer_create_args_t args = {.callback = beat, .name = "led"};
    esp_timer_handle_t timer;

    ESP_ERROR_CHECK(gpio_config(&config));
    ESP_ERROR_CHECK(esp_timer_create(&args, &timer));
    ESP_ERROR_CHECK(esp_timer_start_periodic(timer, BEAT_US));
}
