/* HTTP/1.1 heads (RFC 9112), strict, for both ends. Nothing is copied: the spans point into the
 * bytes given. Refused: bare CR or LF, folded lines, white space before a colon, control
 * characters, a head over the caller's limit. Threads: any. Blocks: no. Allocates: no. */
#ifndef PROTO_HTTP1_H
#define PROTO_HTTP1_H

#include "proto/span.h"
#include "teddy/err.h"

struct http_head {
    struct span method; /* request */
    struct span target; /* request, as sent */
    int status;         /* response */
    int minor;          /* of HTTP/1.minor: 0 or 1 */
    struct span fields; /* all field lines, each ending in CRLF */
};

enum http_body {
    HTTP_BODY_NONE,    /* no body */
    HTTP_BODY_LENGTH,  /* Content-Length */
    HTTP_BODY_CHUNKED, /* Transfer-Encoding: chunked, alone */
    HTTP_BODY_CLOSE,   /* response: until the connection closes */
};

/* Parse a head of at most max bytes. TEDDY_OK with *used (the head's bytes, final empty line
 * included), TEDDY_AGAIN when it is not whole yet, TEDDY_ETOOBIG when it cannot fit max,
 * TEDDY_EUNSUPPORTED for another HTTP version, TEDDY_EPROTO otherwise. A request of HTTP/1.1 needs
 * exactly one Host. */
TEDDY_MUST_CHECK int http1_request(const char *buf, size_t len, size_t max, struct http_head *out,
                                   size_t *used);
TEDDY_MUST_CHECK int http1_response(const char *buf, size_t len, size_t max, struct http_head *out,
                                    size_t *used);

/* The number of field lines of that name (ASCII case-insensitive); *value is the first one's,
 * trimmed. */
size_t http1_field(const struct http_head *head, const char *name, struct span *value);
/* Walks all fields: start with *at = 0; false at the end. */
bool http1_next_field(const struct http_head *head, size_t *at, struct span *name,
                      struct span *value);
/* True when the comma-separated lists of all lines of that name hold the token (case-insensitive).
 */
bool http1_field_has(const struct http_head *head, const char *name, const char *token);

/* How the body is framed (RFC 9112 section 6.3). TEDDY_EPROTO for what smuggles: both
 * Transfer-Encoding and Content-Length, several or malformed Content-Length; TEDDY_EUNSUPPORTED for
 * a coding other than chunked. */
TEDDY_MUST_CHECK int http1_body(const struct http_head *head, bool is_response,
                                enum http_body *kind, uint64_t *length);
/* True when the connection stays open after this message. */
bool http1_keep_alive(const struct http_head *head);

/* Chunked bodies (RFC 9112 section 7.1), decoded as they arrive; all zero is the start. */
struct http_chunked {
    uint32_t left; /* bytes of the present chunk */
    uint8_t state;
    uint16_t line; /* bytes of the present line, bounded */
};
/* Takes up to len bytes; *data is the piece of body among them (inside buf, maybe empty), *used
 * what was taken. TEDDY_AGAIN: call with more (also right after a piece), TEDDY_OK: the body is
 * whole, TEDDY_EPROTO (also for a chunk of 4 GiB or more, which nobody here would take). */
TEDDY_MUST_CHECK int http1_chunked(struct http_chunked *c, const char *buf, size_t len,
                                   size_t *used, struct span *data);

#endif
