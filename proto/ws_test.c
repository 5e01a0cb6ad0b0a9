#include "proto/ws.h"

#include "proto/proto_test.h"

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* What a decoder said about an input, piece by piece, joined: one line per message or control
 * frame. */
struct story {
    char text[70000];
    size_t len;
    int err;
};

static void tell(struct story *s, const void *data, size_t len)
{
    assert_true(len <= sizeof s->text - s->len);
    memcpy(s->text + s->len, data, len);
    s->len += len;
}

/* Joins the pieces of a message, so that however the input is cut the story is the same. */
static void tell_event(struct story *s, const struct ws_event *ev)
{
    char kind = (char)('0' + ev->opcode);

    if (ev->first)
        tell(s, &kind, 1);
    tell(s, ev->data, ev->len);
    if (ev->last)
        tell(s, "\n", 1);
}

/* Decodes in blocks of the step's size, each in a heap block of its own with what was left before
 * it. */
static void decode(struct story *s, bool masked, uint32_t max, struct span in, size_t step)
{
    struct ws_decoder d;
    size_t fed = 0, at = 0;

    ws_decoder_init(&d, masked, max);
    s->len = 0;
    s->err = TEDDY_AGAIN;
    while (fed < in.len) {
        struct span block;
        size_t pos = 0;

        fed = in.len - fed < step ? in.len : fed + step;
        block = heap_copy((struct span){in.p + at, fed - at});
        for (;;) {
            uint8_t *buf = (uint8_t *)(uintptr_t)block.p + pos;
            struct ws_event ev;
            size_t used;

            s->err = ws_decode(&d, buf, block.len - pos, &used, &ev);
            assert_true(used <= block.len - pos);
            pos += used;
            if (s->err != TEDDY_OK)
                break;
            assert_true(ev.data >= buf && ev.data + ev.len <= buf + used);
            assert_true(d.message_len <= max);
            tell_event(s, &ev);
        }
        at += pos;
        heap_free(block);
        if (s->err < 0)
            return;
    }
    if (at < in.len || d.frame_left > 0)
        tell(s, "...", 3);
}

static void expect(bool masked, uint32_t max, struct span in, int err, struct span told)
{
    static struct story s;

    for (size_t step = 1; step <= in.len; step++) {
        decode(&s, masked, max, in, step);
        assert_int_equal(s.err, err);
        if (err == TEDDY_AGAIN) {
            assert_int_equal(s.len, told.len);
            assert_memory_equal(s.text, told.p, told.len);
        }
    }
}

#define TOY(in, told)         expect(false, 65536, LIT(in), TEDDY_AGAIN, LIT(told))
#define TOY_REFUSES(in, err)  expect(false, 65536, LIT(in), err, LIT(""))
#define SERVER(in, told)      expect(true, 65536, LIT(in), TEDDY_AGAIN, LIT(told))
#define SERVER_REFUSES(in, e) expect(true, 65536, LIT(in), e, LIT(""))

/* RFC 6455 section 5.7. */
static void examples_of_the_rfc(void **state)
{
    (void)state;
    TOY("\x81\x05\x48\x65\x6c\x6c\x6f", "1Hello\n");
    SERVER("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "1Hello\n");
    TOY("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", "1Hello\n");
    TOY("\x89\x05\x48\x65\x6c\x6c\x6f", "9Hello\n");
    SERVER("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", ":Hello\n");
}

static void long_examples_of_the_rfc(void **state)
{
    static const size_t steps[] = {2, 3, 7, 4096, 65535, 65546};
    static char in[65536 + 10], told[65536 + 2];
    static struct story s;

    (void)state;
    memset(in, 'x', sizeof in);
    memset(told, 'x', sizeof told);
    told[0] = '2';
    memcpy(in, "\x82\x7e\x01\x00", 4);
    told[257] = '\n';
    expect(false, 65536, (struct span){in, 260}, TEDDY_AGAIN, (struct span){told, 258});
    told[257] = 'x';
    told[65537] = '\n';
    memcpy(in, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        decode(&s, false, 65536, (struct span){in, sizeof in}, steps[i]);
        assert_int_equal(s.err, TEDDY_AGAIN);
        assert_int_equal(s.len, sizeof told);
        assert_memory_equal(s.text, told, sizeof told);
    }
}

static void every_first_byte(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned opcode = byte & 15;
        bool fin = byte & 0x80;
        bool ok = (byte & 0x70) == 0 &&
                  (opcode == 1 || opcode == 2 || (fin && opcode >= 8 && opcode <= 10));
        uint8_t frame[2] = {(uint8_t)byte, 0};
        struct ws_decoder d;
        struct ws_event ev;
        size_t used;

        ws_decoder_init(&d, false, 100);
        assert_int_equal(ws_decode(&d, frame, 1, &used, &ev), ok ? TEDDY_AGAIN : TEDDY_EPROTO);
        assert_int_equal(used, 0);
        assert_int_equal(ws_decode(&d, frame, 2, &used, &ev), ok ? TEDDY_OK : TEDDY_EPROTO);
        if (!ok)
            continue;
        assert_int_equal(used, 2);
        assert_int_equal(ev.opcode, opcode);
        assert_int_equal(ev.len, 0);
        assert_true(ev.first);
        assert_int_equal(ev.last, fin);
    }
}

static void masking_is_one_way(void **state)
{
    (void)state;
    SERVER_REFUSES("\x81\x05Hello", TEDDY_EPROTO);
    SERVER_REFUSES("\x89\x00", TEDDY_EPROTO);
    TOY_REFUSES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", TEDDY_EPROTO);
    TOY_REFUSES("\x88\x80\0\0\0\0", TEDDY_EPROTO);
}

static void lengths_are_minimal(void **state)
{
    (void)state;
    TOY_REFUSES("\x82\x7e\x00\x00", TEDDY_EPROTO);
    TOY_REFUSES("\x82\x7e\x00\x7d", TEDDY_EPROTO);
    TOY_REFUSES("\x82\x7f\0\0\0\0\0\0\0\x05", TEDDY_EPROTO);
    TOY_REFUSES("\x82\x7f\0\0\0\0\0\0\xff\xff", TEDDY_EPROTO);
    TOY_REFUSES("\x82\x7f\x80\0\0\0\0\1\0\0", TEDDY_EPROTO);
    TOY_REFUSES("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", TEDDY_EPROTO);
    SERVER_REFUSES("\x82\xfe\x00\x7d", TEDDY_EPROTO);
    TOY("\x82\x7e\x00\x7e", "...");
    TOY("\x82\x7f\0\0\0\0\0\1\0\0", "...");
}

static void messages_are_bounded(void **state)
{
    (void)state;
    expect(false, 5, LIT("\x81\x05Hello"), TEDDY_AGAIN, LIT("1Hello\n"));
    expect(false, 5, LIT("\x81\x06Hello!"), TEDDY_ETOOBIG, LIT(""));
    /* Fragments together, and the header alone is enough to know. */
    expect(false, 5, LIT("\x01\x03Hel\x00\x02lo\x80\x00"), TEDDY_AGAIN, LIT("1Hello\n"));
    expect(false, 5, LIT("\x01\x03Hel\x80\x03"), TEDDY_ETOOBIG, LIT(""));
    expect(false, 5,
           LIT("\x01\x03Hel\x00\x01"
               "l\x80\x02"),
           TEDDY_ETOOBIG, LIT(""));
    expect(false, 5, LIT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), TEDDY_ETOOBIG, LIT(""));
    expect(false, 5, LIT("\x82\x7f\0\0\0\1\0\0\0\0"), TEDDY_ETOOBIG, LIT(""));
    expect(true, 5, LIT("\x82\x86"), TEDDY_ETOOBIG, LIT(""));
    /* Each message has the whole room again, and a control frame takes none of it. */
    expect(false, 5,
           LIT("\x81\x05Hello\x81\x05"
               "Again"),
           TEDDY_AGAIN, LIT("1Hello\n1Again\n"));
    expect(false, 3, LIT("\x89\x05Hello"), TEDDY_AGAIN, LIT("9Hello\n"));
    expect(false, 0, LIT("\x81\x00"), TEDDY_AGAIN, LIT("1\n"));
    expect(false, 0, LIT("\x81\x01"), TEDDY_ETOOBIG, LIT(""));
    expect(false, UINT32_MAX, LIT("\x82\x7f\0\0\0\1\0\0\0\0"), TEDDY_ETOOBIG, LIT(""));
    expect(false, UINT32_MAX, LIT("\x02\x05Hello\x80\x7f\0\0\0\0\xff\xff\xff\xfb"), TEDDY_ETOOBIG,
           LIT(""));
}

static void fragments(void **state)
{
    (void)state;
    TOY("\x01\x00\x00\x00\x80\x00", "1\n");
    TOY("\x01\x02"
        "ab\x00\x00\x00\x01"
        "c\x80\x02"
        "de",
        "1abcde\n");
    TOY("\x02\x02"
        "ab\x80\x01"
        "c\x81\x01"
        "x",
        "2abc\n1x\n");
    /* No continuation of nothing, no message within a message. */
    TOY_REFUSES("\x80\x00", TEDDY_EPROTO);
    TOY_REFUSES("\x00\x01", TEDDY_EPROTO);
    TOY_REFUSES("\x81\x01"
                "a\x80\x00",
                TEDDY_EPROTO);
    TOY_REFUSES("\x01\x01"
                "a\x81\x01"
                "b",
                TEDDY_EPROTO);
    TOY_REFUSES("\x01\x01"
                "a\x02\x01"
                "b",
                TEDDY_EPROTO);
    TOY_REFUSES("\x02\x00\x02\x00", TEDDY_EPROTO);
}

static void control_frames_come_between(void **state)
{
    (void)state;
    TOY("\x01\x02"
        "ab\x89\x01"
        "p\x00\x01"
        "c\x8a\x00\x80\x01"
        "d",
        "1ab9p\nc:\nd\n");
    TOY("\x01\x00\x88\x02\x03\xe8\x80\x00", "18\x03\xe8\n\n");
    /* A ping in the middle of a character: the character goes on behind it. */
    TOY("\x01\x01\xc3\x89\x00\x80\x01\xa9", "1\xc3"
                                            "9\n\xa9\n");
    TOY_REFUSES("\x09\x00", TEDDY_EPROTO);
    TOY_REFUSES("\x08\x00", TEDDY_EPROTO);
    TOY_REFUSES("\x0a\x00", TEDDY_EPROTO);
    TOY_REFUSES("\x89\x7e\x00\x7e", TEDDY_EPROTO);
    TOY_REFUSES("\x89\x7f", TEDDY_EPROTO);
    TOY_REFUSES("\x89\x7e", TEDDY_EPROTO);
    SERVER_REFUSES("\x89\xfe", TEDDY_EPROTO);
}

/* A control frame is given whole or not at all, and is not unmasked twice. */
static void a_partial_control_frame_is_left_alone(void **state)
{
    uint8_t frame[6 + WS_CONTROL_MAX], copy[sizeof frame];
    struct ws_decoder d;
    struct ws_event ev;
    size_t used;

    (void)state;
    memset(frame, 'p', sizeof frame);
    assert_int_equal(ws_header(frame, WS_PING, WS_CONTROL_MAX, mask), 6);
    ws_mask(frame + 6, WS_CONTROL_MAX, mask);
    memcpy(copy, frame, sizeof frame);
    ws_decoder_init(&d, true, 10);
    for (size_t len = 0; len < sizeof frame; len++) {
        assert_int_equal(ws_decode(&d, frame, len, &used, &ev), TEDDY_AGAIN);
        assert_int_equal(used, 0);
        assert_memory_equal(frame, copy, sizeof frame);
    }
    assert_int_equal(ws_decode(&d, frame, sizeof frame, &used, &ev), TEDDY_OK);
    assert_int_equal(ev.len, WS_CONTROL_MAX);
    for (size_t i = 0; i < ev.len; i++)
        assert_int_equal(ev.data[i], 'p');
}

static void close_codes(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 65536; code++) {
        uint8_t frame[4] = {0x88, 2, (uint8_t)(code >> 8), (uint8_t)code};
        bool ok = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                  (code >= 3000 && code < 5000);
        struct ws_decoder d;
        struct ws_event ev;
        size_t used;

        ws_decoder_init(&d, false, 0);
        assert_int_equal(ws_decode(&d, frame, 4, &used, &ev), ok ? TEDDY_OK : TEDDY_EPROTO);
    }
    TOY("\x88\x00", "8\n");
    TOY_REFUSES("\x88\x01\x03", TEDDY_EPROTO);
    TOY("\x88\x05\x03\xe8"
        "bye",
        "8\x03\xe8"
        "bye\n");
    TOY_REFUSES("\x88\x03\x03\xe8\xff", TEDDY_EUTF8);
    TOY_REFUSES("\x88\x03\x03\xe8\xc3", TEDDY_EUTF8);
    TOY_REFUSES("\x88\x04\x03\xe8\xc0\xaf", TEDDY_EUTF8);
    SERVER("\x88\x82\0\0\0\0\x03\xe8", "8\x03\xe8\n");
}

static void text_is_utf8(void **state)
{
    (void)state;
    TOY("\x81\x04\xf0\x9f\xa7\xb8", "1🧸\n");
    TOY("\x01\x01\xf0\x00\x01\x9f\x00\x01\xa7\x80\x01\xb8", "1🧸\n");
    TOY_REFUSES("\x81\x02\xc0\xaf", TEDDY_EUTF8);
    TOY_REFUSES("\x81\x03\xed\xa0\x80", TEDDY_EUTF8);
    TOY_REFUSES("\x81\x01\xc3", TEDDY_EUTF8);
    TOY_REFUSES("\x01\x01\xc3\x80\x00", TEDDY_EUTF8);
    TOY_REFUSES("\x01\x01\xc3\x80\x01"
                "a",
                TEDDY_EUTF8);
    /* At once, while the rest of the frame has not come (Autobahn 6.4). */
    TOY_REFUSES("\x81\x20"
                "ab\xf4\x90",
                TEDDY_EUTF8);
    TOY_REFUSES("\x01\x01\xed\x00\x10\xa0", TEDDY_EUTF8);
    /* Binary may be anything, and each message starts afresh. */
    TOY("\x82\x02\xc0\xaf", "2\xc0\xaf\n");
    TOY("\x02\x01\xc3\x80\x00\x81\x01"
        "a",
        "2\xc3\n1a\n");
}

/* Frames of many lengths, written with our own header, masked, and cut at every byte. */
static void what_is_written_reads_back(void **state)
{
    static const size_t lens[] = {0, 1, 7, 8, 9, 124, 125, 126, 127, 200, 300};
    static char in[1500], told[1500];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        for (int masked = 0; masked < 2; masked++) {
            size_t n = 0, t = 0;

            for (int twice = 0; twice < 2; twice++) {
                n += ws_header((uint8_t *)in + n, WS_TEXT, lens[i], masked ? mask : NULL);
                told[t++] = '1';
                for (size_t k = 0; k < lens[i]; k++) {
                    told[t++] = (char)('a' + k % 26);
                    in[n + k] = (char)('a' + k % 26);
                }
                told[t++] = '\n';
                if (masked)
                    ws_mask((uint8_t *)in + n, lens[i], mask);
                n += lens[i];
            }
            expect(masked, 300, (struct span){in, n}, TEDDY_AGAIN, (struct span){told, t});
        }
    }
}

static void headers_have_the_shortest_form(void **state)
{
    static const struct {
        uint64_t len;
        const char *want;
        size_t want_len;
    } cases[] = {
        {0, "\x81\x00", 2},
        {125, "\x81\x7d", 2},
        {126, "\x81\x7e\x00\x7e", 4},
        {65535, "\x81\x7e\xff\xff", 4},
        {65536, "\x81\x7f\0\0\0\0\0\1\0\0", 10},
        {0x0102030405060708, "\x81\x7f\1\2\3\4\5\6\7\x8", 10},
    };
    uint8_t out[WS_HEADER_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t len = (size_t)cases[i].len;

        if (len != cases[i].len)
            continue; /* no payload on this machine is so long */
        assert_int_equal(ws_header(out, WS_TEXT, len, NULL), cases[i].want_len);
        assert_memory_equal(out, cases[i].want, cases[i].want_len);
        assert_int_equal(ws_header(out, WS_TEXT, len, mask), cases[i].want_len + 4);
        assert_int_equal(out[1], (uint8_t)cases[i].want[1] | 0x80);
        assert_memory_equal(out + cases[i].want_len, mask, 4);
    }
}

static void masks_of_every_length(void **state)
{
    uint8_t data[40];

    (void)state;
    for (size_t len = 0; len <= 39; len++) {
        memset(data, 0, sizeof data);
        ws_mask(data, len, mask);
        for (size_t i = 0; i < sizeof data; i++)
            assert_int_equal(data[i], i < len ? mask[i % 4] : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(long_examples_of_the_rfc),
        cmocka_unit_test(every_first_byte),
        cmocka_unit_test(masking_is_one_way),
        cmocka_unit_test(lengths_are_minimal),
        cmocka_unit_test(messages_are_bounded),
        cmocka_unit_test(fragments),
        cmocka_unit_test(control_frames_come_between),
        cmocka_unit_test(a_partial_control_frame_is_left_alone),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(headers_have_the_shortest_form),
        cmocka_unit_test(masks_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
