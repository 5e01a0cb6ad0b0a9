#include "admin/audit_answer.h"

#include "proto/utc.h"
#include "proto/writer.h"

json_t *audit_hex_json(const uint8_t *data, size_t len)
{
    char text[2 * AUDIT_SIGNATURE_LEN + 1];
    struct writer w = writer_on(text, sizeof text);

    writer_hex(&w, data, len);
    return writer_end(&w) == TEDDY_OK ? json_string(text) : NULL;
}

static json_t *text_json(struct span s)
{
    return json_stringn(s.p != NULL ? s.p : "", s.len);
}

json_t *audit_row_json(const struct audit_row *row)
{
    if (row->damaged)
        return NULL;
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)row->n, "at_ms",
                     (json_int_t)row->at_ms, "event", text_json(row->event), "device_id",
                     text_json(row->device_id), "child",
                     row->child != NULL ? audit_hex_json(row->child, AUDIT_CHILD_LEN)
                                        : json_string(""),
                     "actor", text_json(row->actor), "detail", text_json(row->detail), "hash",
                     audit_hex_json(row->hash, AUDIT_HASH_LEN));
}

json_t *audit_head_json(const struct audit_head *head, const struct audit_key *key)
{
    uint8_t raw[AUDIT_PUBLIC_LEN];
    char when[UTC_TEXT];

    if (audit_key_public(key, raw) != TEDDY_OK)
        return NULL;
    (void)utc_text(head->at_ms / 1000, when);
    return json_pack("{s:I, s:I, s:s, s:o, s:o, s:o}", "n", (json_int_t)head->n, "at_ms",
                     (json_int_t)head->at_ms, "at", when, "hash",
                     audit_hex_json(head->hash, AUDIT_HASH_LEN), "signature",
                     audit_hex_json(head->signature, AUDIT_SIGNATURE_LEN), "key",
                     audit_hex_json(raw, sizeof raw));
}

json_t *audit_verdict_json(const struct audit_verifier *v)
{
    if (v->fault[0] != '\0')
        return json_pack("{s:b, s:I, s:s}", "whole", 0, "event", (json_int_t)v->fault_n, "fault",
                         v->fault);
    return json_pack("{s:b, s:I, s:I, s:I, s:I}", "whole", 1, "events", (json_int_t)v->events,
                     "last", (json_int_t)v->n, "heads", (json_int_t)v->heads_good, "unsigned",
                     (json_int_t)v->unsigned_events);
}
