#include "core.h"
#include "proto/text.h"

/* The characters of a name, or of an IPv6 literal within its brackets, keep it apart from the rest:
 * what it stands for is for the port to say. */
int sdk_url_parse(const char *text, bool allow_plain, struct teddy_url *out)
{
    if (text == NULL) {
        return TEDDY_EINVAL;
    }
    out->tls = true;
    for (const char *scheme = "https://"; *scheme != '\0'; scheme++) {
        if (*text == *scheme) {
            text++;
        } else if (*scheme == 's' && allow_plain) {
            out->tls = false;
        } else {
            return TEDDY_EINVAL;
        }
    }
    uint32_t port = out->tls ? 443 : 80;
    bool literal = *text == '[';
    out->authority = text;
    out->host = text + literal;
    size_t len = span_run(span_of(out->host), literal ? ":." : "-._");
    const char *end = out->host + len;
    if (len == 0 || len > TEDDY_HOST_MAX || (literal && *end++ != ']')) {
        return TEDDY_EINVAL;
    }
    out->host_len = (uint32_t)len;
    if (*end == ':') {
        struct span digits = span_of(++end);
        digits.len = span_run(digits, "");
        end += digits.len;
        if (u32_parse(digits, &port) != TEDDY_OK) {
            return TEDDY_EINVAL;
        }
    }
    out->port = (uint16_t)port;
    out->authority_len = (uint32_t)(end - out->authority);
    return port - 1 < UINT16_MAX && end[*end == '/'] == '\0' ? TEDDY_OK : TEDDY_EINVAL;
}

bool sdk_path_ok(const char *path)
{
    struct span text = span_of(path);
    return path[0] == '/' && text.len <= TEDDY_PATH_MAX && span_within(text, "/-._~%!$&'()*+,;=:@");
}

void sdk_url_authority(struct writer *w, const struct teddy_url *url)
{
    writer_bytes(w, url->authority, url->authority_len);
}
