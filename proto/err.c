#include "teddy/err.h"

const char *teddy_err_text(int err)
{
    switch (err) {
#define ERR_CASE(name, value, text)                                                                \
    case value:                                                                                    \
        return text;
        TEDDY_ERR_MAP(ERR_CASE)
#undef ERR_CASE
    default:
        return "unknown error";
    }
}
