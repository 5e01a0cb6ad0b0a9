#include "console/credential.h"

#include "proto/json.h"

enum console_credential console_credential_read(struct span body,
                                                char text[CONSOLE_CREDENTIAL_MAX + 1], size_t *len)
{
    const size_t cap = CONSOLE_CREDENTIAL_MAX + 1;
    struct json_object o;

    text[0] = '\0';
    *len = 0;
    if (json_parse(body, &o) != TEDDY_OK)
        return CONSOLE_NO_JSON;
    if (o.count != 1)
        return CONSOLE_NO_MEMBER;
    if (json_string(&o, "token", text, cap, len) == TEDDY_OK)
        return CONSOLE_BY_TOKEN;
    if (json_string(&o, "once", text, cap, len) == TEDDY_OK)
        return CONSOLE_BY_LINK;
    return CONSOLE_NO_MEMBER;
}
