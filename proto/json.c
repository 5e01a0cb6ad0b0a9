#include "proto/json.h"

#include "proto/text.h"
#include "proto/utf8.h"

/* A text as far as it is read. What is open is written in bits: a one, then for each array (0) and
 * object (1) from the outermost on, whose members are listed. */
struct reader {
    const char *p;
    const char *end;
    uint32_t open;
    int err;
    struct json_member *next; /* of the outermost object */
};

#define NOTHING_OPEN   1u
#define OUTERMOST_OPEN 3u /* and nothing in it */

/* The first error stays. Nothing is left to read behind it, so that whoever reads on finds the end
 * and comes back: nobody needs to look at err before the last. */
static void fail(struct reader *r, int err)
{
    if (r->err == TEDDY_OK)
        r->err = err;
    r->p = r->end;
    r->open = NOTHING_OPEN;
}

/* The next character, or NUL at the end: a NUL in the text is in no place valid JSON either. */
static char peek(const struct reader *r)
{
    return r->p < r->end ? *r->p : '\0';
}

static bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* The next character that is not white space, as peek. */
static char peek_past_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
    return peek(r);
}

/* Takes c, with any white space before it. */
static bool accept(struct reader *r, char c)
{
    if (peek_past_space(r) != c)
        return false;
    r->p++;
    return true;
}

/* The four hex digits of a \u escape. */
static uint32_t read_unit(struct reader *r)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++) {
        int digit = hex_value(peek(r));

        if (digit < 0) {
            fail(r, TEDDY_EPROTO);
            return 0;
        }
        r->p++;
        unit = unit << 4 | (uint32_t)digit;
    }
    return unit;
}

/* The character of the \u escape at r, which stands behind its `\u`; both halves of a surrogate
 * pair. */
static uint32_t read_unicode(struct reader *r)
{
    uint32_t c = read_unit(r), low = 0;

    if (c < 0xD800 || c > 0xDFFF)
        return c;
    if (c <= 0xDBFF && take(r, '\\') && take(r, 'u'))
        low = read_unit(r);
    if (low < 0xDC00 || low > 0xDFFF)
        fail(r, TEDDY_EUTF8);
    return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

/* The character of the escape at r, which stands behind its backslash. */
static uint32_t read_escape(struct reader *r)
{
    static const char letters[] = "\"\\/bfnrt"
                                  "\"\\/\b\f\n\r\t"; /* what each of them means */
    const size_t count = sizeof letters / 2;
    const char *letter;

    if (take(r, 'u'))
        return read_unicode(r);
    letter = memchr(letters, peek(r), count);
    if (letter == NULL) {
        fail(r, TEDDY_EPROTO);
        return 0;
    }
    r->p++;
    return (uint32_t)letter[count];
}

/* A string behind its opening quote, to behind its closing one. True when it is well-formed and
 * nothing in it escaped. */
static bool read_string(struct reader *r)
{
    bool plain = true;

    for (;;) {
        char c = peek(r);

        if ((unsigned char)c < 0x20) {
            fail(r, TEDDY_EPROTO);
            return false;
        }
        r->p++;
        if (c == '"')
            return plain;
        if (c == '\\') {
            read_escape(r);
            plain = false;
        }
    }
}

static void read_digits(struct reader *r)
{
    const char *start = r->p;

    while (peek(r) >= '0' && peek(r) <= '9')
        r->p++;
    if (r->p == start)
        fail(r, TEDDY_EPROTO);
}

static void read_number(struct reader *r)
{
    take(r, '-');
    if (!take(r, '0'))
        read_digits(r);
    if (take(r, '.'))
        read_digits(r);
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+'))
            take(r, '-');
        read_digits(r);
    }
}

/* A string, number or literal. */
static void read_scalar(struct reader *r, uint8_t type)
{
    static const char words[][6] = {
        [JSON_NULL] = "null", [JSON_FALSE] = "false", [JSON_TRUE] = "true"};

    if (type == JSON_STRING) {
        r->p++;
        read_string(r);
    } else if (type == JSON_NUMBER) {
        read_number(r);
    } else {
        for (const char *c = words[type]; *c != '\0'; c++) {
            if (!take(r, *c))
                fail(r, TEDDY_EPROTO);
        }
    }
}

/* The type of the value that begins so: a number when no other does. */
static uint8_t type_of(char first)
{
    static const char firsts[] = {
        [JSON_NULL] = 'n',   [JSON_FALSE] = 'f', [JSON_TRUE] = 't',  [JSON_NUMBER] = '-',
        [JSON_STRING] = '"', [JSON_ARRAY] = '[', [JSON_OBJECT] = '{'};
    const char *at = memchr(firsts, first, sizeof firsts);

    return at != NULL ? (uint8_t)(at - firsts) : JSON_NUMBER;
}

/* The member of that name among those before end. */
static const struct json_member *find(const struct json_member *m, const struct json_member *end,
                                      const char *name, size_t len)
{
    while (m < end && (m->name_len != len || memcmp(m->name, name, len) != 0))
        m++;
    return m < end ? m : NULL;
}

/* The name of the next member of out, which counts when its value has ended. */
static void begin_member(struct reader *r, const struct json_object *out, const char *name,
                         size_t len)
{
    if (find(out->members, r->next, name, len) != NULL) {
        fail(r, TEDDY_EDUP);
    } else if (r->next == out->members + JSON_MEMBERS_MAX || len > UINT16_MAX) {
        fail(r, TEDDY_ETOOBIG);
    } else {
        r->next->name = name;
        r->next->name_len = (uint16_t)len;
    }
}

/* A name and its colon. An escape would be a second spelling of the same name. */
static void read_name(struct reader *r, const struct json_object *out)
{
    bool plain = accept(r, '"');
    const char *name = r->p, *end;

    if (plain)
        plain = read_string(r);
    end = r->p - 1;
    if (!plain || !accept(r, ':'))
        fail(r, TEDDY_EPROTO);
    if (r->open == OUTERMOST_OPEN)
        begin_member(r, out, name, (size_t)(end - name));
}

/* The value of that member ends at r. */
static void end_member(struct reader *r)
{
    struct json_member *m = r->next++;

    m->value.len = (size_t)(r->p - m->value.p);
    if (m->type == JSON_STRING) {
        m->value.p++;
        m->value.len -= 2;
    }
}

/* Takes the end of the innermost array or object. */
static bool leave(struct reader *r)
{
    if (!accept(r, (r->open & 1) != 0 ? '}' : ']'))
        return false;
    r->open >>= 1;
    return true;
}

/* Enters an array or object. True when it has an item. */
static bool enter(struct reader *r, uint8_t type)
{
    if (r->open >> JSON_DEPTH_MAX != 0) {
        fail(r, TEDDY_ETOOBIG);
        return false;
    }
    r->p++;
    r->open = r->open << 1 | (type == JSON_OBJECT);
    return !leave(r);
}

/* Behind a value. True when a comma promises another, false when its array or object ended. */
static bool next_item(struct reader *r)
{
    if (leave(r))
        return false;
    if (take(r, ','))
        return true;
    fail(r, TEDDY_EPROTO);
    return false;
}

/* Reads from the opening brace to its end. */
static void read_tree(struct reader *r, const struct json_object *out)
{
    do {
        uint8_t type = type_of(peek_past_space(r));
        bool item = false; /* another one comes before anything ends */

        if (r->open == OUTERMOST_OPEN) {
            r->next->value.p = r->p;
            r->next->type = type;
        }
        if (type >= JSON_ARRAY)
            item = enter(r, type);
        else
            read_scalar(r, type);
        while (!item && r->open != NOTHING_OPEN) {
            if (r->open == OUTERMOST_OPEN)
                end_member(r);
            item = next_item(r);
        }
        if (item && (r->open & 1) != 0)
            read_name(r, out);
    } while (r->open != NOTHING_OPEN);
}

int json_parse(struct span text, struct json_object *out)
{
    struct reader r = {text.p, text.p, NOTHING_OPEN, TEDDY_OK, out->members};

    if (text.len > 0)
        r.end += text.len;
    if (!utf8_ok(text.p, text.len))
        fail(&r, TEDDY_EUTF8);
    else if (peek_past_space(&r) == '{')
        read_tree(&r, out);
    else
        fail(&r, TEDDY_EPROTO);
    peek_past_space(&r);
    if (r.p != r.end)
        fail(&r, TEDDY_EPROTO);
    /* Nobody may act on half a message. */
    out->count = r.err == TEDDY_OK ? (size_t)(r.next - out->members) : 0;
    return r.err;
}

const struct json_member *json_find(const struct json_object *obj, const char *name)
{
    return find(obj->members, obj->members + obj->count, name, strlen(name));
}

/* Puts the character in UTF-8 before end; returns where it begins, at most 4 bytes before. */
static char *put_utf8(char *end, uint32_t c)
{
    uint32_t room = 0x3F; /* the bits that a first byte has for what is left of c */

    if (c >= 0x80) {
        do {
            *--end = (char)(0x80 | (c & 0x3F));
            c >>= 6;
            room >>= 1;
        } while (c > room);
        c |= ~room << 1; /* as many ones as bytes, then a zero */
    }
    *--end = (char)c;
    return end;
}

/* Up to the first escape, as far as there is room: most strings have none. A NUL was refused. */
static size_t copy_plain(struct reader *r, char *out, size_t room)
{
    size_t n = (size_t)(r->end - r->p);
    if (n > room)
        n = room;

    const char *stop = memchr(r->p, '\\', n);
    n = stop != NULL ? (size_t)(stop - r->p) : n;
    memcpy(out, r->p, n);
    r->p += n;
    return n;
}

int json_unescape(const struct json_member *m, char *out, size_t cap, size_t *len)
{
    struct reader r = {.p = m->value.p, .end = m->value.p + m->value.len};
    int err = m->type == JSON_STRING ? TEDDY_OK : TEDDY_EINVAL;
    size_t n = 0;

    if (cap == 0)
        return TEDDY_ENOSPC;
    if (err == TEDDY_OK && m->value.len > 0)
        n = copy_plain(&r, out, cap - 1);
    while (err == TEDDY_OK && r.p < r.end) {
        char utf8[4];
        char *end = utf8 + sizeof utf8, *from = end - 1;

        *from = *r.p++;
        if (*from == '\\')
            from = put_utf8(end, read_escape(&r));
        if (*from == '\0')
            err = TEDDY_EINVAL;
        else if ((size_t)(end - from) >= cap - n)
            err = TEDDY_ENOSPC;
        else
            out[n++] = *from++;
        while (err == TEDDY_OK && from < end)
            out[n++] = *from++;
    }
    if (err != TEDDY_OK)
        n = 0;
    out[n] = '\0';
    *len = n;
    return err;
}

int json_string(const struct json_object *obj, const char *name, char *out, size_t cap, size_t *len)
{
    const struct json_member *m = json_find(obj, name);

    if (m != NULL)
        return json_unescape(m, out, cap, len);
    *len = 0;
    if (cap == 0)
        return TEDDY_ENOSPC;
    out[0] = '\0';
    return TEDDY_ENOTFOUND;
}

int json_u64(const struct json_object *obj, const char *name, uint64_t *out)
{
    const struct json_member *m = json_find(obj, name);
    uint64_t n;

    if (m == NULL)
        return TEDDY_ENOTFOUND;
    if (m->type != JSON_NUMBER || u64_parse(m->value, &n) != TEDDY_OK || n > (uint64_t)1 << 53)
        return TEDDY_EINVAL;
    *out = n;
    return TEDDY_OK;
}

bool json_looks_like_object(struct span text)
{
    struct reader r = {.p = text.p, .end = text.p};

    if (text.len > 0)
        r.end += text.len;
    return peek_past_space(&r) == '{';
}
