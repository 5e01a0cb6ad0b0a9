/* What keys say together, and the forms that one key alone can have wrong. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "ops/config_keys.h"
#include "proto/text.h"

struct pair {
    const char *a, *b;
};

/* "retry_min_ms (teddy.conf:3) …": the keys concerned, each with its place. Usage when a flag has
 * part in it. */
__attribute__((format(printf, 3, 4))) static int clash(struct config_load *l, struct pair keys,
                                                       const char *format, ...)
{
    char where[2][160], what[256];
    int key[2] = {config_find(keys.a), keys.b != NULL ? config_find(keys.b) : -1};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    config_place(l, (unsigned)key[0], where[0], sizeof where[0]);
    if (key[1] < 0) {
        (void)snprintf(l->err, l->cap, "%s (%s): %s", keys.a, where[0], what);
    } else {
        config_place(l, (unsigned)key[1], where[1], sizeof where[1]);
        (void)snprintf(l->err, l->cap, "%s (%s) and %s (%s): %s", keys.a, where[0], keys.b,
                       where[1], what);
    }
    for (int i = 0; i < 2; i++)
        if (key[i] >= 0 && l->from[key[i]] == FROM_FLAG)
            return TEDDY_EINVAL;
    return TEDDY_EPROTO;
}

int config_host_port(const char *text, char *host, size_t cap, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    const char *digits = colon != NULL ? colon + 1 : text;
    uint64_t n;
    size_t len;

    if (strlen(digits) > 5 || u64_parse(span_of(digits), &n) != TEDDY_OK || n > 65535)
        return TEDDY_EINVAL;
    *port = (uint16_t)n;
    if (colon == NULL) {
        text = "127.0.0.1";
        colon = text + strlen(text);
    }
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return TEDDY_EINVAL;
    }
    if (len == 0 || len >= cap || strcspn(text, " \t/[]") < len)
        return TEDDY_EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    return TEDDY_OK;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(host, "localhost") == 0;
}

static int check_host_port(struct config_load *l, const char *key, const char *text, char *host,
                           size_t cap)
{
    char shown[68];
    uint16_t port;

    if (config_host_port(text, host, cap, &port) == TEDDY_OK)
        return TEDDY_OK;
    config_printable(text, shown);
    return clash(l, (struct pair){key, NULL},
                 "'%s' is not HOST:PORT; for example 127.0.0.1:8443 or [::1]:8443", shown);
}

static int check_listen(struct config_load *l)
{
    const struct config *c = l->c;
    char host[256], other[256];
    int rc = check_host_port(l, "listen", c->listen, host, sizeof host);

    if (rc == TEDDY_OK && c->metrics_listen[0] != '\0')
        rc = check_host_port(l, "metrics_listen", c->metrics_listen, other, sizeof other);
    if (rc == TEDDY_OK && c->admin_listen[0] != '\0')
        rc = check_host_port(l, "admin_listen", c->admin_listen, other, sizeof other);
    if (rc != TEDDY_OK)
        return rc;
    if (!c->tls && !is_loopback(host) && c->trusted_proxies[0] == '\0')
        return clash(
            l, (struct pair){"tls", "listen"},
            "without TLS beyond loopback, trusted_proxies must name the proxy that does TLS");
    if (!c->tls && c->admin_listen[0] != '\0')
        return clash(l, (struct pair){"tls", "admin_listen"},
                     "an admin token is never taken without TLS");
    return TEDDY_OK;
}

static int check_tls(struct config_load *l)
{
    const struct config *c = l->c;

    if ((c->tls_cert[0] != '\0') != (c->tls_key[0] != '\0'))
        return clash(l, (struct pair){"tls_cert", "tls_key"}, "give both or neither");
    if (c->tls_ca[0] != '\0' && c->tls_cert[0] == '\0')
        return clash(l, (struct pair){"tls_ca", "tls_cert"},
                     "an authority is only checked with a certificate");
    if (!c->tls && c->tls_cert[0] != '\0')
        return clash(l, (struct pair){"tls", "tls_cert"}, "a certificate is given, but TLS is off");
    return TEDDY_OK;
}

static int check_numbers(struct config_load *l)
{
    const struct config *c = l->c;

    if (c->retry_min_ms > c->retry_max_ms)
        return clash(l, (struct pair){"retry_min_ms", "retry_max_ms"},
                     "%u is more than %u; the least must not be over the most", c->retry_min_ms,
                     c->retry_max_ms);
    if (c->ping_ms >= c->silence_ms)
        return clash(
            l, (struct pair){"ping_ms", "silence_ms"},
            "%u is not less than %u; a toy needs a ping to answer before it counts as silent",
            c->ping_ms, c->silence_ms);
    if (c->utterance_max > c->message_max)
        return clash(l, (struct pair){"utterance_max", "message_max"},
                     "%u is more than %u; an utterance must fit in a message", c->utterance_max,
                     c->message_max);
    if (c->access_ttl_s > c->refresh_ttl_s)
        return clash(l, (struct pair){"access_ttl_s", "refresh_ttl_s"},
                     "%u is more than %u; a refresh token must outlive its access token",
                     c->access_ttl_s, c->refresh_ttl_s);
    if (c->echo_route && c->output_max < c->message_max)
        return clash(l, (struct pair){"output_max", "message_max"},
                     "%u is less than %u; with echo_route a message must fit in the output",
                     c->output_max, c->message_max);
    /* As many as are sent before the toy acks one, each byte written at its longest. */
    if (c->output_max / 48 < c->downlink_max)
        return clash(l, (struct pair){"output_max", "downlink_max"},
                     "%u is less than 48 times %u; eight messages to a toy must fit in the output",
                     c->output_max, c->downlink_max);
    return TEDDY_OK;
}

/* No white space: tokens carry both as they are. */
static bool plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < 0x21 || *text > 0x7E)
            return false;
    return true;
}

static int check_tokens(struct config_load *l)
{
    if (l->c->jwt_issuer[0] == '\0')
        return clash(l, (struct pair){"jwt_issuer", NULL}, "must not be empty");
    if (l->c->jwt_audience[0] == '\0')
        return clash(l, (struct pair){"jwt_audience", NULL}, "must not be empty");
    if (!plain(l->c->jwt_issuer))
        return clash(l, (struct pair){"jwt_issuer", NULL}, "must be printable ASCII without space");
    if (!plain(l->c->jwt_audience))
        return clash(l, (struct pair){"jwt_audience", NULL},
                     "must be printable ASCII without space");
    /* Both stand in every token, which is bounded (docs/protocol.md, "Names"). */
    if (strlen(l->c->jwt_issuer) + strlen(l->c->jwt_audience) > 80)
        return clash(l, (struct pair){"jwt_issuer", "jwt_audience"},
                     "longer than 80 bytes together; tokens would be over their limit");
    return TEDDY_OK;
}

/* No name or password in it: it may be shown. */
static const char *wrong_url(const char *url)
{
    bool http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    const char *host = strstr(url, "//");

    if (!http || host[2] == '\0' || host[2] == '/')
        return "must begin with http://HOST or https://HOST";
    if (!plain(url) || strchr(url, '@') != NULL || strchr(url, '#') != NULL)
        return "must be printable ASCII without space, @ and #";
    return NULL;
}

/* "0.7": a whole part of one digit, up to three behind the point, at most 2. */
static bool is_temperature(const char *t)
{
    if (t[0] < '0' || t[0] > '2' || (t[1] != '\0' && t[1] != '.'))
        return false;
    if (t[1] == '.' && (strlen(t + 2) < 1 || strlen(t + 2) > 3))
        return false;
    for (const char *p = t[1] ? t + 2 : ""; *p != '\0'; p++)
        if (*p < '0' || *p > '9' || (t[0] == '2' && *p != '0'))
            return false;
    return true;
}

static int check_urls(struct config_load *l)
{
    const struct config *c = l->c;
    const struct {
        const char *key, *url;
    } urls[] = {{"chat_url", c->chat_url},
                {"webhook_url", c->webhook_url},
                {"moderation_url", c->moderation_url},
                {"alert_url", c->alert_url},
                {"backend_proxy", c->backend_proxy}};

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        const char *wrong = urls[i].url[0] != '\0' ? wrong_url(urls[i].url) : NULL;
        if (wrong != NULL)
            return clash(l, (struct pair){urls[i].key, NULL}, "%s", wrong);
    }
    return TEDDY_OK;
}

static int check_processors(struct config_load *l)
{
    const struct config *c = l->c;

    if ((c->chat_url[0] != '\0') != (c->chat_model[0] != '\0'))
        return clash(l, (struct pair){"chat_url", "chat_model"}, "give both or neither");
    if (strcmp(c->processor, "chat") == 0 && c->chat_url[0] == '\0')
        return clash(l, (struct pair){"processor", "chat_url"}, "processor chat needs a chat_url");
    if (strcmp(c->processor, "webhook") == 0 && c->webhook_url[0] == '\0')
        return clash(l, (struct pair){"processor", "webhook_url"},
                     "processor webhook needs a webhook_url");
    if (strcmp(c->processor, "exec") == 0 && c->exec_command[0] == '\0')
        return clash(l, (struct pair){"processor", "exec_command"},
                     "processor exec needs an exec_command");
    if (c->chat_temperature[0] != '\0' && !is_temperature(c->chat_temperature))
        return clash(l, (struct pair){"chat_temperature", NULL}, "must be 0 to 2, as 0.7");
    return check_urls(l);
}

int config_check(struct config_load *l)
{
    int rc = check_listen(l);

    config_place(l, (unsigned)config_find("trusted_proxies"), l->c->trusted_proxies_place,
                 sizeof l->c->trusted_proxies_place);
    if (rc == TEDDY_OK)
        rc = check_tls(l);
    if (rc == TEDDY_OK)
        rc = check_numbers(l);
    if (rc == TEDDY_OK)
        rc = check_tokens(l);
    if (rc == TEDDY_OK)
        rc = check_processors(l);
    return rc;
}
