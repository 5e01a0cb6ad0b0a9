#include "admin/child.h"

#include <stdlib.h>
#include <time.h>

#include "admin/receipt.h"
#include "proto/text.h"
#include "proto/writer.h"
#include "store/erasures.h"

struct child_work *child_work_new(void)
{
    return calloc(1, sizeof(struct child_work));
}

void child_work_free(struct child_work *w)
{
    if (w != NULL)
        json_decref(w->json);
    free(w);
}

/* Listed first: once it is listed, the next start erases what this one, cut short, has not. */
static int run_forget(struct store_tx *tx, struct admin_command *c)
{
    struct child_work *w = c->child;
    int rc;

    if (w->key == NULL)
        return TEDDY_EINVAL;
    w->at_s = (uint64_t)time(NULL);
    rc = erasures_append(tx, c->id, w->at_s);
    if (rc == TEDDY_OK)
        rc = store_child_forget(tx, c->id, UINT64_MAX, &w->erased);
    store_scrub(tx);
    return rc;
}

int child_run(struct store_tx *tx, struct admin_command *c)
{
    struct child_work *w = c->child;
    int rc;

    json_decref(w->json);
    w->json = NULL;
    rc = audit_child(tx, c->id, false, w->child);
    w->has_child = rc == TEDDY_OK;
    if (rc != TEDDY_OK && rc != TEDDY_ENOTFOUND)
        return rc;
    switch (c->verb) {
    case ADMIN_FORGET:
        return run_forget(tx, c);
    case ADMIN_CHILD_REVOKE:
        return store_child_revoke(tx, c->id, &w->devices);
    default:
        return child_run_export(tx, c);
    }
}

int child_receipt(struct store_tx *tx, struct admin_command *c)
{
    struct child_work *w = c->child;
    struct audit_head last;
    int rc = audit_last(tx, &last);

    if (rc != TEDDY_OK)
        return rc;
    w->json = receipt_new(w->key, w->has_child ? w->child : NULL, &w->erased, w->at_s, last.n);
    return w->json != NULL ? TEDDY_OK : TEDDY_ENOMEM;
}

void child_detail(const struct admin_command *c, char *out, size_t cap)
{
    const struct child_work *w = c->child;
    struct writer text = writer_on(out, cap);

    if (c->verb == ADMIN_CHILD_EXPORT)
        return;
    writer_text(&text, "{");
    for (unsigned i = 0; c->verb == ADMIN_FORGET && i < CHILD_TABLES; i++) {
        writer_text(&text, i == 0 ? "\"" : ",\"");
        writer_text(&text, w->erased.table[i]);
        writer_text(&text, "\":");
        writer_u64(&text, w->erased.rows[i]);
    }
    if (c->verb == ADMIN_CHILD_REVOKE) {
        writer_text(&text, "\"devices\":");
        writer_u64(&text, w->devices);
    }
    writer_text(&text, "}");
    if (writer_end(&text) != TEDDY_OK)
        out[0] = '\0';
}

json_t *child_json(const struct admin_command *c)
{
    const struct child_work *w = c->child;

    if (c->verb == ADMIN_CHILD_REVOKE)
        return json_pack("{s:s, s:I}", "child_id", c->id, "revoked", (json_int_t)w->devices);
    return json_incref(w->json);
}
