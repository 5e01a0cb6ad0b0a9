/* Local time in a zone of the IANA's database, by its name, without tzset(3): that is one zone for
 * the whole process and reads the environment. Reads the system's compiled files (TZif, RFC 8536).
 */
#ifndef OPS_ZONE_H
#define OPS_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "teddy/err.h"

#define ZONE_NAME_MAX 47

/* Whether it can be a name: "Europe/Berlin", "Etc/GMT+3". */
bool zone_name_ok(const char *name);
/* Seconds to be added to UTC at time_s (since 1970). "" is UTC. TEDDY_ENOTFOUND: there is no such
 * zone on this machine (tzdata is not installed?); TEDDY_EPROTO: its file makes no sense. Blocks:
 * on a file. Threads: any. */
TEDDY_MUST_CHECK int zone_offset(const char *name, int64_t time_s, int32_t *offset_s);
/* The same, from the bytes of such a file. */
TEDDY_MUST_CHECK int zone_read(const uint8_t *tzif, size_t len, int64_t time_s, int32_t *offset_s);

#endif
