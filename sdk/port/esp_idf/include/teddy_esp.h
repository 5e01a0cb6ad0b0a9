/* The toy on ESP-IDF: a task of its own that keeps the session, and what other tasks may ask of it.
 *
 *   teddy_esp_init();                          // NVS and the factory partition
 *   ... Wi-Fi started: before it, the chip's random numbers are not random ...
 *   teddy_esp_start(&options);
 *   teddy_esp_say("hello", 5, NULL, &id);      // from any task
 *
 * There is one toy per chip, its memory static. Every function may be called from any task (not
 * from an interrupt), and none before teddy_esp_init. One lock guards the client: a call waits for
 * the step in progress, which is short but for the arithmetic of a TLS handshake (up to a second or
 * so). The callbacks run in the toy's task with the lock held; from within them, say, report and
 * the getters may be called. */
#ifndef TEDDY_ESP_H
#define TEDDY_ESP_H

#include "teddy/client.h"

/* NULL strings: as Kconfig has them. Those of ids are copied; firmware, and URLs that are given,
 * must outlive the task. */
struct teddy_esp_options {
    const char *device_id; /* NULL: device_id of the factory partition */
    const char *child_id;
    const char *firmware; /* as struct teddy_client_config says, or NULL */
    const char *server_url, *claim_endpoint, *ws_endpoint;
    void (*on_event)(void *user, const struct teddy_event *event);
    bool (*on_message)(void *user, const struct teddy_message *message); /* NULL: nobody */
    void *user;
};

/* Opens the default NVS partition (erasing it when it cannot be used: the toy then pairs again),
 * the factory partition and the OOB secret. TEDDY_ENOTFOUND: the factory partition or its secret is
 * not there; TEDDY_ESTORE; TEDDY_ENOMEM; TEDDY_EDUP: called before. The log says more. */
TEDDY_MUST_CHECK int teddy_esp_init(void);

/* Starts the task. TEDDY_EINVAL (the log says which), TEDDY_ENOTFOUND (no device_id), TEDDY_EIO,
 * TEDDY_ENOMEM, TEDDY_EDUP: it runs. */
TEDDY_MUST_CHECK int teddy_esp_start(const struct teddy_esp_options *options);

/* Closes the session and ends the task; returns when it is gone. Never from a callback. What was
 * said and not echoed is lost: the outbox lives with the task. */
void teddy_esp_stop(void);

/* teddy_client_say and teddy_client_report, and the task is woken. TEDDY_ECLOSED: it does not run.
 */
TEDDY_MUST_CHECK int teddy_esp_say(const char *text, size_t len, const struct teddy_say *how,
                                   uint64_t *id);
TEDDY_MUST_CHECK int teddy_esp_report(const char *json, size_t len);

/* Stops, and erases the stored tokens and what belongs to them: the next start claims anew. */
TEDDY_MUST_CHECK int teddy_esp_forget(void);

enum teddy_state teddy_esp_state(void);

struct teddy_esp_health {
    uint32_t heap_free, heap_min; /* bytes; the least there ever was since the start */
    uint32_t heap_block;          /* the largest block that could be had now */
    uint32_t stack_min; /* bytes of the task's stack that were never used; 0: it does not run */
};
void teddy_esp_health(struct teddy_esp_health *out);

/* The factory partition's entries, for what the application keeps there. key: at most 15
 * characters. text is NUL-terminated. TEDDY_ENOTFOUND, TEDDY_ENOSPC, TEDDY_ESTORE. */
TEDDY_MUST_CHECK int teddy_esp_factory_text(const char *key, char *text, size_t cap);
TEDDY_MUST_CHECK int teddy_esp_factory_blob(const char *key, uint8_t *data, size_t cap,
                                            size_t *len);

#endif
