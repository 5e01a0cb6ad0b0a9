#include "admin/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/batch.h"
#include "admin/time_json.h"
#include "proto/text.h"
#include "proto/writer.h"

#define TABLES_MAX 32

static json_t *hex_json(const uint8_t *data, size_t len)
{
    char text[2 * AUDIT_SIGNATURE_LEN + 1];
    struct writer w = writer_on(text, sizeof text);

    writer_hex(&w, data, len);
    return writer_end(&w) == TEDDY_OK ? json_string(text) : NULL;
}

/* Of a receipt no text may hold a line of another. */
static bool plain(const char *text)
{
    return text != NULL && text[0] != '\0' && strpbrk(text, "\n=") == NULL;
}

static void line(struct writer *w, const char *name, const char *value)
{
    writer_text(w, name);
    writer_text(w, "=");
    writer_text(w, value);
    writer_text(w, "\n");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool whole(const json_t *number)
{
    return json_is_integer(number) && json_integer_value(number) >= 0;
}

static bool tables(struct writer *w, const json_t *erased)
{
    const char *names[TABLES_MAX], *name;
    size_t count = 0;
    json_t *rows;

    if (!json_is_object(erased))
        return false;
    json_object_foreach((json_t *)(uintptr_t)erased, name, rows)
    {
        if (count == TABLES_MAX || !plain(name) || !whole(rows))
            return false;
        names[count++] = name;
    }
    qsort(names, count, sizeof names[0], by_name);
    for (size_t i = 0; i < count; i++) {
        writer_text(w, "erased.");
        writer_text(w, names[i]);
        writer_text(w, "=");
        writer_u64(w, (uint64_t)json_integer_value(json_object_get(erased, names[i])));
        writer_text(w, "\n");
    }
    return true;
}

size_t receipt_text(const json_t *receipt, char out[RECEIPT_TEXT_MAX])
{
    const json_t *child = json_object_get(receipt, "child");
    const json_t *event = json_object_get(receipt, "event");
    const char *at = json_string_value(json_object_get(receipt, "at"));
    const char *version = json_string_value(json_object_get(receipt, "version"));
    const char *name = json_is_null(child) ? "-" : json_string_value(child);
    struct writer w = writer_on(out, RECEIPT_TEXT_MAX);

    if (json_integer_value(json_object_get(receipt, "teddy_receipt")) != 1 || !plain(name) ||
        !plain(at) || !plain(version) || !whole(event))
        return 0;
    writer_text(&w, "teddy erasure receipt\n");
    line(&w, "child", name);
    line(&w, "at", at);
    line(&w, "version", version);
    writer_text(&w, "event=");
    writer_u64(&w, (uint64_t)json_integer_value(event));
    writer_text(&w, "\n");
    if (!tables(&w, json_object_get(receipt, "erased")))
        return 0;
    size_t len = w.len;
    return writer_end(&w) == TEDDY_OK ? len : 0;
}

static json_t *erased_json(const struct child_erased *erased)
{
    json_t *json = json_object();

    for (unsigned i = 0; i < CHILD_TABLES; i++)
        (void)json_object_set_new(json, erased->table[i],
                                  json_integer((json_int_t)erased->rows[i]));
    return json;
}

json_t *receipt_new(const struct audit_key *key, const uint8_t child[AUDIT_CHILD_LEN],
                    const struct child_erased *erased, uint64_t at_s, int64_t event)
{
    uint8_t raw[AUDIT_PUBLIC_LEN], signature[AUDIT_SIGNATURE_LEN];
    char text[RECEIPT_TEXT_MAX];
    json_t *json = NULL;
    size_t len;

    if (key == NULL || audit_key_public(key, raw) != TEDDY_OK)
        return NULL;
    json = json_pack("{s:i, s:o, s:o, s:o, s:s, s:I, s:o}", "teddy_receipt", 1, "child",
                     child != NULL ? hex_json(child, AUDIT_CHILD_LEN) : json_null(), "erased",
                     erased_json(erased), "at", time_or_null(at_s), "version", TEDDY_VERSION,
                     "event", (json_int_t)event, "key", hex_json(raw, sizeof raw));
    len = json != NULL ? receipt_text(json, text) : 0;
    if (len > 0 && audit_key_sign_text(key, text, len, signature) == TEDDY_OK &&
        json_object_set_new(json, "signature", hex_json(signature, sizeof signature)) == 0)
        return json;
    json_decref(json);
    return NULL;
}

static bool hex_member(const json_t *json, const char *name, uint8_t *out, size_t len)
{
    const char *hex = json_string_value(json_object_get(json, name));

    return hex != NULL && hex_decode(span_of(hex), out, len) == TEDDY_OK;
}

/* Another member is not signed, and who reads the receipt could take it for so; as little is a "-"
 * that stands for null. */
static bool own_members(const json_t *receipt)
{
    static const char names[] = " teddy_receipt child erased at version event key signature ";
    const char *child = json_string_value(json_object_get(receipt, "child")), *name;
    char with_spaces[24];
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)receipt, name, value)
    {
        int len = snprintf(with_spaces, sizeof with_spaces, " %s ", name);
        if (len < 3 || (size_t)len >= sizeof with_spaces || strchr(name, ' ') != NULL ||
            strstr(names, with_spaces) == NULL)
            return false;
    }
    return child == NULL || strcmp(child, "-") != 0;
}

const char *receipt_fault(const json_t *receipt, const struct audit_key *key)
{
    uint8_t raw[AUDIT_PUBLIC_LEN], own[AUDIT_PUBLIC_LEN], signature[AUDIT_SIGNATURE_LEN];
    char text[RECEIPT_TEXT_MAX];
    size_t len = receipt_text(receipt, text);

    if (len == 0 || !own_members(receipt) || !hex_member(receipt, "key", raw, sizeof raw) ||
        !hex_member(receipt, "signature", signature, sizeof signature))
        return "it is no receipt of a forgotten child";
    if (audit_key_public(key, own) != TEDDY_OK || memcmp(raw, own, sizeof own) != 0)
        return "it was signed with another key";
    if (!audit_key_verifies_text(key, text, len, signature))
        return "it is not as it was signed";
    return NULL;
}
