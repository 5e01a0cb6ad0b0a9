/* The one route table. `teddyctl routes` prints it; main.c refuses to start when two of its routes
 * could match the same request. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "http/route.h"

extern const struct route teddy_routes[];
extern const size_t teddy_routes_count;

#endif
