/* What a client is given, checked once: after this the core trusts its configuration. */
#include "core.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/utf8.h"

/* Fills in the default; false when the time is out of bounds. */
static __attribute__((noinline)) bool time_ok(uint32_t *ms, uint32_t otherwise)
{
    if (*ms == 0) {
        *ms = otherwise;
    }
    return *ms <= TEDDY_RETRY_MAX_MS;
}

static bool times_ok(struct teddy_client_config *config)
{
    return time_ok(&config->backoff_cap_ms, TEDDY_BACKOFF_CAP_MS) &&
           time_ok(&config->backoff_base_ms, TEDDY_BACKOFF_BASE_MS) &&
           time_ok(&config->backoff_floor_ms,
                   sdk_least(TEDDY_BACKOFF_FLOOR_MS, config->backoff_cap_ms)) &&
           time_ok(&config->backoff_refused_ms, TEDDY_BACKOFF_REFUSED_MS) &&
           time_ok(&config->step_timeout_ms, TEDDY_STEP_TIMEOUT_MS) &&
           time_ok(&config->echo_timeout_ms, TEDDY_ECHO_TIMEOUT_MS) &&
           config->backoff_floor_ms <= config->backoff_cap_ms;
}

static bool firmware_ok(const char *firmware)
{
    size_t len = firmware == NULL ? 0 : strlen(firmware);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)firmware[i] < 0x20 || firmware[i] == 0x7F) {
            return false;
        }
    }
    return len <= LIMIT_FIRMWARE_LEN && utf8_ok(firmware, len);
}

static bool id_given(const char *id)
{
    return id != NULL && id_ok(span_of(id));
}

static bool path_ok(const char *path)
{
    return path == NULL || sdk_path_ok(path);
}

/* The member that is not valid, or NULL. */
static const char *fault_of(struct teddy_client *c)
{
    struct teddy_client_config *config = &c->config;
    if (!id_given(config->device_id)) {
        return "device_id";
    }
    if (!id_given(config->child_id)) {
        return "child_id";
    }
    if (sdk_url_parse(config->server_url, config->allow_plain, &c->url) != TEDDY_OK) {
        return "server_url";
    }
    if (!path_ok(config->claim_endpoint)) {
        return "claim_endpoint";
    }
    if (!path_ok(config->ws_endpoint)) {
        return "ws_endpoint";
    }
    if (!firmware_ok(config->firmware)) {
        return "firmware";
    }
    if (!times_ok(config)) {
        return "a backoff or timeout";
    }
    return c->rx_len < TEDDY_BUFFER_MIN ? "rx" : NULL;
}

int teddy_client_init(struct teddy_client *c, const struct teddy_client_config *config,
                      const struct teddy_port *port, void *port_ctx, uint8_t *rx, size_t rx_len,
                      uint8_t *outbox, size_t outbox_len)
{
    uint64_t first_id;
    if (c == NULL || config == NULL || port == NULL || rx == NULL || outbox == NULL) {
        return TEDDY_EINVAL;
    }
    memset(c, 0, sizeof *c);
    c->config = *config;
    c->port = port;
    c->ctx = port_ctx;
    c->rx = rx;
    c->rx_len = rx_len;
    c->goal = SDK_CONNECT_SESSION;
    const char *fault = fault_of(c);
    if (fault != NULL) {
        sdk_log(c, TEDDY_LOG_ERROR, fault);
        return TEDDY_EINVAL;
    }
    memcpy(c->host, c->url.host, c->url.host_len);
    if (port->random(port_ctx, (uint8_t *)&first_id, sizeof first_id) != TEDDY_OK) {
        return TEDDY_EIO;
    }
    /* Half of the numbers stay ahead: the count never wraps. */
    sdk_outbox_init(&c->outbox, outbox, outbox_len, first_id >> 1);
    return TEDDY_OK;
}
