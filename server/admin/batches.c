/* The handlers of batches. */
#include <stdio.h>

#include "admin/internal.h"
#include "proto/text.h"

/* A number of the query, 0 when it is not given; false: the request has been answered (422). */
static bool query_number(struct http_request *req, const char *name, uint64_t max, uint64_t *out)
{
    char text[24], detail[96];
    size_t len = 0;
    int rc = http_query(req, name, text, sizeof text, &len);

    *out = 0;
    if (rc == TEDDY_ENOTFOUND)
        return true;
    if (rc == TEDDY_OK && u64_parse((struct span){text, len}, out) == TEDDY_OK && *out <= max)
        return true;
    (void)snprintf(detail, sizeof detail, "%s is a whole number up to %llu, given once.", name,
                   (unsigned long long)max);
    http_problem(req, 422, "bad_query", detail);
    return false;
}

static bool query_sha256(struct http_request *req, uint8_t out[32])
{
    char text[72];
    size_t len = 0;

    if (http_query(req, "manifest_sha256", text, sizeof text, &len) == TEDDY_OK &&
        hex_decode((struct span){text, len}, out, 32) == TEDDY_OK)
        return true;
    http_problem(req, 422, "bad_query", "manifest_sha256 is 64 hex digits, given once.");
    return false;
}

void admin_batch_add(struct http_request *req)
{
    struct batch_row batch = {0};
    char id[LIMIT_ID_LEN + 1];
    uint64_t digits = 0;
    struct admin_command *c;
    const char *wrong;

    if (!admin_gate(req) || !admin_query_id(req, "id", id) ||
        !admin_query_id(req, "prefix", batch.prefix) ||
        !query_number(req, "first", STORE_NUMBER_MAX, &batch.first) ||
        !query_number(req, "digits", 18, &digits) || !query_sha256(req, batch.manifest_sha256))
        return;
    batch.digits = (unsigned)digits;
    c = admin_command_new(ADMIN_BATCH_ADD, id, req->body);
    wrong = c != NULL ? admin_command_batch(c, &batch) : NULL;
    if (wrong == NULL) {
        admin_submit(req, c);
        return;
    }
    admin_command_free(c);
    http_problem(req, 422, "bad_batch", wrong);
}

void admin_batch_list(struct http_request *req)
{
    char id[LIMIT_ID_LEN + 1], prefix[LIMIT_ID_LEN + 1];
    struct admin_command *c;
    uint64_t after;

    if (!admin_gate(req) || !admin_query_id(req, "id", id) ||
        !admin_query_id(req, "prefix", prefix) || !query_number(req, "after", INT64_MAX, &after))
        return;
    c = admin_command_new(ADMIN_BATCH_LIST, id, (struct span){"", 0});
    if (c != NULL) {
        (void)snprintf(c->batch.prefix, sizeof c->batch.prefix, "%s", prefix);
        c->batch.row = (int64_t)after;
    }
    admin_submit(req, c);
}
