/* What a page shows to sign in. */
#ifndef CONSOLE_CREDENTIAL_H
#define CONSOLE_CREDENTIAL_H

#include "proto/span.h"

#define CONSOLE_CREDENTIAL_MAX 127

enum console_credential {
    CONSOLE_NO_JSON,   /* no JSON object */
    CONSOLE_NO_MEMBER, /* not exactly one of the members that there are, a string */
    CONSOLE_BY_TOKEN,  /* {"token": …} */
    CONSOLE_BY_LINK,   /* {"once": …} */
};

/* Reads the body; text is the member's, len bytes and a NUL. Wipe it. */
enum console_credential console_credential_read(struct span body,
                                                char text[CONSOLE_CREDENTIAL_MAX + 1], size_t *len);

#endif
