#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/route.h"

#define R(m, p, w)                                                                                 \
    {                                                                                              \
        .method = (m), .pattern = (p), .who = (w), .name = (m)                                     \
    }
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct route table[] = {
    R("GET", "/", ROUTE_NONE),
    R("GET", "/healthz", ROUTE_NONE),
    R("POST", "/api/claim", ROUTE_NONE),
    R("GET", "/api/claim", ROUTE_DEVICE),
    R("GET", "/ws/{id}", ROUTE_DEVICE),
    R("GET", "/admin/{id}/tokens/{token}", ROUTE_ADMIN),
    R("DELETE", "/admin/{id}/tokens/{token}", ROUTE_ADMIN),
    R("GET", "/metrics", ROUTE_METRICS),
};
enum { PUBLIC = ROUTE_NONE | ROUTE_DEVICE };

static const struct route *found;
static struct span params[2];
static char allow[64];

static int find(unsigned offers, const char *method, const char *path)
{
    found = NULL;
    allow[0] = 0;
    return route_find(table, COUNT(table), offers, span_of(method), span_of(path), &found, params,
                      2, allow, sizeof allow);
}

static void finds_by_method_and_path(void **state)
{
    (void)state;
    assert_int_equal(find(PUBLIC, "GET", "/"), TEDDY_OK);
    assert_ptr_equal(found, &table[0]);
    assert_int_equal(find(PUBLIC, "POST", "/api/claim"), TEDDY_OK);
    assert_ptr_equal(found, &table[2]);
    assert_int_equal(find(PUBLIC, "GET", "/ws/Teddy-1"), TEDDY_OK);
    assert_true(span_is(params[0], "Teddy-1"));
    assert_int_equal(find(ROUTE_ADMIN, "DELETE", "/admin/a/tokens/b"), TEDDY_OK);
    assert_ptr_equal(found, &table[6]);
    assert_true(span_is(params[0], "a") && span_is(params[1], "b"));
    assert_int_equal(find(PUBLIC, "HEAD", "/healthz"), TEDDY_OK);
    assert_ptr_equal(found, &table[1]);
}

static void tells_unknown_paths_from_wrong_methods(void **state)
{
    (void)state;
    static const char *const unknown[] = {
        "/nothing", "/healthz/",   "//healthz",         "/ws",
        "/ws/",     "/ws//",       "/ws/a/b",           "/HEALTHZ",
        "",         "/healthz%20", "/admin/a/tokens/b", "/metrics"};
    for (size_t i = 0; i < COUNT(unknown); i++)
        assert_int_equal(find(PUBLIC, "GET", unknown[i]), TEDDY_ENOTFOUND);
    assert_int_equal(find(PUBLIC, "PUT", "/api/claim"), TEDDY_EUNSUPPORTED);
    assert_string_equal(allow, "POST, GET, HEAD");
    assert_int_equal(find(ROUTE_NONE, "GET", "/api/claim"), TEDDY_EUNSUPPORTED);
    assert_string_equal(allow, "POST"); /* only what this plane serves */
    assert_int_equal(find(PUBLIC, "get", "/healthz"), TEDDY_EUNSUPPORTED);
    assert_int_equal(find(ROUTE_METRICS, "GET", "/healthz"), TEDDY_ENOTFOUND);
}

static void bounds_parameters(void **state)
{
    (void)state;
    char path[256] = "/ws/";
    memset(path + 4, 'a', 128);
    assert_int_equal(find(PUBLIC, "GET", path), TEDDY_OK);
    assert_int_equal(params[0].len, 128);
    path[4 + 128] = 'a';
    assert_int_equal(find(PUBLIC, "GET", path), TEDDY_ENOTFOUND);
}

static bool conflict(const char *ma, const char *pa, const char *mb, const char *pb)
{
    const struct route two[] = {R(ma, pa, ROUTE_NONE), R("GET", "/between", ROUTE_NONE),
                                R(mb, pb, ROUTE_ADMIN)};
    const struct route *a = NULL, *b = NULL;
    bool is = route_conflict(two, 3, &a, &b);
    if (is) {
        assert_ptr_equal(a, &two[0]); /* names both */
        assert_ptr_equal(b, &two[2]);
    }
    return is;
}

static void finds_conflicts(void **state)
{
    (void)state;
    const struct route *a, *b;
    assert_false(route_conflict(table, COUNT(table), &a, &b));
    assert_true(conflict("GET", "/a", "GET", "/a"));
    assert_true(conflict("GET", "/a/{x}", "GET", "/a/{y}"));
    assert_true(conflict("GET", "/a/{x}", "GET", "/a/import"));
    assert_true(conflict("GET", "/{x}/b", "GET", "/a/{y}"));
    assert_true(conflict("GET", "/a", "HEAD", "/a"));
    assert_false(conflict("GET", "/a", "POST", "/a"));
    assert_false(conflict("GET", "/a/{x}", "GET", "/a"));
    assert_false(conflict("GET", "/a/{x}", "GET", "/a/b/c"));
    assert_false(conflict("GET", "/a/{x}", "GET", "/b/{x}"));
    assert_false(conflict("GET", "/a/{x}", "GET", "/a/")); /* a parameter is never empty */
}

static void knows_the_largest_body(void **state)
{
    (void)state;
    const struct route some[] = {{"POST", "/x", ROUTE_NONE, "a", NULL, 10, NULL, ROLE_NONE},
                                 {"PUT", "/x", ROUTE_NONE, "b", NULL, 20, NULL, ROLE_NONE},
                                 {"PATCH", "/x", ROUTE_ADMIN, "c", NULL, 30, NULL, ROLE_OWNER}};
    size_t max;
    assert_true(route_body_max(some, 3, ROUTE_NONE, span_of("/x"), &max));
    assert_int_equal(max, 20);
    assert_false(route_body_max(some, 3, ROUTE_NONE, span_of("/y"), &max));
}

static const struct route *bad_role(const char *method, enum route_who who, enum route_role role)
{
    static struct route some[2];
    some[0] = (struct route){"GET", "/a", ROUTE_NONE, "a", NULL, 0, NULL, ROLE_NONE};
    some[1] = (struct route){method, "/b", who, "b", NULL, 0, NULL, role};
    const struct route *bad = route_bad_role(some, 2);
    assert_true(bad == NULL || bad == &some[1]);
    return bad;
}

static void finds_bad_roles(void **state)
{
    (void)state;
    assert_null(bad_role("GET", ROUTE_ADMIN, ROLE_VIEWER));
    assert_null(bad_role("GET", ROUTE_ADMIN, ROLE_OWNER));
    assert_null(bad_role("POST", ROUTE_ADMIN, ROLE_OPERATOR));
    assert_null(bad_role("GET", ROUTE_METRICS, ROLE_NONE));
    assert_non_null(bad_role("GET", ROUTE_ADMIN, ROLE_NONE));
    assert_non_null(bad_role("GET", ROUTE_DEVICE, ROLE_VIEWER));
    assert_non_null(bad_role("POST", ROUTE_ADMIN, ROLE_VIEWER));
    assert_non_null(bad_role("DELETE", ROUTE_ADMIN, ROLE_VIEWER));
}

static void knows_roles_by_name(void **state)
{
    (void)state;
    enum route_role role = ROLE_NONE;
    for (enum route_role r = ROLE_VIEWER; r <= ROLE_OWNER; r++) {
        assert_true(route_role_parse(span_of(route_role_name(r)), &role));
        assert_int_equal(role, r);
    }
    assert_false(route_role_parse(span_of("-"), &role));
    assert_false(route_role_parse(span_of("Owner"), &role));
    assert_false(route_role_parse(span_of("owner "), &role));
    assert_false(route_role_parse(span_of(""), &role));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_method_and_path),
        cmocka_unit_test(tells_unknown_paths_from_wrong_methods),
        cmocka_unit_test(bounds_parameters),
        cmocka_unit_test(finds_conflicts),
        cmocka_unit_test(knows_the_largest_body),
        cmocka_unit_test(finds_bad_roles),
        cmocka_unit_test(knows_roles_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
