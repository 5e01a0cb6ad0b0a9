/* What jansson says about a text, for comparison. */
#ifndef FUZZ_JSON_OTHER_H
#define FUZZ_JSON_OTHER_H

#include "proto/span.h"

enum json_other {
    OTHER_OBJECT,
    OTHER_VALUE, /* JSON, but no object */
    OTHER_REFUSED,
    OTHER_CANNOT, /* a number that fits no C type, or U+0000 in a name: JSON that it does not read
                   */
};

enum json_other json_other(struct span text);

#endif
