/* The forms of names on the wire (docs/protocol.md, "Names"). */
#ifndef PROTO_IDS_H
#define PROTO_IDS_H

#include "proto/limits.h"
#include "proto/span.h"

bool id_ok(struct span id);       /* device_id, child_id: 1 to 64 of A-Z a-z 0-9 _ - */
bool nonce_ok(struct span nonce); /* 8 to 128 printable ASCII without " and \ */
/* True, with the 16 bytes, when the nonce is 32 hex digits. */
bool nonce_decode16(struct span nonce, uint8_t out[16]);

#endif
