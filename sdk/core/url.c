#include "core.h"
#include "proto/text.h"

/* Letters, digits, and within a label or between two also these. */
static bool name_ok(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        bool edge = i == 0 || i + 1 == host.len || host.p[i - 1] == '.';
        if (!span_within((struct span){host.p + i, 1}, edge ? "" : "-._")) {
            return false;
        }
    }
    return host.len > 0;
}

/* Enough to keep a name apart: what it stands for is for the port to say. */
static bool ipv6_ok(struct span host)
{
    return span_within(host, ":.") && memchr(host.p, ':', host.len) != NULL;
}

static const char *behind_scheme(const char *text, bool allow_plain, struct teddy_url *out)
{
    size_t len = strlen(text);
    out->tls = len > 8 && memcmp(text, "https://", 8) == 0;
    out->port = out->tls ? 443 : 80;
    if (out->tls) {
        return text + 8;
    }
    return allow_plain && len > 7 && memcmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

static size_t until(const char *text, char a, char b)
{
    size_t n = 0;
    while (text[n] != '\0' && text[n] != a && text[n] != b) {
        n++;
    }
    return n;
}

int sdk_url_parse(const char *text, bool allow_plain, struct teddy_url *out)
{
    if (text == NULL || (text = behind_scheme(text, allow_plain, out)) == NULL) {
        return TEDDY_EINVAL;
    }
    bool literal = *text == '[';
    out->authority = text;
    text += literal;
    struct span host = {text, literal ? until(text, ']', ']') : until(text, ':', '/')};
    text += host.len;
    if (host.len > TEDDY_HOST_MAX || (literal && *text++ != ']') ||
        !(literal ? ipv6_ok(host) : name_ok(host))) {
        return TEDDY_EINVAL;
    }
    out->host = host.p;
    out->host_len = (uint8_t)host.len;
    if (*text == ':') {
        uint64_t port;
        struct span digits = {text + 1, until(text + 1, '/', '/')};
        if (u64_parse(digits, &port) != TEDDY_OK || port == 0 || port > UINT16_MAX) {
            return TEDDY_EINVAL;
        }
        out->port = (uint16_t)port;
        text = digits.p + digits.len;
    }
    out->authority_len = (uint8_t)(text - out->authority);
    text += *text == '/';
    return *text == '\0' ? TEDDY_OK : TEDDY_EINVAL;
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
