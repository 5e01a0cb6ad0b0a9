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

static bool begins_with(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strlen(text) > len && memcmp(text, prefix, len) == 0;
}

/* The end of the text, or where this character or a slash stands. */
static const char *until(const char *text, char stop)
{
    while (*text != '\0' && *text != '/' && *text != stop) {
        text++;
    }
    return text;
}

int sdk_url_parse(const char *text, bool allow_plain, struct teddy_url *out)
{
    if (text == NULL) {
        return TEDDY_EINVAL;
    }
    out->tls = begins_with(text, "https://");
    out->port = out->tls ? 443 : 80;
    if (!out->tls && !(allow_plain && begins_with(text, "http://"))) {
        return TEDDY_EINVAL;
    }
    text += out->tls ? 8 : 7;
    bool literal = *text == '[';
    out->authority = text;
    text += literal;
    const char *end = until(text, literal ? ']' : ':');
    struct span host = {text, (size_t)(end - text)};
    if (host.len > TEDDY_HOST_MAX || (literal && *end++ != ']') ||
        !(literal ? ipv6_ok(host) : name_ok(host))) {
        return TEDDY_EINVAL;
    }
    out->host = host.p;
    out->host_len = (uint8_t)host.len;
    if (*end == ':') {
        uint64_t port;
        text = end + 1;
        end = until(text, '/');
        if (u64_parse((struct span){text, (size_t)(end - text)}, &port) != TEDDY_OK || port == 0 ||
            port > UINT16_MAX) {
            return TEDDY_EINVAL;
        }
        out->port = (uint16_t)port;
    }
    out->authority_len = (uint8_t)(end - out->authority);
    return end[*end == '/'] == '\0' ? TEDDY_OK : TEDDY_EINVAL;
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
