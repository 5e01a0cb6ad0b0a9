/* The port's storage over ESP-IDF's own nvs_flash, its power cut at every word it writes. */
#include <esp_partition.h>
#include <nvs.h>
#include <nvs_flash.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "esp_port.h"
#include "flash.h"
#include "teddy_esp.h"

struct teddy_esp toy;

static uint8_t old_record[TEDDY_RECORD_MAX], new_record[TEDDY_RECORD_MAX], got[TEDDY_RECORD_MAX];

void port_log(enum teddy_log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

static void fill(uint8_t *record, unsigned seed)
{
    for (size_t i = 0; i < TEDDY_RECORD_MAX; i++)
        record[i] = (uint8_t)(i * 31 + seed * 7 + (i >> 8));
}

static void write_factory(void)
{
    nvs_handle_t nvs;

    fill(old_record, 9);
    assert_int_equal(nvs_flash_init_partition("nvs_factory"), ESP_OK);
    assert_int_equal(nvs_open_from_partition("nvs_factory", PORT_NS_FACTORY, NVS_READWRITE, &nvs),
                     ESP_OK);
    assert_int_equal(nvs_set_str(nvs, PORT_KEY_DEVICE, "teddy-0001"), ESP_OK);
    assert_int_equal(nvs_set_blob(nvs, PORT_KEY_SECRET, old_record, 32), ESP_OK);
    assert_int_equal(nvs_commit(nvs), ESP_OK);
    nvs_close(nvs);
    assert_int_equal(nvs_flash_deinit_partition("nvs_factory"), ESP_OK);
}

/* As after a reset: what was in memory is gone. */
static void start(void)
{
    flash_power_on();
    memset(&toy, 0, sizeof toy);
    assert_int_equal(storage_open(&toy), TEDDY_OK);
}

static void stop(void)
{
    nvs_close(toy.nvs);
    nvs_close(toy.factory);
    (void)nvs_flash_deinit_partition("nvs_factory");
    (void)nvs_flash_deinit();
}

static int set_up(void **state)
{
    (void)state;
    flash_new();
    write_factory();
    start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop();
    return 0;
}

static void expect(enum teddy_record record, const uint8_t *want, size_t want_len)
{
    size_t len = 0;

    assert_int_equal(record_load(&toy, record, got, sizeof got, &len), TEDDY_OK);
    assert_int_equal(len, want_len);
    assert_memory_equal(got, want, len);
}

static void records_stand_apart_and_last(void **state)
{
    size_t len;

    (void)state;
    fill(old_record, 1);
    fill(new_record, 2);
    assert_int_equal(record_load(&toy, TEDDY_RECORD_TOKENS, got, sizeof got, &len),
                     TEDDY_ENOTFOUND);
    assert_int_equal(record_save(&toy, TEDDY_RECORD_TOKENS, old_record, TEDDY_RECORD_MAX),
                     TEDDY_OK);
    assert_int_equal(record_save(&toy, TEDDY_RECORD_LAST, new_record, 25), TEDDY_OK);
    stop();
    start();
    expect(TEDDY_RECORD_TOKENS, old_record, TEDDY_RECORD_MAX);
    expect(TEDDY_RECORD_LAST, new_record, 25);
    assert_int_equal(record_save(&toy, TEDDY_RECORD_TOKENS, new_record, 700), TEDDY_OK);
    expect(TEDDY_RECORD_TOKENS, new_record, 700);
    assert_int_equal(record_load(&toy, TEDDY_RECORD_TOKENS, got, 699, &len), TEDDY_EAUTH);
    assert_int_equal(record_save(&toy, TEDDY_RECORD_LAST, old_record, TEDDY_RECORD_MAX + 1),
                     TEDDY_ETOOBIG);
}

static void erase_takes_all_records_and_nothing_else(void **state)
{
    uint64_t when = 0;
    size_t len;

    (void)state;
    assert_int_equal(nvs_set_u64(toy.nvs, PORT_KEY_TIME, 1750000000), ESP_OK);
    assert_int_equal(record_erase(&toy), TEDDY_OK);
    assert_int_equal(record_save(&toy, TEDDY_RECORD_TOKENS, old_record, 100), TEDDY_OK);
    assert_int_equal(record_save(&toy, TEDDY_RECORD_LAST, old_record, 25), TEDDY_OK);
    assert_int_equal(record_erase(&toy), TEDDY_OK);
    stop();
    start();
    for (int i = 0; i < TEDDY_RECORDS; i++)
        assert_int_equal(record_load(&toy, (enum teddy_record)i, got, sizeof got, &len),
                         TEDDY_ENOTFOUND);
    assert_int_equal(nvs_get_u64(toy.nvs, PORT_KEY_TIME, &when), ESP_OK);
    assert_int_equal(when, 1750000000);
}

static void the_factory_is_read(void **state)
{
    char text[16];
    uint8_t blob[32];
    size_t len;

    (void)state;
    fill(old_record, 9);
    assert_int_equal(teddy_esp_factory_text(PORT_KEY_DEVICE, text, sizeof text), TEDDY_OK);
    assert_string_equal(text, "teddy-0001");
    assert_int_equal(teddy_esp_factory_text(PORT_KEY_DEVICE, text, 10), TEDDY_ENOSPC);
    assert_int_equal(teddy_esp_factory_blob(PORT_KEY_SECRET, blob, sizeof blob, &len), TEDDY_OK);
    assert_int_equal(len, 32);
    assert_memory_equal(blob, old_record, 32);
    assert_int_equal(teddy_esp_factory_blob("prov_salt", blob, sizeof blob, &len), TEDDY_ENOTFOUND);
    assert_int_equal(len, 0);
}

/* Old or new, whole; or, the very first time, none. */
static void check_after_cut(size_t before, size_t cut_at)
{
    size_t len = 0;
    int err = record_load(&toy, TEDDY_RECORD_TOKENS, got, sizeof got, &len);
    bool is_old = err == TEDDY_OK && len == 1300 && memcmp(got, old_record, len) == 0;
    bool is_new = err == TEDDY_OK && len == 1400 && memcmp(got, new_record, len) == 0;
    bool is_none = before == 0 && err == TEDDY_ENOTFOUND;

    if (!is_old && !is_new && !is_none)
        fail_msg("after %zu saves, cut at write %zu: result %d, %zu bytes", before, cut_at, err,
                 len);
}

/* Saves once with the power cut at the n-th write; false when it was over before. before: how many
 * saves came first, so that pages fill and are swept. */
static bool cut_once(size_t before, size_t n, bool torn)
{
    bool was_cut;

    flash_new();
    write_factory();
    start();
    fill(old_record, 1);
    fill(new_record, 2);
    for (size_t i = 0; i < before; i++) {
        old_record[0] = (uint8_t)i;
        assert_int_equal(record_save(&toy, TEDDY_RECORD_TOKENS, old_record, 1300), TEDDY_OK);
    }
    flash_cut_at(n, torn);
    assert_true(record_save(&toy, TEDDY_RECORD_TOKENS, new_record, 1400) == TEDDY_OK ||
                flash_was_cut());
    was_cut = flash_was_cut();
    stop();
    start();
    if (was_cut)
        check_after_cut(before, n);
    else
        expect(TEDDY_RECORD_TOKENS, new_record, 1400);
    stop();
    return was_cut;
}

static void power_may_go_at_any_write(void **state)
{
    size_t cuts = 0;

    (void)state;
    stop();
    for (size_t before = 0; before < 20; before++)
        for (int torn = 0; torn < 2; torn++)
            for (size_t n = 1; cut_once(before, n, torn); n++)
                cuts++;
    print_message("%zu cuts\n", cuts);
    assert_true(cuts > 5000);
    flash_new();
    write_factory();
    start();
}

/* As when a partition was made smaller: no page is free. */
static void a_partition_without_room_is_begun_anew(void **state)
{
    const esp_partition_t *p =
        esp_partition_find_first(ESP_PARTITION_TYPE_DATA, ESP_PARTITION_SUBTYPE_DATA_NVS, "nvs");
    static uint8_t page[4096];
    size_t len;

    (void)state;
    assert_int_equal(record_save(&toy, TEDDY_RECORD_TOKENS, old_record, 700), TEDDY_OK);
    stop();
    assert_int_equal(esp_partition_read(p, 0, page, sizeof page), ESP_OK);
    for (size_t at = sizeof page; at < p->size; at += sizeof page)
        assert_int_equal(esp_partition_write(p, at, page, sizeof page), ESP_OK);
    assert_int_equal(nvs_flash_init(), ESP_ERR_NVS_NO_FREE_PAGES);
    start();
    assert_int_equal(record_load(&toy, TEDDY_RECORD_TOKENS, got, sizeof got, &len),
                     TEDDY_ENOTFOUND);
    assert_int_equal(record_save(&toy, TEDDY_RECORD_TOKENS, old_record, 700), TEDDY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_stand_apart_and_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(erase_takes_all_records_and_nothing_else, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_factory_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(power_may_go_at_any_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_partition_without_room_is_begun_anew, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
