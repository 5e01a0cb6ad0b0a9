/* Which page a browser says a request is from (RFC 6454; Fetch Metadata). A program that is no
 * browser can say what it likes here, but it has no cookies that are not its own. */
#include "http/internal.h"
#include "proto/text.h"

bool http_own_origin(const struct http_request *req, bool *there)
{
    struct span origin, host;
    size_t origins = http1_field(&req->head, "Origin", &origin);
    const struct conn *c = http_conn(req);
    struct span scheme = span_of(c && conn_is_tls(c) ? "https://" : "http://");
    *there = origins > 0;
    if (origins != 1 || http1_field(&req->head, "Host", &host) != 1 || host.len == 0 ||
        origin.len != scheme.len + host.len)
        return false;
    /* A browser writes both the same way, and in lower case. */
    return memcmp(origin.p, scheme.p, scheme.len) == 0 &&
           memcmp(origin.p + scheme.len, host.p, host.len) == 0;
}

bool http_same_origin(const struct http_request *req)
{
    struct span site;
    bool there;
    size_t sites = http1_field(&req->head, "Sec-Fetch-Site", &site);
    if (sites > 0)
        return sites == 1 && span_is(site, "same-origin");
    return http_own_origin(req, &there);
}
