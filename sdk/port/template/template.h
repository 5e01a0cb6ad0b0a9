/* The start of a new port: copy this directory, name it after the machine, and fill in template.c
 * function by function until teddy-conformance passes (docs/porting.md).
 *
 *   struct port_template port = {0};
 *   teddy_client_init(&client, &config, &port_template, &port, ...);
 *
 * As it stands it compiles, links with the core, and fails closed: no randomness, no signature, no
 * record, no connection. What is not filled in yet can never be mistaken for something that works.
 */
#ifndef PORT_TEMPLATE_H
#define PORT_TEMPLATE_H

#include "teddy/port.h"

/* An instance: all that the calls of one client share. The caller gives it storage, zeroed. */
struct port_template {
    uint64_t time_told_s; /* the last server_time, to be stored */
    /* Yours: socket, TLS context and session, the lookup under way, flash handle … */
};

/* The table for teddy_client_init; its ctx is a struct port_template. */
extern const struct teddy_port port_template;

#endif
