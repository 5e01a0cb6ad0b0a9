/* What ESP-IDF's C library has, and glibc before 2.38 has not. */
#ifndef HOST_COMPAT_H
#define HOST_COMPAT_H

#include <features.h>
#include <string.h>

#if !__GLIBC_PREREQ(2, 38)
static inline size_t strlcpy(char *to, const char *from, size_t cap)
{
    size_t len = strlen(from);

    if (cap > 0) {
        size_t n = len < cap ? len : cap - 1;
        memcpy(to, from, n);
        to[n] = '\0';
    }
    return len;
}
#endif

#endif
