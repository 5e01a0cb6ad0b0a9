/* The flat JSON reader: what it takes is what another reader (jansson) takes, and what it read can
 * be written and read again. */
#include "proto/json.h"

#include "fuzz.h"
#include "json_other.h"
#include "proto/utf8.h"
#include "proto/writer.h"

#define ROOM (1 << 18)

/* Another reader's verdict (json_other.c: jansson's names are ours too, so it has a file of its
 * own). */
static void against_other(struct span text, int err)
{
    switch (json_other(text)) {
    case OTHER_OBJECT:
        /* It takes names with an escape, which ours does not. */
        HOLDS(err == TEDDY_OK || err == TEDDY_EDUP || err == TEDDY_ETOOBIG ||
              (err == TEDDY_EPROTO && memchr(text.p, '\\', text.len) != NULL));
        break;
    case OTHER_VALUE:
        HOLDS(err == TEDDY_EPROTO);
        break;
    case OTHER_REFUSED:
        HOLDS(err != TEDDY_OK);
        break;
    case OTHER_CANNOT:
        break;
    }
}

/* A string between its quotes, as a member `s` of an object of its own, unescaped. */
static int unescape(struct span raw, char *out, size_t *len)
{
    struct json_object one = {.count = 1};

    one.members[0] = (struct json_member){raw, "s", 1, JSON_STRING};
    return json_string(&one, "s", out, ROOM, len);
}

static void write_raw(struct writer *w, struct span raw)
{
    writer_text(w, "\"");
    writer_span(w, raw);
    writer_text(w, "\"");
}

static void write_string(struct writer *w, struct span raw)
{
    static char plain[ROOM];
    size_t len;

    if (unescape(raw, plain, &len) == TEDDY_OK) {
        HOLDS(utf8_ok(plain, len));
        HOLDS(strlen(plain) == len);
        writer_json_string(w, (struct span){plain, len});
        return;
    }
    write_raw(w, raw); /* it holds U+0000, which nobody takes as a string: as it was sent */
}

static void write_object(struct writer *w, const struct json_object *obj)
{
    writer_text(w, "{");
    for (size_t i = 0; i < obj->count; i++) {
        writer_text(w, i > 0 ? "," : "");
        write_raw(w, json_name(&obj->members[i])); /* a name is never escaped */
        writer_text(w, ":");
        if (obj->members[i].type == JSON_STRING)
            write_string(w, obj->members[i].value);
        else
            writer_span(w, obj->members[i].value);
    }
    writer_text(w, "}");
}

static void same_string(struct span a, struct span b)
{
    static char x[ROOM], y[ROOM];
    size_t x_len, y_len;
    int err = unescape(a, x, &x_len);

    HOLDS(err == unescape(b, y, &y_len));
    HOLDS(x_len == y_len && memcmp(x, y, x_len) == 0);
}

static void same_object(const struct json_object *a, const struct json_object *b)
{
    HOLDS(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        HOLDS(a->members[i].type == b->members[i].type);
        same_string(json_name(&a->members[i]), json_name(&b->members[i]));
        if (a->members[i].type == JSON_STRING)
            same_string(a->members[i].value, b->members[i].value);
        else
            HOLDS(span_eq(a->members[i].value, b->members[i].value));
    }
}

static void members_are_found(const struct json_object *obj)
{
    static char name[ROOM];
    size_t len;

    for (size_t i = 0; i < obj->count; i++) {
        /* json_find takes names that need no escape. */
        if (unescape(json_name(&obj->members[i]), name, &len) == TEDDY_OK &&
            strchr(name, '\\') == NULL)
            HOLDS(json_find(obj, name) == &obj->members[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static char again[ROOM];
    struct span text = {(const char *)data, len};
    struct json_object obj, back;
    struct writer w = writer_on(again, sizeof again);
    int err;

    if (len > ROOM / 8)
        return 0;
    err = json_parse(text, &obj);
    HOLDS(err != TEDDY_OK || memchr(data, '\0', len) == NULL);
    HOLDS(err <= TEDDY_OK && (err == TEDDY_OK || obj.count == 0));
    against_other(text, err);
    if (err != TEDDY_OK)
        return 0;
    HOLDS(json_looks_like_object(text));
    members_are_found(&obj);
    write_object(&w, &obj);
    HOLDS(!w.overflow);
    HOLDS(json_parse((struct span){again, w.len}, &back) == TEDDY_OK);
    same_object(&obj, &back);
    HOLDS(json_parse((struct span){again, w.len - 1}, &back) == TEDDY_EPROTO);
    return 0;
}
