/* What the files of this example share. Everything runs from app_main's task but what says
 * otherwise. */
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "teddy/client.h"

/* child.c: the child's id, as provisioning brought it. out: 65 bytes. Any task. */
bool child_load(char *out);
bool child_store(const uint8_t *id, size_t len);
void child_forget(void);

/* wifi.c: brings Wi-Fi up and keeps it up. start_driver: before the rest, and before provisioning.
 */
void wifi_start_driver(void);
void wifi_connect(void);
void wifi_wait_connected(void);
int wifi_rssi(void); /* dBm, 0 when not connected; any task */

/* provision.c: takes Wi-Fi's credentials and the child's id over BLE, when they are not there yet;
 * returns when both are. False: the factory partition has no salt and verifier. */
bool provision(void);
void provision_forget(void);

/* button.c: a short press says something, one of five seconds forgets everything and restarts. */
void button_start(void);
uint32_t button_stack_min(void);

/* led.c: shows what is going on; any task. */
enum led_mode {
    LED_BROKEN,
    LED_PROVISIONING,
    LED_OFFLINE,
    LED_CONNECTING,
    LED_WAITING,
    LED_ONLINE
};
void led_start(void);
void led_show(enum led_mode mode);
void led_show_state(enum teddy_state state);

/* telemetry.c: one report; the toy sends it when it is online. */
void telemetry_report(void);

#endif
