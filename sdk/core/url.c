#include "core.h"
#include "proto/text.h"

static bool is_alnum(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

static bool name_ok(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        char ch = host.p[i];
        bool edge = i == 0 || i + 1 == host.len || host.p[i - 1] == '.';
        if (!is_alnum(ch) && (edge || (ch != '-' && ch != '.' && ch != '_'))) {
            return false;
        }
    }
    return host.len > 0;
}

static bool ipv6_ok(struct span host)
{
    size_t colons = 0;
    for (size_t i = 0; i < host.len; i++) {
        char ch = host.p[i];
        bool hex = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
        colons += ch == ':';
        if (!hex && ch != ':' && ch != '.') {
            return false;
        }
    }
    return colons >= 2;
}

static int take_host(struct teddy_url *out, struct span host, bool literal)
{
    if (host.len > TEDDY_HOST_MAX || !(literal ? ipv6_ok(host) : name_ok(host))) {
        return TEDDY_EINVAL;
    }
    out->host = host.p;
    out->host_len = (uint8_t)host.len;
    return TEDDY_OK;
}

static int take_port(struct teddy_url *out, struct span text)
{
    uint64_t port;
    if (text.len == 0 || text.len > 5 || u64_parse(text, &port) != TEDDY_OK || port == 0 ||
        port > UINT16_MAX) {
        return TEDDY_EINVAL;
    }
    out->port = (uint16_t)port;
    return TEDDY_OK;
}

static int take_scheme(struct teddy_url *out, const char **text, bool allow_plain)
{
    if (strncmp(*text, "https://", 8) == 0) {
        *out = (struct teddy_url){.port = 443, .tls = true};
        *text += 8;
        return TEDDY_OK;
    }
    if (allow_plain && strncmp(*text, "http://", 7) == 0) {
        *out = (struct teddy_url){.port = 80, .tls = false};
        *text += 7;
        return TEDDY_OK;
    }
    return TEDDY_EINVAL;
}

int sdk_url_parse(const char *text, bool allow_plain, struct teddy_url *out)
{
    if (text == NULL || take_scheme(out, &text, allow_plain) != TEDDY_OK) {
        return TEDDY_EINVAL;
    }
    bool literal = *text == '[';
    text += literal;
    struct span host = {text, strcspn(text, literal ? "]" : ":/")};
    text += host.len;
    if (literal && *text++ != ']') {
        return TEDDY_EINVAL;
    }
    if (take_host(out, host, literal) != TEDDY_OK) {
        return TEDDY_EINVAL;
    }
    if (*text == ':') {
        struct span port = {text + 1, strcspn(text + 1, "/")};
        if (take_port(out, port) != TEDDY_OK) {
            return TEDDY_EINVAL;
        }
        text += 1 + port.len;
    }
    text += *text == '/';
    return *text == '\0' ? TEDDY_OK : TEDDY_EINVAL;
}

bool sdk_path_ok(const char *path)
{
    size_t len = 0;
    for (; path[len] != '\0'; len++) {
        char ch = path[len];
        if (len == TEDDY_PATH_MAX || ch <= ' ' || ch > '~' || strchr("?#\"\\<>^`{|}", ch) != NULL) {
            return false;
        }
    }
    return path[0] == '/';
}

void sdk_url_authority(struct writer *w, const struct teddy_url *url)
{
    struct span host = {url->host, url->host_len};
    bool literal = memchr(host.p, ':', host.len) != NULL;
    writer_text(w, literal ? "[" : "");
    writer_span(w, host);
    writer_text(w, literal ? "]" : "");
    if (url->port != (url->tls ? 443 : 80)) {
        writer_text(w, ":");
        writer_u64(w, url->port);
    }
}
