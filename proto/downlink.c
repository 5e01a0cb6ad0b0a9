#include "proto/downlink.h"

#include "proto/text.h"

static bool parse_part(struct span text, uint32_t *out)
{
    return u32_parse(text, out) == TEDDY_OK && *out <= DOWNLINK_PART_MAX &&
           (text.len == 1 || text.p[0] != '0');
}

int downlink_id_parse(struct span text, struct downlink_id *out)
{
    struct downlink_id id;
    size_t dot = 0;

    *out = (struct downlink_id){0, 0};
    while (dot < text.len && text.p[dot] != '.')
        dot++;
    if (dot == text.len)
        return TEDDY_EPROTO;
    if (!parse_part((struct span){text.p, dot}, &id.epoch) ||
        !parse_part((struct span){text.p + dot + 1, text.len - dot - 1}, &id.n))
        return TEDDY_EPROTO;
    *out = id;
    return TEDDY_OK;
}

void downlink_id_write(struct writer *w, const struct downlink_id *id)
{
    writer_u64(w, id->epoch);
    writer_bytes(w, ".", 1);
    writer_u64(w, id->n);
}

int downlink_id_compare(const struct downlink_id *a, const struct downlink_id *b)
{
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    return a->n == b->n ? 0 : a->n < b->n ? -1 : 1;
}
