/* The far end of the world's transport. */
#ifndef SDK_SERVER_SIDE_H
#define SDK_SERVER_SIDE_H

#include "world.h"

void server_hmac(const uint8_t *msg, size_t len, uint8_t mac[32]);
void server_sha1(const uint8_t *msg, size_t len, uint8_t digest[20]);
void server_accept(struct world *w);
/* Bytes from the toy. */
void server_feed(struct world *w, const uint8_t *data, size_t len);
/* What the server does by the clock, and when it next would (0: never). */
void server_tick(struct world *w);
uint64_t server_next(const struct world *w);

#endif
