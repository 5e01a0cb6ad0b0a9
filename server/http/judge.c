/* Is a request in order? In the order of docs/protocol.md, section 2: size, method, media type;
 * what the body says is its handler's to judge. */
#include <string.h>

#include "http/internal.h"
#include "proto/text.h"

static struct span after(struct span s, size_t n)
{
    return (struct span){s.p + n, s.len - n};
}

static bool starts_with(struct span s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && span_ieq((struct span){s.p, len}, prefix);
}

/* Where it first stands; the length: nowhere. */
static size_t find(struct span s, char c)
{
    const char *at = s.len > 0 ? memchr(s.p, c, s.len) : NULL;
    return at ? (size_t)(at - s.p) : s.len;
}

static size_t find_any(struct span s, const char *chars)
{
    size_t i = 0;
    while (i < s.len && !strchr(chars, s.p[i]))
        i++;
    return i;
}

/* Origin form, or absolute form without what stands before its path. False for anything else. */
static bool split_target(struct request *r)
{
    struct span t = r->pub.head.target;
    if (find(t, '#') < t.len)
        return false;
    if (t.len > 0 && t.p[0] != '/') {
        size_t scheme = starts_with(t, "https://") ? 8 : starts_with(t, "http://") ? 7 : 0;
        if (scheme == 0)
            return false;
        t = after(t, scheme);
        size_t authority = find_any(t, "/?");
        if (authority == 0 || find((struct span){t.p, authority}, '@') < authority)
            return false;
        t = after(t, authority);
    }
    size_t path = find(t, '?');
    r->pub.path = (struct span){t.p, path};
    if (path == 0)
        r->pub.path = span_of("/");
    r->pub.query = path < t.len ? after(t, path + 1) : (struct span){NULL, 0};
    return true;
}

static bool refuse(struct request *r, int status, const char *code, const char *detail)
{
    http_problem(&r->pub, status, code, detail);
    return false;
}

/* A refusal by what a path takes. */
static bool refuse_at_path(struct request *r, int status, const char *code, const char *detail)
{
    const struct http_plane *p = r->pub.plane;
    uint32_t retry_after_s = 1;
    if (!p->may_fail || p->may_fail(&r->pub, &retry_after_s))
        return refuse(r, status, code, detail);
    http_problem_retry(&r->pub, 429, "rate_limited",
                       "Too many failing requests from this address; wait for Retry-After.",
                       retry_after_s);
    return false;
}

static bool judge_framing(struct request *r)
{
    enum http_body kind;
    uint64_t length = 0;
    int rc = http1_body(&r->pub.head, false, &kind, &length);
    r->body_left = true; /* until we know otherwise */
    if (rc == TEDDY_EUNSUPPORTED)
        return refuse(r, 501, "unsupported_coding", "This transfer coding is not understood.");
    if (rc != TEDDY_OK)
        return refuse(r, 400, "bad_framing",
                      "The fields that frame the body are malformed or contradict each other.");
    if (kind == HTTP_BODY_CHUNKED)
        return refuse(r, 411, "length_required", "Send the body with Content-Length.");
    r->body_left = length > 0;
    r->body_want = length > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)length;
    return true;
}

static bool judge_rate(struct request *r)
{
    uint32_t retry_after_s = 1;
    const struct http_plane *p = r->pub.plane;
    if (!p->admit || p->admit(&r->pub, &retry_after_s))
        return true;
    http_problem_retry(&r->pub, 429, "rate_limited", "Too many requests from this address.",
                       retry_after_s);
    return false;
}

static bool too_large(struct request *r)
{
    return refuse_at_path(r, 413, "too_large", "The body is larger than this path takes.");
}

static bool judge_route(struct request *r)
{
    const struct http_plane *p = r->pub.plane;
    char allow[128];
    size_t body_max;
    int rc = route_find(p->routes, p->route_count, p->offers, r->pub.head.method, r->pub.path,
                        &r->pub.route, r->pub.params, HTTP_PARAMS_MAX, allow, sizeof allow);
    if (rc == TEDDY_OK)
        return r->body_want <= r->pub.route->body_max || too_large(r);
    if (!route_body_max(p->routes, p->route_count, p->offers, r->pub.path, &body_max))
        return refuse(r, 404, "not_found", "There is nothing at this path.");
    if (r->body_want > body_max) /* the size comes first */
        return too_large(r);
    http_set_field(&r->pub, "Allow", allow);
    return refuse_at_path(r, 405, "method_not_allowed", "This path has no such method.");
}

static bool judge_gate(struct request *r)
{
    const struct http_plane *p = r->pub.plane;
    return r->body_want == 0 || !p->gate || p->gate(&r->pub);
}

/* type/subtype, whatever its parameters. */
static bool media_is(struct span value, const char *media)
{
    size_t len = find(value, ';');
    while (len > 0 && (value.p[len - 1] == ' ' || value.p[len - 1] == '\t'))
        len--;
    return span_ieq((struct span){value.p, len}, media);
}

static bool judge_media(struct request *r)
{
    const char *media = r->pub.route->media;
    struct span value = {NULL, 0};
    if (!media || r->body_want == 0)
        return true;
    if (http1_field(&r->pub.head, "Content-Type", &value) == 1 && media_is(value, media))
        return true;
    return refuse_at_path(r, 415, "unsupported_media_type",
                          "The body's Content-Type is not the one this path takes.");
}

static bool judge_expect(struct request *r)
{
    struct span value;
    size_t n = http1_field(&r->pub.head, "Expect", &value);
    if (n == 0 || r->pub.head.minor == 0 || (n == 1 && span_ieq(value, "100-continue")))
        return true;
    return refuse_at_path(r, 417, "expectation_failed", "Only 100-continue can be expected here.");
}

bool request_judge(struct request *r)
{
    if (!judge_framing(r))
        return false;
    if (!split_target(r))
        return refuse(r, 400, "bad_target",
                      "The request's target is neither a path nor an http URL.");
    return judge_rate(r) && judge_route(r) && judge_gate(r) && judge_media(r) && judge_expect(r);
}
