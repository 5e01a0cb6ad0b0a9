/* What a browser shows to the console: the Cookie field, and the body that signs in. Input: the
 * bytes of one or the other. */
#include "console/credential.h"
#include "fuzz.h"
#include "http/http.h"
#include "proto/text.h"

static void check_cookie(const uint8_t *data, size_t len)
{
    static const char before[] = "GET / HTTP/1.1\r\nHost: h\r\nCookie: ";
    size_t all = sizeof before - 1 + len + 4, used;
    char *text = malloc(all);
    struct http_head head;
    struct span value = {NULL, 0};

    HOLDS(text != NULL);
    memcpy(text, before, sizeof before - 1);
    if (len > 0)
        memcpy(text + sizeof before - 1, data, len);
    memcpy(text + all - 4, "\r\n\r\n", 4);
    if (http1_request(text, all, 8192, &head, &used) == TEDDY_OK &&
        http_cookie(&head, "id", &value) == TEDDY_OK) {
        HOLDS(value.p >= text && value.p + value.len <= text + used);
        HOLDS(memchr(value.p, ';', value.len) == NULL);
        HOLDS(memcmp(value.p - 3, "id=", 3) == 0);
    }
    free(text);
}

static void check_credential(const uint8_t *data, size_t len)
{
    char text[CONSOLE_CREDENTIAL_MAX + 1];
    char *body = (char *)heap_copy(data, len);
    size_t n = 999;
    enum console_credential is = console_credential_read((struct span){body, len}, text, &n);

    HOLDS(n <= CONSOLE_CREDENTIAL_MAX && strlen(text) == n);
    HOLDS(is == CONSOLE_BY_TOKEN || is == CONSOLE_BY_LINK || n == 0);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 8192)
        return 0;
    check_cookie(data, len);
    check_credential(data, len);
    return 0;
}
