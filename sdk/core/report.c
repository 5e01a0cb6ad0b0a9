/* Reports: what the toy tells of itself, through the same outbox. */
#include "core.h"

/* One flat object without `type`. A function of its own, for the stack's sake. */
static __attribute__((noinline)) int report_check(const char *json, size_t len)
{
    struct json_object o;
    if (json_parse((struct span){json, len}, &o) != TEDDY_OK || o.count == 0 || json[0] != '{') {
        return TEDDY_EPROTO;
    }
    return json_find(&o, "type") == NULL ? TEDDY_OK : TEDDY_EPROTO;
}

static void remove_report(struct teddy_client *c)
{
    struct sdk_entry entry;
    size_t at = sdk_waiting_from(c), next = at;
    while (!c->outbox.dropping && sdk_outbox_next(&c->outbox, &next, &entry)) {
        if (entry.kind == SDK_REPORT) {
            sdk_outbox_remove(&c->outbox, at);
            return;
        }
        at = next;
    }
}

int teddy_client_report(struct teddy_client *c, const char *json, size_t len)
{
    if (len > TEDDY_REPORT_MAX) {
        return TEDDY_ETOOBIG;
    }
    int rc = report_check(json, len);
    if (rc != TEDDY_OK) {
        return rc;
    }
    remove_report(c);
    struct sdk_entry entry = {.len = (uint32_t)len, .kind = SDK_REPORT};
    return sdk_push(c, json, &entry, TEDDY_DROP_NEWEST);
}
