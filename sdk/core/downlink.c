/* The messages of the server's queue: each is offered to the application until it takes it, then
 * its id is saved, and only then acked. Whatever comes again is known by that id, also after a
 * restart. */
#include "core.h"
#include "proto/text.h"

/* The record: version, whose it is (device and server; ids go on when the toy gets another child),
 * epoch, n. */
#define LAST_VERSION 1
#define LAST_OWNER   1
#define LAST_ID      (LAST_OWNER + 8)

_Static_assert(LAST_ID + sizeof(struct downlink_id) == TEDDY_LAST_LEN, "as client_state.h says");

static void record_make(struct teddy_client *c)
{
    c->kept[0] = LAST_VERSION;
    sdk_owner(c, NULL, c->kept + LAST_OWNER);
    memcpy(c->kept + LAST_ID, &c->last, sizeof c->last); /* read by this machine alone */
}

int sdk_last_load(struct teddy_client *c)
{
    size_t len = 0;
    int rc = c->port->load(c->ctx, TEDDY_RECORD_LAST, c->rx, TEDDY_RECORD_MAX, &len);
    if (rc == TEDDY_AGAIN) {
        return rc;
    }
    record_make(c); /* of what is known already */
    if (rc == TEDDY_OK && len == TEDDY_LAST_LEN && memcmp(c->rx, c->kept, LAST_ID) == 0) {
        struct downlink_id kept;
        memcpy(&kept, c->rx + LAST_ID, sizeof kept);
        if (downlink_id_compare(&kept, &c->last) > 0 && kept.epoch <= DOWNLINK_PART_MAX &&
            kept.n <= DOWNLINK_PART_MAX) {
            c->last = kept;
        }
    } else if (rc != TEDDY_ENOTFOUND) {
        sdk_log(c, TEDDY_LOG_WARN, "the last message's id cannot be read");
    }
    return TEDDY_OK;
}

int sdk_last_save(struct teddy_client *c)
{
    if (!c->unkept) {
        return TEDDY_OK;
    }
    int rc = sdk_save(c, TEDDY_RECORD_LAST, c->kept, sizeof c->kept);
    if (rc == TEDDY_AGAIN) {
        return rc;
    }
    c->unkept = false;
    if (rc != TEDDY_OK) {
        sdk_log(c, TEDDY_LOG_ERROR, "the last message's id could not be saved");
    }
    return TEDDY_OK;
}

void sdk_last_forget(struct teddy_client *c)
{
    c->last = (struct downlink_id){0, 0};
    c->unkept = false;
}

void sdk_downlink_take(struct teddy_client *c, const struct sdk_message *m)
{
    struct teddy_offer *o = &c->offer;
    if (downlink_id_parse(span_of(m->id), &o->id) != TEDDY_OK) {
        return; /* no message of ours */
    }
    if (downlink_id_compare(&o->id, &c->last) <= 0) {
        c->wanted |= SDK_FRAME_ACK; /* seen: our ack was lost */
        return;
    }
    o->message.text = m->text;
    o->message.text_len = m->text_len;
    o->message.is_data = m->is_data;
    o->message.expires_s = sdk_member_number(&m->o, "expires");
    o->again_at = c->now;
    c->hold = SDK_HOLD_OFFER;
}

int sdk_downlink_offer(struct teddy_client *c)
{
    struct teddy_offer *o = &c->offer;
    char id[DOWNLINK_ID_TEXT];
    if (!sdk_due(c, o->again_at)) {
        return TEDDY_AGAIN;
    }
    struct writer w = writer_on(id, sizeof id);
    downlink_id_write(&w, &o->id);
    (void)writer_end(&w);
    o->message.id = id;
    bool taken = c->config.on_message == NULL || c->config.on_message(c->config.user, &o->message);
    o->message.id = NULL;
    if (!taken) {
        o->again_at = c->now + TEDDY_OFFER_MS;
        return TEDDY_AGAIN;
    }
    c->last = o->id;
    record_make(c);
    c->unkept = true;
    return TEDDY_OK;
}
