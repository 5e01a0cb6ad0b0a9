/* Why a command is refused, in words for whoever gave it. */
#ifndef ADMIN_REASON_H
#define ADMIN_REASON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct reason {
    char *why;
    size_t cap;
};

__attribute__((format(printf, 2, 3))) static inline bool refuse(struct reason r, const char *format,
                                                                ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(r.why, r.cap, format, args);
    va_end(args);
    return false;
}

#endif
