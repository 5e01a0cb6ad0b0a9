#include "process/sse.h"

static const struct span BOM = {"\xEF\xBB\xBF", 3};

void sse_init(struct sse *s, size_t max)
{
    *s = (struct sse){.lines = {.max = max, .lone_cr = true}, .first = true};
}

void sse_fini(struct sse *s)
{
    lines_fini(&s->lines);
    buffer_fini(&s->data);
}

static void set_type(struct sse *s, struct span value)
{
    size_t len = value.len < SSE_TYPE_MAX ? value.len : SSE_TYPE_MAX - 1;
    if (len)
        memcpy(s->type, value.p, len);
    s->type[len] = '\0';
}

static int add_data(struct sse *s, struct span value)
{
    int rc = TEDDY_OK;
    if (s->has_data)
        rc = buffer_add(&s->data, (struct span){"\n", 1}, s->lines.max);
    s->has_data = true;
    return rc == TEDDY_OK ? buffer_add(&s->data, value, s->lines.max) : rc;
}

static int take_field(struct sse *s, struct span line)
{
    const char *colon = memchr(line.p, ':', line.len);
    struct span name = {line.p, colon ? (size_t)(colon - line.p) : line.len}, value = {"", 0};
    if (colon)
        value = (struct span){colon + 1, line.len - name.len - 1};
    if (value.len > 0 && *value.p == ' ')
        value = (struct span){value.p + 1, value.len - 1};
    if (span_is(name, "data"))
        return add_data(s, value);
    if (span_is(name, "event"))
        set_type(s, value);
    return TEDDY_OK;
}

/* What was handed out is forgotten. */
static void next_event(struct sse *s)
{
    s->data.len = 0;
    s->has_data = false;
    s->type[0] = '\0';
    s->given = false;
}

int sse_next(struct sse *s, struct span *bytes, struct span *data)
{
    struct span line;
    int rc;
    if (s->given)
        next_event(s);
    while ((rc = lines_next(&s->lines, bytes, &line)) == TEDDY_OK) {
        if (s->first && line.len >= BOM.len && memcmp(line.p, BOM.p, BOM.len) == 0)
            line = (struct span){line.p + BOM.len, line.len - BOM.len};
        s->first = false;
        if (line.len > 0) {
            rc = take_field(s, line);
            if (rc != TEDDY_OK)
                return rc;
        } else if (s->has_data) {
            s->given = true;
            *data = (struct span){s->data.p ? s->data.p : "", s->data.len};
            return TEDDY_OK;
        } else {
            next_event(s); /* a type alone is no event */
        }
    }
    return rc;
}
