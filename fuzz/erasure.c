/* What tells of forgotten children. Input: 'l' and a line of the list; 'a' and where a page of an
 * export begins; 'r' and a receipt. */
#include <jansson.h>

#include "admin/child.h"
#include "admin/receipt.h"
#include "fuzz.h"
#include "proto/text.h"
#include "proto/writer.h"
#include "store/erasures.h"

/* A line that is taken is one that could have been written, but for case and zeros in front. */
static void try_line(struct span line)
{
    uint8_t mac[SEAL_MAC_LEN], again[SEAL_MAC_LEN];
    uint64_t at_s, again_s;
    char out[96];
    struct writer w = writer_on(out, sizeof out);

    if (!erasures_line(line, mac, &at_s))
        return;
    HOLDS(line.len >= 3 + 2 * SEAL_MAC_LEN + 2);
    writer_text(&w, "v1 ");
    writer_hex(&w, mac, sizeof mac);
    writer_text(&w, " ");
    writer_u64(&w, at_s);
    HOLDS(writer_end(&w) == TEDDY_OK);
    HOLDS(erasures_line((struct span){out, w.len}, again, &again_s));
    HOLDS(at_s == again_s && memcmp(mac, again, sizeof mac) == 0);
}

/* What is signed has as many lines as it should have, whatever stands in the receipt. */
static void try_receipt(const char *text, size_t len)
{
    json_t *receipt = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    char out[RECEIPT_TEXT_MAX];
    size_t n = receipt != NULL ? receipt_text(receipt, out) : 0, lines = 0;

    HOLDS(n < sizeof out);
    for (size_t i = 0; i < n; i++)
        lines += out[i] == '\n';
    HOLDS(n == 0 || lines == 5 + json_object_size(json_object_get(receipt, "erased")));
    json_decref(receipt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    char *text = (char *)heap_copy(data + 1, len - 1);
    if (data[0] == 'l')
        try_line((struct span){text, len - 1});
    else if (data[0] == 'r')
        try_receipt(text, len - 1);
    free(text);
    if (data[0] == 'a' && len - 1 <= LIMIT_ID_LEN && memchr(data, 0, len) == NULL) {
        char after[LIMIT_ID_LEN + 1] = "";
        memcpy(after, data + 1, len - 1);
        if (child_after_ok(after) && after[0] != '\0')
            HOLDS(strchr("bmthe", after[0]) != NULL && after[1] == '-');
    }
    return 0;
}
