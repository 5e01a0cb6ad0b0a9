/* ESP-IDF's unified provisioning over BLE, security 2 (SRP6a, AES-GCM): the parent's phone brings
 * Wi-Fi's credentials and, over the endpoint custom-data, the child's id.
 *
 * What the phone proves to know is the password on the toy's label. The toy keeps a salt and a
 * verifier made of it at the factory, each toy its own: neither the firmware nor another toy opens
 * this one. */
#include "app.h"

#include <esp_event.h>
#include <esp_log.h>
#include <esp_mac.h>
#include <esp_system.h>
#include <esp_wifi.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <nvs.h>
#include <protocomm_security.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wifi_provisioning/manager.h>
#include <wifi_provisioning/scheme_ble.h>

#include "proto/limits.h"
#include "teddy_esp.h"

#define ENDPOINT     "custom-data" /* the name that Espressif's tools know */
#define KEY_SALT     "prov_salt"
#define KEY_VERIFIER "prov_verifier"
#define SALT_MAX     64
#define VERIFIER_LEN 384 /* SRP6a over the 3072-bit group */

_Static_assert(sizeof KEY_SALT <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters at most");
_Static_assert(sizeof KEY_VERIFIER <= NVS_KEY_NAME_MAX_SIZE, "a key has 15 characters at most");

static const char tag[] = "provision";
static uint8_t salt[SALT_MAX], verifier[VERIFIER_LEN]; /* used as long as provisioning runs */
static SemaphoreHandle_t ended;

static bool answer(const char *text, uint8_t **out, ssize_t *out_len)
{
    *out = (uint8_t *)strdup(text); /* protocomm frees it */
    *out_len = *out ? (ssize_t)strlen(text) : 0;
    return *out != NULL;
}

/* In protocomm's task, the session's encryption taken off. */
static esp_err_t on_child(uint32_t session, const uint8_t *in, ssize_t len, uint8_t **out,
                          ssize_t *out_len, void *unused)
{
    bool taken = in && len > 0 && child_store(in, (size_t)len);

    (void)session;
    (void)unused;
    if (!taken)
        ESP_LOGW(tag, "no child id: it must be 1 to 64 of A-Z a-z 0-9 _ -");
    return answer(taken ? "SUCCESS" : "INVALID", out, out_len) ? ESP_OK : ESP_ERR_NO_MEM;
}

static void on_event(void *unused, esp_event_base_t base, int32_t id, void *data)
{
    (void)unused;
    (void)base;
    (void)data;
    switch (id) {
    case WIFI_PROV_CRED_FAIL:
        ESP_LOGW(tag, "this network could not be joined: waiting for other credentials");
        (void)wifi_prov_mgr_reset_sm_state_on_failure();
        break;
    case WIFI_PROV_CRED_SUCCESS:
        ESP_LOGI(tag, "the credentials work");
        break;
    case WIFI_PROV_END:
        xSemaphoreGive(ended);
        break;
    default:
        break;
    }
}

/* Without it, as when the phone went away halfway, the whole is done again. */
static bool complete(void)
{
    char child[LIMIT_ID_LEN + 1];
    bool wifi = false;

    ESP_ERROR_CHECK(wifi_prov_mgr_is_provisioned(&wifi));
    return wifi && child_load(child);
}

static bool load_credentials(wifi_prov_security2_params_t *params)
{
    size_t salt_len, verifier_len;

    if (teddy_esp_factory_blob(KEY_SALT, salt, sizeof salt, &salt_len) != TEDDY_OK ||
        teddy_esp_factory_blob(KEY_VERIFIER, verifier, sizeof verifier, &verifier_len) != TEDDY_OK)
        return false;
    *params = (wifi_prov_security2_params_t){
        .salt = (const char *)salt,
        .salt_len = (uint16_t)salt_len,
        .verifier = (const char *)verifier,
        .verifier_len = (uint16_t)verifier_len,
    };
    return true;
}

/* The end of the MAC tells toys apart; the label says the same. */
static void service_name(char *out, size_t cap)
{
    uint8_t mac[6] = {0};

    ESP_ERROR_CHECK(esp_read_mac(mac, ESP_MAC_WIFI_STA));
    snprintf(out, cap, "TEDDY_%02X%02X%02X", mac[3], mac[4], mac[5]);
}

static void run(const wifi_prov_security2_params_t *params)
{
    char name[16];

    service_name(name, sizeof name);
    led_show(LED_PROVISIONING);
    ESP_ERROR_CHECK(wifi_prov_mgr_reset_provisioning());
    ESP_ERROR_CHECK(wifi_prov_mgr_endpoint_create(ENDPOINT));
    ESP_ERROR_CHECK(wifi_prov_mgr_start_provisioning(WIFI_PROV_SECURITY_2, params, name, NULL));
    ESP_ERROR_CHECK(wifi_prov_mgr_endpoint_register(ENDPOINT, on_child, NULL));
    ESP_LOGI(tag, "provisioning as %s, user name " CONFIG_EXAMPLE_PROV_USERNAME, name);
    xSemaphoreTake(ended, portMAX_DELAY);
}

static void init_manager(void)
{
    wifi_prov_mgr_config_t config = {
        .scheme = wifi_prov_scheme_ble,
        .scheme_event_handler = WIFI_PROV_SCHEME_BLE_EVENT_HANDLER_FREE_BTDM,
    };

    ESP_ERROR_CHECK(wifi_prov_mgr_init(config));
}

bool provision(void)
{
    wifi_prov_security2_params_t params;
    bool able = true;

    ended = xSemaphoreCreateBinary();
    ESP_ERROR_CHECK(ended ? ESP_OK : ESP_ERR_NO_MEM);
    ESP_ERROR_CHECK(esp_event_handler_register(WIFI_PROV_EVENT, ESP_EVENT_ANY_ID, on_event, NULL));
    init_manager();
    if (!complete()) {
        able = load_credentials(&params);
        if (able)
            run(&params);
    }
    if (able && !complete()) {
        ESP_LOGW(tag, "the child's id did not come: once more");
        esp_restart(); /* Bluetooth's memory is given back already */
    }
    wifi_prov_mgr_deinit();
    return able;
}

void provision_forget(void)
{
    child_forget();
    (void)esp_wifi_restore();
}
