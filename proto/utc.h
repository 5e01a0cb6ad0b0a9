/* A time in UTC as RFC 3339 (5.6) writes it: 2026-11-21T20:36:31Z. */
#ifndef PROTO_UTC_H
#define PROTO_UTC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define UTC_TEXT 32

/* Seconds since 1970; false for what no calendar has: out is "?" then. */
static inline bool utc_text(uint64_t s, char out[UTC_TEXT])
{
    time_t t = (time_t)s;
    struct tm utc;

    if (gmtime_r(&t, &utc) != NULL && strftime(out, UTC_TEXT, "%Y-%m-%dT%H:%M:%SZ", &utc) != 0)
        return true;
    memcpy(out, "?", 2);
    return false;
}

#endif
