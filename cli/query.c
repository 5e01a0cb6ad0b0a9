/* The query of a request, of what was given on the command line. */
#include <stdio.h>
#include <string.h>

#include "cli/ctl.h"
#include "proto/writer.h"

/* As RFC 3986 has it: what is not unreserved is written as %XX. */
static void write_escaped(struct writer *w, char c)
{
    char text[4] = {c};

    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
        (c == '\0' || strchr("-._~", c) == NULL))
        (void)snprintf(text, sizeof text, "%%%02X", (unsigned)(unsigned char)c);
    writer_text(w, text);
}

static void query(struct writer *w, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    writer_text(w, memchr(w->buf, '?', w->len) == NULL ? "?" : "&");
    writer_text(w, name);
    writer_text(w, "=");
    for (; *value != '\0'; value++)
        write_escaped(w, *value);
}

static void query_number(struct writer *w, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    query(w, name, text);
}

static void write_batch_query(struct writer *w, const struct ctl_call *call)
{
    const struct batch_row *b = call->batch;
    char hex[2 * sizeof b->manifest_sha256 + 1];
    struct writer digest = writer_on(hex, sizeof hex);

    query(w, "id", b->id);
    query(w, "prefix", b->prefix);
    if (call->verb == ADMIN_BATCH_LIST) {
        query_number(w, "after", (uint64_t)b->row);
        return;
    }
    writer_hex(&digest, b->manifest_sha256, sizeof b->manifest_sha256);
    (void)writer_end(&digest);
    query_number(w, "first", b->first);
    query_number(w, "digits", b->digits);
    query(w, "manifest_sha256", hex);
}

/* What devices are asked for: devices.c. */
static void write_fleet_query(struct writer *w, const struct ctl_fleet *f)
{
    query(w, "q", f->q);
    query(w, "part", f->part);
    query(w, "state", f->state);
    query(w, "online", f->online ? "true" : f->offline ? "false" : "");
    query(w, "from", f->from);
    query(w, "to", f->to);
    query(w, "limit", f->limit);
}

void link_query(const struct ctl_call *call, char *path, size_t cap)
{
    struct writer w = writer_on(path, cap);

    w.len = strlen(path);
    if (call->verb == ADMIN_LIST)
        query(&w, "after", call->id);
    if (call->verb == ADMIN_IMPORT)
        query(&w, "prefix", call->id);
    if (call->after != NULL)
        query(&w, "after", call->after);
    if (call->device != NULL)
        query(&w, "device_id", call->device);
    if (call->days != NULL)
        query(&w, "days", call->days);
    if (call->batch != NULL)
        write_batch_query(&w, call);
    if (call->fleet != NULL)
        write_fleet_query(&w, call->fleet);
    (void)writer_end(&w);
}
