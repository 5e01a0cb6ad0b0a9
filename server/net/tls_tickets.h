/* The keys of session tickets (RFC 5077, RFC 8446 4.6.1): what a client needs to resume its TLS
 * session rests with the client, sealed under them. All loops share them, and they are kept in a
 * file, so that a restart or another certificate makes no client start over. They rotate: a key
 * seals for half a ticket's life, opens tickets until the last of them has expired, and is wiped.
 * Whoever has a key can read the TLS 1.2 sessions whose tickets it sealed; TLS 1.3 sessions stay
 * forward-secret, as resuming them exchanges keys anew. */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "teddy/err.h"

struct tls_tickets;

enum { TLS_TICKETS_NOTE = 160 };

/* Takes the keys of the file at path, made when it is missing. lifetime_s: how long a ticket is
 * good, 1 or more. A file that is damaged, that others could read or that cannot be read is not
 * used but replaced: new keys cost a full handshake each, but those in it may be known to somebody.
 * note then says so, as it does when the file cannot be written: the keys are good until the
 * process ends. "" when all is well. TEDDY_ENOMEM, or TEDDY_EIO: no randomness. */
TEDDY_MUST_CHECK int tls_tickets_open(const char *path, uint32_t lifetime_s, uint64_t now_s,
                                      struct tls_tickets **out, char note[TLS_TICKETS_NOTE]);
/* No context uses them any more. Wipes them; the file stays. NULL is fine. */
void tls_tickets_free(struct tls_tickets *t);
/* Begins a new key and wipes old ones when it is time, and has the file follow. To be called every
 * minute or so. True: there is a new key. note as with tls_tickets_open. Threads: any one. Blocks:
 * for a small file's writing, without a sync. */
bool tls_tickets_tend(struct tls_tickets *t, uint64_t now_s, char note[TLS_TICKETS_NOTE]);

#endif
