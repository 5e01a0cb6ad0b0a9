#include "process/delta.h"

#include "proto/json.h"

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

bool delta_read(struct span json, char room[DELTA_ROOM], struct span *text)
{
    struct json_object root, choice, delta;

    if (json_parse(json, &root) != TEDDY_OK || !is_null(json_find(&root, "error")) ||
        !is_or_none(json_find(&root, "object"), JSON_STRING, "chat.completion.chunk") ||
        !only_item(json_find(&root, "choices"), &choice))
        return false;
    const struct json_member *m = json_find(&choice, "delta");
    return is_or_none(json_find(&choice, "index"), JSON_NUMBER, "0") &&
           is_null(json_find(&choice, "finish_reason")) && m != NULL && m->type == JSON_OBJECT &&
           json_parse(m->value, &delta) == TEDDY_OK &&
           read_content(json_find(&delta, "content"), room, text);
}
