/* What a client is given, checked once: after this the core trusts its configuration. */
#include "core.h"
#include "proto/ids.h"
#include "proto/text.h"

static bool firmware_ok(const char *firmware)
{
    struct span text = span_of(firmware != NULL ? firmware : "");
    return text.len <= LIMIT_FIRMWARE_LEN && span_within(text, TEDDY_FIRMWARE_OTHERS);
}

static bool id_given(const char *id)
{
    return id != NULL && id_ok(span_of(id));
}

static bool path_ok(const char *path)
{
    return path == NULL || sdk_path_ok(path);
}

/* What is checked, in this order; a fault is told by its name. */
static const char names[] =
    "device_id\0child_id\0server_url\0claim_endpoint\0ws_endpoint\0firmware\0rx";
enum { DEVICE_ID, CHILD_ID, SERVER_URL, CLAIM_ENDPOINT, WS_ENDPOINT, FIRMWARE, RX, NO_FAULT };

static unsigned fault_of(struct teddy_client *c)
{
    const struct teddy_client_config *config = &c->config;
    if (!id_given(config->device_id)) {
        return DEVICE_ID;
    }
    if (!id_given(config->child_id)) {
        return CHILD_ID;
    }
    if (sdk_url_parse(config->server_url, config->allow_plain, &c->url) != TEDDY_OK) {
        return SERVER_URL;
    }
    if (!path_ok(config->claim_endpoint)) {
        return CLAIM_ENDPOINT;
    }
    if (!path_ok(config->ws_endpoint)) {
        return WS_ENDPOINT;
    }
    if (!firmware_ok(config->firmware)) {
        return FIRMWARE;
    }
    return c->rx_len < TEDDY_BUFFER_MIN ? RX : NO_FAULT;
}

_Static_assert(sizeof(struct teddy_times) == 6 * sizeof(uint32_t),
               "times_take walks its members, each a time of 32 bits, with nothing between them");

/* What is not given, and what would be no time of ours. */
static void times_take(struct teddy_times *times, const struct teddy_times *given)
{
    static const struct teddy_times usual = TEDDY_TIMES;
    for (size_t at = 0; at < sizeof usual; at += sizeof(uint32_t)) {
        uint32_t ms = 0;
        if (given != NULL) {
            memcpy(&ms, (const char *)given + at, sizeof ms);
        }
        if (ms == 0) {
            memcpy(&ms, (const char *)&usual + at, sizeof ms);
        }
        ms = sdk_least(ms, TEDDY_RETRY_MAX_MS);
        memcpy((char *)times + at, &ms, sizeof ms);
    }
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
    times_take(&c->times, config->times);
    c->port = port;
    c->ctx = port_ctx;
    c->rx = rx;
    c->rx_len = rx_len;
    c->goal = SDK_CONNECT_SESSION;
    sdk_event_clear(c);
    unsigned fault = fault_of(c);
    if (fault != NO_FAULT) {
        const char *name = names;
        while (fault-- > 0) {
            name += strlen(name) + 1;
        }
        sdk_log(c, TEDDY_LOG_ERROR, name);
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
