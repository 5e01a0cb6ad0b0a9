/* A message to a toy as an administrator writes it: read by the reader that toys have, so that what
 * passes here is read there. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/command.h"
#include "admin/reason.h"
#include "proto/json.h"
#include "proto/text.h"

static bool members_known(const struct json_object *o, struct reason r)
{
    bool text = json_find(o, "text") != NULL, data = json_find(o, "data") != NULL;
    bool expires_in = json_find(o, "expires_in") != NULL;

    if (o->count != (size_t)text + (size_t)data + (size_t)expires_in)
        return refuse(r, "Members are text or data and, optionally, expires_in.");
    if (text == data)
        return refuse(r, "Exactly one of text and data is to be given.");
    return true;
}

/* The words or the object as it was written, into c->body, followed by a NUL. */
static bool read_body(struct admin_command *c, const struct json_object *o, uint32_t max,
                      struct reason r)
{
    const struct json_member *data = json_find(o, "data");
    size_t len = 0;

    c->body = calloc(1, (size_t)max + 1);
    if (c->body == NULL)
        return refuse(r, "Out of memory.");
    if (data == NULL) {
        if (json_string(o, "text", c->body, (size_t)max + 1, &len) != TEDDY_OK || len == 0)
            return refuse(r, "text is a string of 1 to %u bytes, without NUL.", (unsigned)max);
    } else {
        if (data->type != JSON_OBJECT || data->value.len > max)
            return refuse(r, "data is a JSON object of at most %u bytes.", (unsigned)max);
        len = data->value.len;
        memcpy(c->body, data->value.p, len);
    }
    c->downlink.data = data != NULL;
    c->downlink.body = (struct span){c->body, len};
    return true;
}

static bool read_expiry(struct admin_command *c, const struct json_object *o, uint32_t expiry_s,
                        struct reason r)
{
    uint64_t s = expiry_s;

    if (json_find(o, "expires_in") != NULL &&
        (json_u64(o, "expires_in", &s) != TEDDY_OK || s < 1 || s > ADMIN_EXPIRES_MAX))
        return refuse(r, "expires_in is a whole number of seconds, 1 to %u.", ADMIN_EXPIRES_MAX);
    c->downlink.queued_s = c->now_s;
    c->downlink.expires_s = c->now_s + s;
    return true;
}

bool admin_command_message(struct admin_command *c, struct span json,
                           const struct admin_downlinks *bounds, bool *bad_json, char *why,
                           size_t cap)
{
    struct reason r = {why, cap};
    struct json_object o;
    int rc = json_parse(json, &o);

    *bad_json = rc != TEDDY_OK;
    if (rc == TEDDY_ETOOBIG)
        return refuse(r, "The body has too many members, or is nested deeper than a toy reads.");
    if (rc != TEDDY_OK)
        return refuse(r, "The body is a JSON object without duplicate members.");
    c->queue_max = bounds->queue_max;
    return members_known(&o, r) && read_body(c, &o, bounds->max, r) &&
           read_expiry(c, &o, bounds->expiry_s, r);
}
