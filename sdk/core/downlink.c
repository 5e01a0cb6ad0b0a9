/* The messages of the server's queue: each is offered to the application until it takes it, then
 * its id is saved, and only then acked. Whatever comes again is known by that id, also after a
 * restart. */
#include "core.h"
#include "proto/text.h"

/* The record: version, whose it is (device and server; ids go on when the toy gets another child),
 * epoch, n. */
#define LAST_VERSION 2
#define LAST_OWNER   1
#define LAST_ID      (LAST_OWNER + SDK_OWNER_LEN)

_Static_assert(LAST_ID + sizeof(struct downlink_id) == TEDDY_LAST_LEN, "as client_state.h says");

static void record_make(struct teddy_client *c)
{
    c->kept[0] = LAST_VERSION;
    sdk_owner(c, "", c->kept + LAST_OWNER);
    memcpy(c->kept + LAST_ID, &c->last, sizeof c->last); /* read by this machine alone */
}

static int save(struct teddy_client *c)
{
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

static int load(struct teddy_client *c)
{
    size_t len = 0;
    int rc = c->unkept ? save(c) : TEDDY_OK;
    if (rc == TEDDY_OK) {
        rc = c->port->load(c->ctx, TEDDY_RECORD_LAST, c->rx, TEDDY_RECORD_MAX, &len);
    }
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

/* Of a message with `data`, its text is the JSON that stands there. */
static bool take_data(struct teddy_client *c, struct sdk_message *m)
{
    const struct json_member *data = json_find(&m->o, "data");
    if (data == NULL) {
        return false;
    }
    bool quoted = data->type == JSON_STRING;
    m->text = data->value.p - quoted;
    m->text_len = data->value.len + 2u * quoted;
    c->rx[m->text + m->text_len - (const char *)c->rx] = '\0'; /* where a comma or a brace was */
    return true;
}

static void take(struct teddy_client *c, struct sdk_message *m)
{
    struct teddy_offer *o = &c->offer;
    if (downlink_id_parse(span_of(m->id), &o->id) != TEDDY_OK) {
        return; /* no message of ours */
    }
    if (downlink_id_compare(&o->id, &c->last) <= 0) {
        c->wanted |= SDK_FRAME_ACK; /* seen: our ack was lost */
        return;
    }
    o->message.expires_s = sdk_member_number(&m->o, "expires");
    o->message.is_data = take_data(c, m);
    o->message.text = m->text;
    o->message.text_len = m->text_len;
    c->hold = SDK_HOLD_OFFER;
    c->deadline = c->now; /* until when it is not offered */
}

/* True when the application took it. */
static bool offer(struct teddy_client *c)
{
    struct teddy_offer *o = &c->offer;
    char id[DOWNLINK_ID_TEXT];
    struct writer w = writer_on(id, sizeof id);
    downlink_id_write(&w, &o->id);
    (void)writer_end(&w);
    o->message.id = id;
    bool taken = c->on_message(c->config.user, &o->message);
    o->message.id = NULL;
    return taken;
}

static int hold(struct teddy_client *c)
{
    if (c->hold == SDK_HOLD_KEEP) {
        if (save(c) == TEDDY_AGAIN) {
            return TEDDY_AGAIN;
        }
        c->wanted |= SDK_FRAME_ACK;
        c->more = true; /* the ack leaves before the next message is offered */
        c->hold = SDK_HOLD_NONE;
        return TEDDY_AGAIN;
    }
    if (!sdk_due(c, c->deadline)) {
        return TEDDY_AGAIN;
    }
    if (!offer(c)) {
        c->deadline = c->now + TEDDY_OFFER_MS;
        return TEDDY_AGAIN;
    }
    c->last = c->offer.id;
    record_make(c);
    c->unkept = true;
    sdk_session_hold(c, SDK_HOLD_KEEP);
    return TEDDY_OK;
}

static void write_last(const struct teddy_client *c, struct writer *w, const char *before)
{
    writer_text(w, before);
    downlink_id_write(w, &c->last);
    writer_text(w, "\"");
}

void teddy_client_on_message(struct teddy_client *c,
                             bool (*on_message)(void *user, const struct teddy_message *m))
{
    static const struct sdk_queue queue = {load, save, take, hold, write_last};
    c->on_message = on_message;
    c->queue = on_message != NULL ? &queue : NULL;
}
