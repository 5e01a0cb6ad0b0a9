/* The bounds of the wire contract that both ends must agree on (docs/protocol.md, "Names"). Bytes.
 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#define LIMIT_ID_LEN       64 /* device_id and child_id */
#define LIMIT_NONCE_MIN    8
#define LIMIT_NONCE_MAX    128
#define LIMIT_SECRET_LEN   32
#define LIMIT_MAC_LEN      32
#define LIMIT_HTTP_HEAD    8192
#define LIMIT_CLAIM_BODY   4096
#define LIMIT_TOKEN_LEN    700
#define LIMIT_FIRMWARE_LEN 32
#define LIMIT_UTTERANCE    4096  /* default; configurable at the server */
#define LIMIT_WS_MESSAGE   65536 /* default; configurable at the server */
#define LIMIT_UTTERANCE_ID 64    /* of a text message's `id` */
#define LIMIT_CLOSE_REASON 123   /* RFC 6455 section 5.5 */

#endif
