/* Builds text in a caller's buffer, without allocation and without printf. Once something does not
 * fit, `overflow` is set and stays set, and nothing more is written: check it once, at the end. */
#ifndef PROTO_WRITER_H
#define PROTO_WRITER_H

#include "proto/span.h"

struct writer {
    char *buf;
    size_t cap;
    size_t len;
    bool overflow;
};

static inline struct writer writer_on(char *buf, size_t cap)
{
    return (struct writer){buf, cap, 0, false};
}

void writer_bytes(struct writer *w, const void *data, size_t len);
inline void writer_text(struct writer *w, const char *text)
{
    writer_bytes(w, text, strlen(text)); /* most are literals, whose length is known here */
}
void writer_span(struct writer *w, struct span s);
void writer_u64(struct writer *w, uint64_t n);
void writer_hex(struct writer *w, const uint8_t *data, size_t len); /* lower case */
/* A JSON string with its quotes, from valid UTF-8: `"`, `\` and control characters are escaped. */
void writer_json_string(struct writer *w, struct span s);
/* One byte of such a string, as it must be written between the quotes: 1, 2 or 6 bytes. */
void writer_json_byte(struct writer *w, uint8_t byte);
/* Terminates with NUL (not counted in len). Returns TEDDY_OK or TEDDY_ENOSPC. */
int writer_end(struct writer *w);

#endif
