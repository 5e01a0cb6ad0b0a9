/* The template links with the core and fails closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "teddy/client.h"
#include "template.h"

static const struct teddy_port *const t = &port_template;

static void each_function_is_there(void **state)
{
    (void)state;
    assert_true(t->random && t->hmac_sha256 && t->sha1 && t->load && t->save && t->erase);
    assert_true(t->resolve && t->connect && t->send && t->recv && t->disconnect);
    assert_true(t->wall_time && t->server_time);
}

static void none_succeeds(void **state)
{
    struct port_template p = {0};
    uint8_t buf[TEDDY_RECORD_MAX] = {0};
    size_t n = 1;

    (void)state;
    assert_true(t->random(&p, buf, sizeof buf) < 0);
    assert_true(t->hmac_sha256(&p, buf, 4, buf) < 0);
    assert_true(t->sha1(&p, buf, 4, buf) < 0);
    for (int r = 0; r < TEDDY_RECORDS; r++) {
        assert_true(t->load(&p, (enum teddy_record)r, buf, sizeof buf, &n) < 0);
        assert_true(t->save(&p, (enum teddy_record)r, buf, sizeof buf) < 0);
    }
    assert_true(t->erase(&p) < 0);
    assert_true(t->resolve(&p, "localhost") < 0);
    assert_true(t->connect(&p, "localhost", 443, true) < 0);
    n = 1;
    assert_true(t->send(&p, buf, 4, &n) < 0);
    assert_int_equal(n, 0);
    n = 1;
    assert_true(t->recv(&p, buf, sizeof buf, &n) < 0);
    assert_int_equal(n, 0);
    t->disconnect(&p);
    t->disconnect(&p);
}

/* Without randomness the core does not even start. */
static void no_toy_starts(void **state)
{
    static struct teddy_client client;
    static uint8_t rx[4096], outbox[256];
    struct port_template p = {0};
    struct teddy_client_config config = {
        .server_url = "https://localhost:1", .device_id = "toy", .child_id = "child"};

    (void)state;
    assert_int_equal(teddy_client_init(&client, &config, &port_template, &p, rx, sizeof rx, outbox,
                                       sizeof outbox),
                     TEDDY_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_function_is_there),
        cmocka_unit_test(none_succeeds),
        cmocka_unit_test(no_toy_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
