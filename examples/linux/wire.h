/* For verify alone: the port used as a plain blocking client, which speaks HTTP and WebSocket as it
 * is told, right or wrong. The SDK's core could not say half of what a checker must say. */
#ifndef DEVICE_WIRE_H
#define DEVICE_WIRE_H

#include "proto/http1.h"
#include "proto/json.h"
#include "proto/limits.h"
#include "proto/ws.h"
#include "sdk/port/posix/teddy_posix.h"
#include "teddy/client.h"

#define WIRE_PATIENCE_MS 10000
#define WIRE_BODY_MAX    32768

/* One connection. */
struct wire {
    struct teddy_posix *port;
    const struct teddy_url *url;
    const char *host; /* of url, with its NUL */
    uint8_t buf[LIMIT_HTTP_HEAD + LIMIT_WS_MESSAGE];
    size_t len, used; /* received; consumed of it */
    struct ws_decoder decoder;
};

/* Resolves and connects. 0, or the port's error, TEDDY_ETIMEOUT. */
int wire_open(struct wire *w);
/* The same, but TLS or none as told, and another host's name expected of the certificate. */
int wire_open_as(struct wire *w, const char *certificate_host, bool tls);
void wire_close(struct wire *w);
int wire_send(struct wire *w, const void *data, size_t len);
/* Receives at least a byte more. */
int wire_more(struct wire *w, uint32_t patience_ms);

/* An HTTP answer. Spans point into itself. */
struct answer {
    int err;    /* no answer: why */
    int status; /* 0: none */
    struct http_head head;
    struct span body;
    struct json_object json; /* when is_json */
    bool is_json;
    char head_bytes[LIMIT_HTTP_HEAD];
    char body_bytes[WIRE_BODY_MAX];
};

/* One request on a connection of its own. head_lines: further field lines, each with CRLF; body
 * NULL: none. */
void wire_request(struct wire *w, const char *method, const char *target, const char *head_lines,
                  const char *body, size_t body_len, struct answer *out);
/* Reads an answer on an open connection; keeps what follows it. */
void wire_answer(struct wire *w, struct answer *out);

/* Host's value for the request. */
void wire_authority(const struct wire *w, char out[TEDDY_HOST_MAX + 16]);

#endif
