#include "proto/json.h"

#include "proto/text.h"
#include "proto/utf8.h"

struct reader {
    const char *p;
    const char *end;
};

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

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

/* Takes c, with any white space before it. */
static bool accept(struct reader *r, char c)
{
    skip_space(r);
    return take(r, c);
}

/* The four hex digits of a \u escape. */
static int read_unit(struct reader *r, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(peek(r));

        if (digit < 0)
            return TEDDY_EPROTO;
        *unit = *unit << 4 | (uint32_t)digit;
        r->p++;
    }
    return TEDDY_OK;
}

/* The character of the \u escape at r, which stands behind its `\u`; both halves of a surrogate
 * pair. */
static int read_unicode(struct reader *r, uint32_t *c)
{
    uint32_t low;

    if (read_unit(r, c) != TEDDY_OK)
        return TEDDY_EPROTO;
    if (*c < 0xD800 || *c > 0xDFFF)
        return TEDDY_OK;
    if (*c > 0xDBFF || !take(r, '\\') || !take(r, 'u'))
        return TEDDY_EUTF8;
    if (read_unit(r, &low) != TEDDY_OK)
        return TEDDY_EPROTO;
    if (low < 0xDC00 || low > 0xDFFF)
        return TEDDY_EUTF8;
    *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    return TEDDY_OK;
}

/* The character of the escape at r, which stands behind its backslash. */
static int read_escape(struct reader *r, uint32_t *c)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *letter;

    if (take(r, 'u'))
        return read_unicode(r, c);
    letter = memchr(letters, peek(r), sizeof letters - 1);
    if (letter == NULL)
        return TEDDY_EPROTO;
    r->p++;
    *c = (uint32_t)meant[letter - letters];
    return TEDDY_OK;
}

/* A string at its opening quote; *out is what stands between the quotes. */
static int read_string(struct reader *r, struct span *out)
{
    const char *start;
    uint32_t c;

    if (!take(r, '"'))
        return TEDDY_EPROTO;
    start = r->p;
    while (r->p < r->end) {
        unsigned char byte = (unsigned char)*r->p++;

        if (byte == '"') {
            *out = (struct span){start, (size_t)(r->p - 1 - start)};
            return TEDDY_OK;
        }
        if (byte < 0x20)
            return TEDDY_EPROTO;
        if (byte == '\\') {
            int err = read_escape(r, &c);

            if (err != TEDDY_OK)
                return err;
        }
    }
    return TEDDY_EPROTO;
}

static bool take_digits(struct reader *r)
{
    const char *start = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > start;
}

static int read_number(struct reader *r)
{
    take(r, '-');
    if (!take(r, '0') && !take_digits(r))
        return TEDDY_EPROTO;
    if (take(r, '.') && !take_digits(r))
        return TEDDY_EPROTO;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+'))
            take(r, '-');
        if (!take_digits(r))
            return TEDDY_EPROTO;
    }
    return TEDDY_OK;
}

static int read_literal(struct reader *r, uint8_t *type)
{
    static const char words[][6] = {
        [JSON_NULL] = "null", [JSON_FALSE] = "false", [JSON_TRUE] = "true"};

    for (uint8_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strlen(words[i]);

        if ((size_t)(r->end - r->p) >= len && memcmp(r->p, words[i], len) == 0) {
            r->p += len;
            *type = i;
            return TEDDY_OK;
        }
    }
    return TEDDY_EPROTO;
}

/* A string, number or literal. *value is what stands there, a string without its quotes. */
static int read_scalar(struct reader *r, struct span *value, uint8_t *type)
{
    const char *start = r->p;
    int err;

    if (peek(r) == '"') {
        *type = JSON_STRING;
        return read_string(r, value);
    }
    if (peek(r) >= 'a') {
        err = read_literal(r, type);
    } else {
        *type = JSON_NUMBER;
        err = read_number(r);
    }
    *value = (struct span){start, (size_t)(r->p - start)};
    return err;
}

/* A name and its colon. An escape would be a second spelling of the same name. */
static int read_name(struct reader *r, struct span *name)
{
    int err;

    skip_space(r);
    err = read_string(r, name);
    if (err == TEDDY_OK && (memchr(name->p, '\\', name->len) != NULL || !accept(r, ':')))
        err = TEDDY_EPROTO;
    return err;
}

/* The character as UTF-8; returns its length. */
static size_t put_utf8(uint32_t c, uint8_t out[4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    /* As many ones as bytes, then a zero: 110, 1110, 11110. */
    out[0] = (uint8_t)(n == 1 ? c : 0xF00u >> n | c);
    return n;
}

static const struct json_member *find(const struct json_object *obj, struct span name)
{
    for (size_t i = 0; i < obj->count; i++) {
        if (span_eq(json_name(&obj->members[i]), name))
            return &obj->members[i];
    }
    return NULL;
}

static int add_member(struct json_object *out, struct span name, struct span value, uint8_t type)
{
    if (find(out, name) != NULL)
        return TEDDY_EDUP;
    if (out->count == JSON_MEMBERS_MAX || name.len > UINT16_MAX)
        return TEDDY_ETOOBIG;
    out->members[out->count++] = (struct json_member){value, name.p, (uint16_t)name.len, type};
    return TEDDY_OK;
}

/* What is read of the text. `ends` has the character that ends each array and object which is open,
 * the outermost first: that one's members are listed. */
struct tree {
    struct span name; /* of the present member */
    const char *value;
    unsigned depth;
    char ends[JSON_DEPTH_MAX];
};

/* The name of the next item, where it has one. */
static int read_item_name(struct reader *r, struct tree *t)
{
    struct span name;
    int err;

    if (t->ends[t->depth - 1] == ']')
        return TEDDY_OK;
    err = read_name(r, &name);
    if (t->depth == 1)
        t->name = name;
    return err;
}

/* Enters an array or object. */
static int enter(struct reader *r, struct tree *t)
{
    char begin = *r->p++;

    if (t->depth == JSON_DEPTH_MAX)
        return TEDDY_ETOOBIG;
    t->ends[t->depth++] = begin == '{' ? '}' : ']';
    return TEDDY_OK;
}

/* The present member, whose value ends at r. A scalar's value and type are given. */
static int end_member(struct reader *r, const struct tree *t, struct json_object *out,
                      struct span value, uint8_t type)
{
    if (*t->value == '{' || *t->value == '[') {
        type = *t->value == '{' ? JSON_OBJECT : JSON_ARRAY;
        value = (struct span){t->value, (size_t)(r->p - t->value)};
    }
    return add_member(out, t->name, value, type);
}

/* Reads from the opening brace to its end. */
static int read_tree(struct reader *r, struct tree *t, struct json_object *out)
{
    struct span value = {NULL, 0};
    uint8_t type = JSON_NULL;
    int err;

    do {
        bool item = false; /* another one comes before anything ends */

        skip_space(r);
        if (t->depth == 1)
            t->value = r->p;
        if (peek(r) == '{' || peek(r) == '[') {
            err = enter(r, t);
            if (err != TEDDY_OK)
                return err;
            skip_space(r);
            item = peek(r) != t->ends[t->depth - 1];
        } else {
            err = read_scalar(r, &value, &type);
        }
        while (err == TEDDY_OK && !item && t->depth > 0) {
            if (t->depth == 1 && t->name.p != NULL)
                err = end_member(r, t, out, value, type);
            item = accept(r, ',');
            if (err == TEDDY_OK && !item && !take(r, t->ends[--t->depth]))
                err = TEDDY_EPROTO;
        }
        if (err == TEDDY_OK && item)
            err = read_item_name(r, t);
    } while (err == TEDDY_OK && t->depth > 0);
    return err;
}

int json_parse(struct span text, struct json_object *out)
{
    struct tree tree = {.depth = 0};
    struct reader r = {text.p, text.p};
    int err = TEDDY_EPROTO;

    out->count = 0;
    if (text.len == 0)
        return TEDDY_EPROTO;
    r.end += text.len;
    if (!utf8_ok(text.p, text.len))
        return TEDDY_EUTF8;
    if (json_looks_like_object(text))
        err = read_tree(&r, &tree, out);
    skip_space(&r);
    if (err == TEDDY_OK && r.p != r.end)
        err = TEDDY_EPROTO;
    if (err != TEDDY_OK)
        out->count = 0; /* nobody may act on half a message */
    return err;
}

const struct json_member *json_find(const struct json_object *obj, const char *name)
{
    return find(obj, span_of(name));
}

/* Unescapes a checked string into out, without a NUL. */
static int copy_string(struct span s, char *out, size_t cap, size_t *len)
{
    struct reader r = {s.p, s.p + s.len};

    for (*len = 0; r.p < r.end;) {
        uint8_t utf8[4] = {(uint8_t)*r.p++};
        size_t n = 1;
        uint32_t c;

        if (utf8[0] == '\\') {
            (void)!read_escape(&r, &c);
            n = put_utf8(c, utf8);
        }
        if (utf8[0] == '\0')
            return TEDDY_EINVAL;
        if (n >= cap - *len)
            return TEDDY_ENOSPC;
        memcpy(out + *len, utf8, n);
        *len += n;
    }
    return TEDDY_OK;
}

int json_unescape(const struct json_member *m, char *out, size_t cap, size_t *len)
{
    int err = TEDDY_EINVAL;

    if (cap == 0)
        return TEDDY_ENOSPC;
    if (m->type == JSON_STRING)
        err = copy_string(m->value, out, cap, len);
    if (err != TEDDY_OK)
        *len = 0;
    out[*len] = '\0';
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
    struct reader r;

    if (text.len == 0)
        return false;
    r = (struct reader){text.p, text.p + text.len};
    skip_space(&r);
    return peek(&r) == '{';
}
