#include "json_other.h"

#include <jansson.h>

enum json_other json_other(struct span text)
{
    json_error_t error;
    json_t *root = json_loadb(text.p, text.len, JSON_ALLOW_NUL, &error);
    enum json_other verdict = OTHER_VALUE;

    /* jansson loses a NUL that it has to look at twice, as behind a number. */
    if (text.len > 0 && memchr(text.p, '\0', text.len) != NULL) {
        json_decref(root);
        return OTHER_CANNOT;
    }
    if (root == NULL) {
        enum json_error_code code = json_error_code(&error);
        bool cannot = code == json_error_numeric_overflow || code == json_error_null_byte_in_key;

        return cannot ? OTHER_CANNOT : OTHER_REFUSED;
    }
    if (json_is_object(root))
        verdict = OTHER_OBJECT;
    json_decref(root);
    return verdict;
}
