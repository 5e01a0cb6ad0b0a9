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
    return TEDDY_OK;
}

static bool record_ok(const struct teddy_client *c)
{
    struct downlink_id kept;
    memcpy(&kept, c->rx + LAST_ID, sizeof kept);
    return c->record_len == TEDDY_LAST_LEN && memcmp(c->rx, c->kept, LAST_ID) == 0 &&
           kept.epoch <= DOWNLINK_PART_MAX && kept.n <= DOWNLINK_PART_MAX;
}

static int load(struct teddy_client *c)
{
    if (c->unkept) {
        return save(c);
    }
    if (c->last.epoch != 0) {
        return TEDDY_OK; /* known already */
    }
    record_make(c);
    int rc = sdk_load(c, TEDDY_RECORD_LAST, record_ok);
    if (rc == TEDDY_OK) {
        memcpy(&c->last, c->rx + LAST_ID, sizeof c->last);
    }
    return rc == TEDDY_AGAIN ? rc : TEDDY_OK;
}

/* Of a message with `data`, its text is the JSON that stands there. */
static bool take_data(struct teddy_client *c, const struct json_object *o)
{
    const struct json_member *data = json_find(o, "data");
    struct teddy_message *m = &c->offer.message;
    if (data == NULL) {
        return false;
    }
    bool quoted = data->type == JSON_STRING;
    m->text = data->value.p - quoted;
    m->text_len = data->value.len + 2u * quoted;
    c->rx[m->text + m->text_len - (const char *)c->rx] = '\0'; /* where a comma or a brace was */
    return true;
}

static void take(struct teddy_client *c, const struct json_object *o)
{
    struct teddy_message *m = &c->offer.message;
    struct downlink_id *id = &c->offer.id;
    if (c->on_message == NULL || downlink_id_parse(span_of(c->event.id), id) != TEDDY_OK) {
        return; /* nobody takes it, or it is no message of ours */
    }
    if (downlink_id_compare(id, &c->last) <= 0) {
        c->wanted |= SDK_FRAME_ACK; /* seen: our ack was lost */
        return;
    }
    m->id = c->event.id;
    m->text = c->event.text;
    m->text_len = c->event.text_len;
    m->is_data = take_data(c, o);
    m->expires_s = sdk_member_number(o, "expires");
    c->hold = SDK_HOLD_OFFER;
    c->deadline = c->now; /* until when it is not offered */
}

static void write_id(struct writer *w, const char *form, const struct downlink_id *id)
{
    char text[DOWNLINK_ID_TEXT];
    struct writer on_text = writer_on(text, sizeof text);
    downlink_id_write(&on_text, id);
    (void)writer_end(&on_text);
    sdk_write(w, form, (const char *[]){text});
}

/* False: not now. */
static bool offer(struct teddy_client *c)
{
    if (!sdk_due(c, c->deadline)) {
        return false;
    }
    if (!c->on_message(c->config.user, &c->offer.message)) {
        c->deadline = c->now + TEDDY_OFFER_MS;
        return false;
    }
    c->last = c->offer.id;
    record_make(c);
    c->unkept = true;
    sdk_session_hold(c, SDK_HOLD_KEEP);
    return true;
}

/* What was taken is saved at once: no step ends between the two but for the port. */
static int hold(struct teddy_client *c)
{
    if ((c->hold == SDK_HOLD_KEEP || offer(c)) && save(c) != TEDDY_AGAIN) {
        c->wanted |= SDK_FRAME_ACK;
        c->more = true; /* the ack leaves before the next message is offered */
        c->hold = SDK_HOLD_NONE;
    }
    return TEDDY_AGAIN;
}

void teddy_client_on_message(struct teddy_client *c,
                             bool (*on_message)(void *user, const struct teddy_message *m))
{
    static const struct sdk_queue queue = {load, save, take, hold, write_id};
    c->on_message = on_message;
    if (on_message != NULL) { /* for good: what was taken is still to be kept and acked */
        c->queue = &queue;
    }
}
