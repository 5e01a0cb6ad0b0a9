/* All that proto/ and sdk/core/ may ask of a C library: what every chip's toolchain has. The
 * freestanding checks compile against this header, so that anything else does not compile. */
#ifndef FREESTANDING_STRING_H
#define FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *p, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t len);
void *memchr(const void *p, int byte, size_t len);
char *strchr(const char *text, int c);
size_t strcspn(const char *text, const char *stop);

#endif
