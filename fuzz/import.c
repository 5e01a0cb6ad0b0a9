/* A CSV of devices. Input: one byte that chooses whether ids must begin with "t", then the text. */
#include "admin/import.h"

#include <stdlib.h>

#include "fuzz.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/writer.h"

#define LINE_MAX_LEN (LIMIT_ID_LEN + 2 * LIMIT_SECRET_LEN + 2)

static void check_rows(const struct import *i, const char *prefix)
{
    for (size_t n = 0; n < i->count; n++) {
        HOLDS(id_ok(span_of(i->rows[n].device_id)));
        HOLDS(strncmp(i->rows[n].device_id, prefix, strlen(prefix)) == 0);
        HOLDS(n == 0 || i->rows[n].line > i->rows[n - 1].line);
    }
    for (size_t n = 0; n < i->error_count && n < IMPORT_ERRORS_MAX; n++)
        HOLDS(i->errors[n].what != NULL &&
              (i->errors[n].other == 0 || i->errors[n].other < i->errors[n].line));
}

/* The rows written plainly are the same rows. */
static void check_again(const struct import *i, const char *prefix)
{
    size_t cap = i->count * LINE_MAX_LEN + 1;
    char *text = malloc(cap);
    struct writer w = writer_on(text, cap);

    HOLDS(text != NULL);
    for (size_t n = 0; n < i->count; n++) {
        writer_text(&w, i->rows[n].device_id);
        writer_text(&w, ",");
        writer_hex(&w, i->rows[n].secret, LIMIT_SECRET_LEN);
        writer_text(&w, "\n");
    }
    HOLDS(writer_end(&w) == TEDDY_OK);
    struct import *again = import_parse((struct span){text, w.len}, prefix);
    HOLDS(again != NULL && again->count == i->count && again->error_count == 0);
    for (size_t n = 0; n < i->count; n++) {
        HOLDS(strcmp(again->rows[n].device_id, i->rows[n].device_id) == 0);
        HOLDS(memcmp(again->rows[n].secret, i->rows[n].secret, LIMIT_SECRET_LEN) == 0);
    }
    import_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *prefix = size > 0 && data[0] % 2 != 0 ? "t" : "";
    struct span csv = {(const char *)data + (size > 0), size - (size > 0)};
    struct import *i = import_parse(csv, prefix);

    HOLDS(i != NULL && i->parse_errors == i->error_count);
    HOLDS(i->count > 0 || i->error_count > 0);
    check_rows(i, prefix);
    if (i->error_count == 0)
        check_again(i, prefix);
    import_free(i);
    return 0;
}
