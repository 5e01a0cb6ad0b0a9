/* The flat reader of what toys send and get (RFC 8259): one object, its members listed without
 * copying. The whole text is checked, nested values included (to JSON_DEPTH_MAX, without
 * recursion); a duplicate member of the object is refused (the names inside nested objects are not
 * compared: nobody reads them here), and so is a name that is written with an escape. Numbers are
 * kept as text, never as a float. Threads: any (no state). Blocks: no. Allocates: no. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "proto/span.h"
#include "teddy/err.h"

#define JSON_MEMBERS_MAX 24
#define JSON_DEPTH_MAX   16

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* 16 bytes on a 32-bit chip: the list of members is the largest thing on its stack. */
struct json_member {
    struct span value; /* as sent; a string without its quotes */
    const char *name;  /* see json_name */
    uint16_t name_len;
    uint8_t type; /* enum json_type */
};

struct json_object {
    struct json_member members[JSON_MEMBERS_MAX];
    size_t count;
};

/* The member's name, between its quotes. */
static inline struct span json_name(const struct json_member *m)
{
    return (struct span){m->name, m->name_len};
}

/* Reads the one object that `text` is (white space around it allowed). The spans point into `text`.
 * TEDDY_EPROTO: not a JSON object, or a name with an escape; TEDDY_EUTF8: not UTF-8, or a lone
 * surrogate as an escape; TEDDY_EDUP: a duplicate member; TEDDY_ETOOBIG: more than JSON_MEMBERS_MAX
 * members or JSON_DEPTH_MAX levels, or a name over 65,535 bytes. After an error the object is
 * empty. */
TEDDY_MUST_CHECK int json_parse(struct span text, struct json_object *out);

/* The member of that name, or NULL. */
const struct json_member *json_find(const struct json_object *obj, const char *name);

/* The member's string, unescaped, with a NUL behind (not counted; cap includes it).
 * TEDDY_ENOTFOUND: no such member; TEDDY_EINVAL: not a string, or it holds U+0000;
 * TEDDY_ENOSPC: longer than cap - 1. After any of them out is the empty string.
 * Its name for the linker is its own: libjansson has a json_string too, and libcjose, which calls
 * that one, would call ours in a program that links both. */
TEDDY_MUST_CHECK int json_string(const struct json_object *obj, const char *name, char *out,
                                 size_t cap, size_t *len) __asm__("proto_json_string");

/* The same of a member that was found. out may be where the string itself stands: it never grows,
 * and its closing quote makes room for the NUL. */
TEDDY_MUST_CHECK int json_unescape(const struct json_member *m, char *out, size_t cap, size_t *len);

/* The member's whole number, 0 to 2^53. TEDDY_ENOTFOUND; TEDDY_EINVAL: not such a number. */
TEDDY_MUST_CHECK int json_u64(const struct json_object *obj, const char *name, uint64_t *out);

/* True when the first character that is not white space is `{`: the text is a message, not speech.
 */
bool json_looks_like_object(struct span text);

#endif
