/* What a client is given, checked once: after this the core trusts its configuration. */
#include "core.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/utf8.h"

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static void fill_defaults(struct teddy_client_config *config)
{
    bool floor_given = config->backoff_floor_ms != 0;
    config->backoff_floor_ms = or_default(config->backoff_floor_ms, TEDDY_BACKOFF_FLOOR_MS);
    config->backoff_base_ms = or_default(config->backoff_base_ms, TEDDY_BACKOFF_BASE_MS);
    config->backoff_cap_ms = or_default(config->backoff_cap_ms, TEDDY_BACKOFF_CAP_MS);
    config->backoff_refused_ms = or_default(config->backoff_refused_ms, TEDDY_BACKOFF_REFUSED_MS);
    config->step_timeout_ms = or_default(config->step_timeout_ms, TEDDY_STEP_TIMEOUT_MS);
    config->echo_timeout_ms = or_default(config->echo_timeout_ms, TEDDY_ECHO_TIMEOUT_MS);
    if (!floor_given && config->backoff_floor_ms > config->backoff_cap_ms) {
        config->backoff_floor_ms = config->backoff_cap_ms;
    }
}

static bool firmware_ok(const char *firmware)
{
    size_t len = firmware == NULL ? 0 : strlen(firmware);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)firmware[i] < 0x20) {
            return false;
        }
    }
    return len <= LIMIT_FIRMWARE_LEN && (len == 0 || utf8_ok(firmware, len));
}

static bool bounds_ok(const struct teddy_client_config *config)
{
    return config->backoff_floor_ms <= config->backoff_cap_ms &&
           config->backoff_cap_ms <= TEDDY_RETRY_MAX_MS &&
           config->backoff_refused_ms <= TEDDY_RETRY_MAX_MS &&
           config->step_timeout_ms <= TEDDY_RETRY_MAX_MS &&
           config->echo_timeout_ms <= TEDDY_RETRY_MAX_MS;
}

static bool port_ok(const struct teddy_port *p)
{
    return p != NULL && p->random != NULL && p->hmac_sha256 != NULL && p->sha1 != NULL &&
           p->load != NULL && p->save != NULL && p->erase != NULL && p->resolve != NULL &&
           p->connect != NULL && p->send != NULL && p->recv != NULL && p->disconnect != NULL &&
           p->wall_time != NULL && p->server_time != NULL;
}

static bool id_given(const char *id)
{
    return id != NULL && id_ok(span_of(id));
}

/* What is wrong with the configuration, or NULL. */
static const char *fault_of(const struct teddy_client_config *config, struct teddy_url *url)
{
    if (!id_given(config->device_id)) {
        return "device_id must be 1 to 64 of A-Z a-z 0-9 _ -";
    }
    if (!id_given(config->child_id)) {
        return "child_id must be 1 to 64 of A-Z a-z 0-9 _ -";
    }
    if (sdk_url_parse(config->server_url, config->allow_plain, url) != TEDDY_OK) {
        return config->allow_plain ? "SERVER_URL must be https://host[:port] or http://host[:port]"
                                   : "SERVER_URL must be https://host[:port]";
    }
    if (config->claim_endpoint != NULL && !sdk_path_ok(config->claim_endpoint)) {
        return "CLAIM_ENDPOINT must be a path that begins with /";
    }
    if (config->ws_endpoint != NULL && !sdk_path_ok(config->ws_endpoint)) {
        return "WS_ENDPOINT must be a path that begins with /";
    }
    if (!firmware_ok(config->firmware)) {
        return "firmware must be at most 32 bytes of UTF-8 without control characters";
    }
    return bounds_ok(config) ? NULL : "a backoff or timeout is out of bounds";
}

int teddy_client_init(struct teddy_client *c, const struct teddy_client_config *config,
                      const struct teddy_port *port, void *port_ctx, uint8_t *rx, size_t rx_len,
                      uint8_t *outbox, size_t outbox_len)
{
    uint64_t first_id;
    if (c == NULL || config == NULL || !port_ok(port) || rx == NULL || outbox == NULL) {
        return TEDDY_EINVAL;
    }
    memset(c, 0, sizeof *c);
    c->config = *config;
    c->port = port;
    c->ctx = port_ctx;
    c->rx = rx;
    c->rx_len = rx_len;
    c->frame.tail = "";
    c->goal = SDK_CONNECT_SESSION;
    fill_defaults(&c->config);
    const char *fault = fault_of(&c->config, &c->url);
    if (fault == NULL && rx_len < TEDDY_BUFFER_MIN) {
        fault = "rx is smaller than TEDDY_BUFFER_MIN";
    }
    if (fault != NULL) {
        sdk_log(c, TEDDY_LOG_ERROR, fault);
        return TEDDY_EINVAL;
    }
    if (port->random(port_ctx, (uint8_t *)&first_id, sizeof first_id) != TEDDY_OK) {
        return TEDDY_EIO;
    }
    /* Half of the numbers stay ahead: the count never wraps. */
    sdk_outbox_init(&c->outbox, outbox, outbox_len, first_id >> 1);
    return TEDDY_OK;
}
