/* Times in answers: RFC 3339, null for 0, which is never. */
#ifndef ADMIN_TIME_JSON_H
#define ADMIN_TIME_JSON_H

#include <jansson.h>

#include "proto/utc.h"

static inline json_t *time_or_null(uint64_t s)
{
    char text[UTC_TEXT];

    return s != 0 && utc_text(s, text) ? json_string(text) : json_null();
}

#endif
