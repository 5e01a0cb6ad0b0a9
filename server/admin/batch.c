#include "admin/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/time_json.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/writer.h"

static const char *check_row(const struct batch_row *b)
{
    size_t prefix = strlen(b->prefix);

    if (!id_ok(span_of(b->prefix)))
        return "prefix has 1 to 63 of the characters A-Z a-z 0-9 _ -.";
    if (b->digits < 1 || b->digits > 18 || prefix + b->digits > LIMIT_ID_LEN)
        return "digits is 1 to 18, and no id is longer than 64 characters.";
    if (b->first > STORE_NUMBER_MAX || b->count > STORE_NUMBER_MAX - b->first)
        return "first is too large.";
    return NULL;
}

void admin_batch_device(const struct batch_row *batch, uint64_t n, char out[LIMIT_ID_LEN + 1])
{
    size_t prefix = strlen(batch->prefix);
    uint64_t number = batch->first + n;

    out[0] = '\0';
    if (prefix > LIMIT_ID_LEN || batch->digits > LIMIT_ID_LEN - prefix)
        return;
    memcpy(out, batch->prefix, prefix);
    for (size_t at = batch->digits; at-- > 0; number /= 10)
        out[prefix + at] = (char)('0' + number % 10);
    out[prefix + batch->digits] = '\0';
}

const char *admin_command_batch(struct admin_command *c, const struct batch_row *batch)
{
    const struct import *i = c->import;
    char id[LIMIT_ID_LEN + 1];

    if (strlen(c->id) != STORE_BATCH_ID_LEN ||
        strspn(c->id, "0123456789abcdef") != STORE_BATCH_ID_LEN)
        return "id is 16 hex digits in lower case.";
    c->batch = *batch;
    memcpy(c->batch.id, c->id, sizeof c->batch.id);
    c->batch.count = i->count;
    c->batch.created_s = c->now_s;
    if (i->error_count > 0)
        return "The body is not a CSV of the batch's devices.";
    const char *wrong = check_row(&c->batch);
    for (size_t n = 0; wrong == NULL && n < i->count; n++) {
        admin_batch_device(batch, n, id);
        if (strcmp(id, i->rows[n].device_id) != 0)
            wrong = "The devices are not prefix and number, one after the other from first.";
    }
    return wrong;
}

int batch_run_add(struct store_tx *tx, struct admin_command *c)
{
    struct batch_row there;
    int rc = store_batch_get(tx, c->id, &there);

    if (rc == TEDDY_OK) {
        c->code = "batch_exists";
        return TEDDY_EDUP;
    }
    if (rc == TEDDY_ENOTFOUND)
        rc = import_run(tx, c->import, c->now_s);
    return rc == TEDDY_OK ? store_batch_add(tx, &c->batch) : rc;
}

static bool each_batch(void *arg, const struct batch_row *row)
{
    struct admin_command *c = arg;

    if (c->batch_count == ADMIN_BATCHES_MAX) {
        c->more = true;
        return false;
    }
    c->batches[c->batch_count++] = *row;
    return true;
}

static int run_one(struct store_tx *tx, struct admin_command *c)
{
    int rc = store_batch_get(tx, c->id, c->batches);

    c->batch_count = rc == TEDDY_OK ? 1 : 0;
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

int batch_run_list(struct store_tx *tx, struct admin_command *c)
{
    int rc = TEDDY_OK;

    c->batch_count = 0;
    c->more = false;
    if (c->batches == NULL)
        c->batches = calloc(ADMIN_BATCHES_MAX, sizeof *c->batches);
    if (c->batches == NULL)
        return TEDDY_ENOMEM;
    if (c->batch.prefix[0] != '\0')
        rc = store_batch_next(tx, c->batch.prefix, &c->batch_next);
    if (rc != TEDDY_OK)
        return rc;
    return c->id[0] != '\0' ? run_one(tx, c)
                            : store_batch_list(tx, c->batch.row, c->batch.prefix, each_batch, c);
}

json_t *batch_json(const struct batch_row *b)
{
    char hex[2 * sizeof b->manifest_sha256 + 1];
    struct writer w = writer_on(hex, sizeof hex);

    writer_hex(&w, b->manifest_sha256, sizeof b->manifest_sha256);
    (void)writer_end(&w);
    return json_pack("{s:s, s:s, s:I, s:i, s:I, s:o, s:s}", "id", b->id, "prefix", b->prefix,
                     "first", (json_int_t)b->first, "digits", (int)b->digits, "count",
                     (json_int_t)b->count, "created", time_or_null(b->created_s), "manifest_sha256",
                     hex);
}

json_t *batch_list_json(const struct admin_command *c)
{
    json_t *batches = json_array(), *list;
    int64_t last = c->batch_count > 0 ? c->batches[c->batch_count - 1].row : 0;

    for (unsigned i = 0; i < c->batch_count; i++)
        if (json_array_append_new(batches, batch_json(&c->batches[i])) != 0) {
            json_decref(batches);
            return NULL;
        }
    list = json_pack("{s:o, s:o}", "batches", batches, "next",
                     c->more ? json_integer(last) : json_null());
    if (c->batch.prefix[0] != '\0')
        (void)json_object_set_new(list, "next_number", json_integer((json_int_t)c->batch_next));
    return list;
}
