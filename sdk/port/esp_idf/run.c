/* The toy's task, and what other tasks ask of it. One recursive lock guards the client, so that the
 * callbacks, which run under it, may say something. */
#include "esp_port.h"
#include "teddy_esp.h"

#include <esp_heap_caps.h>
#include <esp_system.h>
#include <freertos/FreeRTOS.h>
#include <freertos/semphr.h>
#include <freertos/task.h>
#include <sdkconfig.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/text.h"

_Static_assert(sizeof PORT_KEY_DEVICE <= 16, "a key of NVS has 15 characters at most");
_Static_assert(CONFIG_TEDDY_MESSAGE_BUFFER >= TEDDY_BUFFER_MIN, "an answer with tokens fits");

static struct {
    struct teddy_client client;
    uint8_t rx[CONFIG_TEDDY_MESSAGE_BUFFER];
    uint8_t outbox[CONFIG_TEDDY_OUTBOX];
    char device_id[LIMIT_ID_LEN + 1], child_id[LIMIT_ID_LEN + 1];

    TaskHandle_t task;
    bool stopping;
    SemaphoreHandle_t lock, gone; /* made once, by the first start */
    StaticSemaphore_t lock_memory, gone_memory;
} run;

static void lock(void)
{
    xSemaphoreTakeRecursive(run.lock, portMAX_DELAY);
}

static void unlock(void)
{
    xSemaphoreGiveRecursive(run.lock);
}

/* One step; false: it was told to end. */
static bool step(uint32_t *wait_ms, unsigned *wants)
{
    bool going;

    lock();
    going = !run.stopping;
    if (going)
        teddy_client_step(&run.client, clock_now_ms(), wait_ms);
    else
        teddy_client_stop(&run.client);
    *wants = teddy_client_wants(&run.client);
    unlock();
    return going;
}

static void task(void *unused)
{
    uint32_t wait_ms;
    unsigned wants;

    (void)unused;
    while (step(&wait_ms, &wants))
        wait_step(&toy, wait_ms, wants);
    xSemaphoreGive(run.gone);
    vTaskDelete(NULL);
}

static int copy_id(char out[LIMIT_ID_LEN + 1], const char *id)
{
    size_t len = id ? strlen(id) : 0;

    if (len == 0 || len > LIMIT_ID_LEN)
        return TEDDY_EINVAL;
    memcpy(out, id, len + 1);
    return TEDDY_OK;
}

static int take_ids(const struct teddy_esp_options *o)
{
    int err;

    if (o->device_id)
        err = copy_id(run.device_id, o->device_id);
    else
        err = teddy_esp_factory_text(PORT_KEY_DEVICE, run.device_id, sizeof run.device_id);
    if (err == TEDDY_ENOTFOUND)
        port_log(TEDDY_LOG_ERROR, "the factory partition has no " PORT_KEY_DEVICE);
    return err ? err : copy_id(run.child_id, o->child_id);
}

static const char *or_default(const char *given, const char *otherwise)
{
    return given ? given : otherwise;
}

static int init_client(const struct teddy_esp_options *o)
{
    struct teddy_client_config config = {
        .server_url = or_default(o->server_url, CONFIG_TEDDY_SERVER_URL),
        .claim_endpoint = or_default(o->claim_endpoint, CONFIG_TEDDY_CLAIM_ENDPOINT),
        .ws_endpoint = or_default(o->ws_endpoint, CONFIG_TEDDY_WS_ENDPOINT),
        .device_id = run.device_id,
        .child_id = run.child_id,
        .firmware = o->firmware,
#if CONFIG_TEDDY_ALLOW_PLAIN
        .allow_plain = true,
#endif
        .on_event = o->on_event,
        .user = o->user,
    };
    int err = take_ids(o);

    if (!err)
        err = teddy_client_init(&run.client, &config, &teddy_esp_port, &toy, run.rx, sizeof run.rx,
                                run.outbox, sizeof run.outbox);
    if (!err)
        teddy_client_on_message(&run.client, o->on_message);
    return err;
}

static void make_locks(void)
{
    if (run.lock)
        return;
    run.gone = xSemaphoreCreateBinaryStatic(&run.gone_memory);
    run.lock = xSemaphoreCreateRecursiveMutexStatic(&run.lock_memory);
}

int teddy_esp_start(const struct teddy_esp_options *options)
{
    const BaseType_t core = CONFIG_TEDDY_TASK_CORE < 0 ? tskNO_AFFINITY : CONFIG_TEDDY_TASK_CORE;
    int err;

    if (!toy.opened)
        return TEDDY_EINVAL;
    make_locks();
    lock();
    err = run.task ? TEDDY_EDUP : init_client(options);
    if (err == TEDDY_OK)
        run.stopping = false;
    if (err == TEDDY_OK &&
        xTaskCreatePinnedToCore(task, "teddy", CONFIG_TEDDY_TASK_STACK, NULL,
                                CONFIG_TEDDY_TASK_PRIORITY, &run.task, core) != pdPASS) {
        run.task = NULL;
        err = TEDDY_ENOMEM;
    }
    unlock();
    if (err == TEDDY_OK)
        clock_sntp();
    return err;
}

void teddy_esp_stop(void)
{
    bool runs;

    if (!run.lock)
        return;
    lock();
    runs = run.task && !run.stopping;
    run.stopping = run.task != NULL;
    unlock();
    if (!runs)
        return;
    wait_wake(&toy);
    xSemaphoreTake(run.gone, portMAX_DELAY);
    lock();
    run.task = NULL;
    unlock();
}

int teddy_esp_forget(void)
{
    int err;

    teddy_esp_stop();
    resume_forget(&toy);
    do
        err = record_erase(&toy);
    while (err == TEDDY_AGAIN);
    return err;
}

int teddy_esp_say(const char *text, size_t len, const struct teddy_say *how, uint64_t *id)
{
    int err = TEDDY_ECLOSED;

    if (!run.lock)
        return err;
    lock();
    if (run.task && !run.stopping)
        err = teddy_client_say(&run.client, text, len, how, id);
    unlock();
    wait_wake(&toy);
    return err;
}

int teddy_esp_report(const char *json, size_t len)
{
    int err = TEDDY_ECLOSED;

    if (!run.lock)
        return err;
    lock();
    if (run.task && !run.stopping)
        err = teddy_client_report(&run.client, json, len);
    unlock();
    wait_wake(&toy);
    return err;
}

enum teddy_state teddy_esp_state(void)
{
    enum teddy_state state = TEDDY_STATE_IDLE;

    if (!run.lock)
        return state;
    lock();
    if (run.task)
        state = teddy_client_state(&run.client);
    unlock();
    return state;
}

void teddy_esp_health(struct teddy_esp_health *out)
{
    *out = (struct teddy_esp_health){
        .heap_free = esp_get_free_heap_size(),
        .heap_min = esp_get_minimum_free_heap_size(),
        .heap_block = (uint32_t)heap_caps_get_largest_free_block(MALLOC_CAP_DEFAULT),
    };
    if (!run.lock)
        return;
    lock();
    /* ESP-IDF's FreeRTOS counts stacks in bytes. */
    if (run.task && !run.stopping)
        out->stack_min = uxTaskGetStackHighWaterMark(run.task);
    unlock();
}
