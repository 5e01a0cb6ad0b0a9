#include "http/route.h"

#include "proto/writer.h"

enum { PARAM_MAX = 128 };

/* The next segment of a path; false at the end. rest starts with '/' or is empty. */
static bool next_segment(struct span *rest, struct span *segment)
{
    if (rest->len == 0 || rest->p[0] != '/')
        return false;
    size_t end = 1;
    while (end < rest->len && rest->p[end] != '/')
        end++;
    *segment = (struct span){rest->p + 1, end - 1};
    *rest = (struct span){rest->p + end, rest->len - end};
    return true;
}

static bool is_param(struct span segment)
{
    return segment.len >= 2 && segment.p[0] == '{' && segment.p[segment.len - 1] == '}';
}

static bool fits(const char *pattern, struct span path, struct span *params, size_t params_max)
{
    struct span rest = span_of(pattern), want, got;
    size_t n = 0;
    while (next_segment(&rest, &want)) {
        if (!next_segment(&path, &got))
            return false;
        if (!is_param(want)) {
            if (!span_eq(want, got))
                return false;
            continue;
        }
        if (got.len == 0 || got.len > PARAM_MAX || n == params_max)
            return false;
        params[n++] = got;
    }
    return path.len == 0;
}

static bool could_both_fit(const char *a, const char *b)
{
    struct span ra = span_of(a), rb = span_of(b), sa, sb;
    for (;;) {
        bool more_a = next_segment(&ra, &sa), more_b = next_segment(&rb, &sb);
        if (!more_a || !more_b)
            return more_a == more_b;
        bool same = span_eq(sa, sb);
        /* A parameter takes any segment but the empty one. */
        bool taken = (is_param(sa) && sb.len > 0) || (is_param(sb) && sa.len > 0);
        if (!same && !taken)
            return false;
    }
}

static bool methods_meet(const char *a, const char *b)
{
    struct span ma = span_of(a), mb = span_of(b);
    return span_eq(ma, mb) || (span_is(ma, "HEAD") && span_is(mb, "GET")) ||
           (span_is(ma, "GET") && span_is(mb, "HEAD"));
}

bool route_conflict(const struct route *routes, size_t count, const struct route **a,
                    const struct route **b)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (methods_meet(routes[i].method, routes[k].method) &&
                could_both_fit(routes[i].pattern, routes[k].pattern)) {
                *a = &routes[i];
                *b = &routes[k];
                return true;
            }
    return false;
}

const struct route *route_bad_role(const struct route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct route *r = &routes[i];
        bool reads = span_is(span_of(r->method), "GET");
        if ((r->who == ROUTE_ADMIN) != (r->role != ROLE_NONE) || (r->role == ROLE_VIEWER && !reads))
            return r;
    }
    return NULL;
}

static void add_method(struct writer *allow, const char *method)
{
    if (allow->len > 0)
        writer_text(allow, ", ");
    writer_text(allow, method);
    if (span_is(span_of(method), "GET"))
        writer_text(allow, ", HEAD");
}

int route_find(const struct route *routes, size_t count, unsigned offers, struct span method,
               struct span path, const struct route **out, struct span *params, size_t params_max,
               char *allow, size_t allow_cap)
{
    struct writer w = writer_on(allow, allow_cap);
    bool is_head = span_is(method, "HEAD");
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const struct route *r = &routes[i];
        if (!((unsigned)r->who & offers) || !fits(r->pattern, path, params, params_max))
            continue;
        any = true;
        if (span_is(method, r->method) || (is_head && span_is(span_of(r->method), "GET"))) {
            *out = r;
            return TEDDY_OK;
        }
        add_method(&w, r->method);
    }
    (void)writer_end(&w);
    return any ? TEDDY_EUNSUPPORTED : TEDDY_ENOTFOUND;
}

bool route_body_max(const struct route *routes, size_t count, unsigned offers, struct span path,
                    size_t *max)
{
    struct span params[8];
    bool any = false;
    *max = 0;
    for (size_t i = 0; i < count; i++) {
        if (!((unsigned)routes[i].who & offers) || !fits(routes[i].pattern, path, params, 8))
            continue;
        any = true;
        if (routes[i].body_max > *max)
            *max = routes[i].body_max;
    }
    return any;
}

const char *route_who_name(enum route_who who)
{
    switch (who) {
    case ROUTE_NONE:
        return "none";
    case ROUTE_DEVICE:
        return "device";
    case ROUTE_ADMIN:
        return "admin";
    case ROUTE_METRICS:
        return "metrics";
    case ROUTE_CONSOLE:
        return "console";
    }
    return "unknown";
}

static const char *const role_names[] = {
    [ROLE_NONE] = "-",
    [ROLE_VIEWER] = "viewer",
    [ROLE_OPERATOR] = "operator",
    [ROLE_OWNER] = "owner",
};

const char *route_role_name(enum route_role role)
{
    return role <= ROLE_OWNER ? role_names[role] : "unknown";
}

bool route_role_parse(struct span name, enum route_role *out)
{
    for (enum route_role r = ROLE_VIEWER; r <= ROLE_OWNER; r++)
        if (span_is(name, role_names[r])) {
            *out = r;
            return true;
        }
    return false;
}
