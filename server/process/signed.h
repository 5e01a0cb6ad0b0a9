/* Requests to the operator's own services are signed: HMAC-SHA-256 under a shared secret over
 * "TIMESTAMP.BODY", so that neither can be changed, and an old one is known for old. */
#ifndef PROCESS_SIGNED_H
#define PROCESS_SIGNED_H

#include <stdbool.h>
#include <stddef.h>

#define SIGNED_SECRET_MIN 16
#define SIGNED_ROOM       160

/* Two headers, for a request that goes out now; they point into room. False: it cannot be signed.
 */
bool signed_headers(const char *secret, const char *body, char *room, size_t cap,
                    const char *headers[2]);

#endif
