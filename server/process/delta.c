#include "process/delta.h"

#include "proto/json.h"
#include "proto/utf8.h"

static bool is_null(const struct json_member *m)
{
    return m == NULL || m->type == JSON_NULL;
}

/* The value, where there is one, is written just so. */
static bool is_or_none(const struct json_member *m, uint8_t type, const char *text)
{
    return m == NULL || (m->type == type && span_is(m->value, text));
}

/* Of an array that was checked with what is around it: the only item, an object. */
static bool only_item(const struct json_member *m, struct json_object *out)
{
    return m != NULL && m->type == JSON_ARRAY && m->value.len >= 2 &&
           json_parse((struct span){m->value.p + 1, m->value.len - 2}, out) == TEDDY_OK;
}

static bool read_content(const struct json_member *m, char *room, struct span *text)
{
    size_t len;

    *text = (struct span){"", 0};
    if (is_null(m))
        return true;
    if (m->type != JSON_STRING)
        return false;
    if (memchr(m->value.p, '\\', m->value.len) == NULL) {
        *text = m->value;
        return true;
    }
    if (json_unescape(m, room, DELTA_ROOM, &len) != TEDDY_OK)
        return false;
    *text = (struct span){room, len};
    return true;
}

/* Of a choice: null while it goes on. */
static bool read_end(const struct json_member *m, bool *done)
{
    *done = m != NULL && m->type == JSON_STRING &&
            (span_is(m->value, "stop") || span_is(m->value, "length"));
    return *done || is_null(m);
}

static bool read_chunk(struct span json, char *room, struct span *text, bool *done)
{
    struct json_object root, choice, delta;

    if (json_parse(json, &root) != TEDDY_OK || !is_null(json_find(&root, "error")) ||
        !is_or_none(json_find(&root, "object"), JSON_STRING, "chat.completion.chunk") ||
        !only_item(json_find(&root, "choices"), &choice))
        return false;
    const struct json_member *m = json_find(&choice, "delta");
    return is_or_none(json_find(&choice, "index"), JSON_NUMBER, "0") &&
           read_end(json_find(&choice, "finish_reason"), done) && m != NULL &&
           m->type == JSON_OBJECT && json_parse(m->value, &delta) == TEDDY_OK &&
           read_content(json_find(&delta, "content"), room, text);
}

/* Between the quotes of a string: it ends there, and nothing in it is escaped. */
static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((uint8_t)s.p[i] < 0x20 || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return utf8_ok(s.p, s.len);
}

/* With other words between its quotes an event that was read is as valid and means the same. */
static bool has_form(const struct delta_form *f, struct span json, struct span *text)
{
    size_t around = f->before + f->behind;

    if (around == 0 || json.len < around || memcmp(json.p, f->text, f->before) != 0 ||
        memcmp(json.p + json.len - f->behind, f->text + f->before, f->behind) != 0)
        return false;
    *text = (struct span){json.p + f->before, json.len - around};
    return is_plain(*text);
}

static void keep_form(struct delta_form *f, struct span json, struct span text)
{
    f->before = (size_t)(text.p - json.p);
    f->behind = json.len - f->before - text.len;
    if (f->before + f->behind > sizeof f->text) {
        f->before = f->behind = 0;
        return;
    }
    memcpy(f->text, json.p, f->before);
    memcpy(f->text + f->before, text.p + text.len, f->behind);
}

bool delta_read(struct delta_form *form, struct span json, char room[DELTA_ROOM], struct span *text,
                bool *done)
{
    *done = false;
    if (has_form(form, json, text))
        return true;
    if (!read_chunk(json, room, text, done))
        return false;
    if (!*done && text->len > 0 && text->p != room) /* it lies in json */
        keep_form(form, json, *text);
    return true;
}
