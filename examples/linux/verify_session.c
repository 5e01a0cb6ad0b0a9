/* The session: its opening, utterances with echo and reply, and the messages around them. */
#include <stdio.h>
#include <string.h>

#include "verify_parts.h"

/* One utterance's way: its echo, then its answer's parts, then its end. */
struct said {
    uint64_t seq;
    bool echoed, echo_is_end, ended, in_order, id_ok;
    char reply[1024];
};

static void take(struct said *s, const struct incoming *in, const char *text, const char *id)
{
    char got[1024], got_id[LIMIT_UTTERANCE_ID + 1];

    ws_member(in, "text", got, sizeof got);
    ws_member(in, "id", got_id, sizeof got_id);
    s->id_ok = s->id_ok && strcmp(got_id, id) == 0;
    if (strcmp(in->type, "echo") == 0) {
        s->in_order = s->in_order && !s->echoed && strcmp(got, text) == 0;
        s->echoed = true;
        s->seq = ws_number(in, "seq");
        s->ended = s->echo_is_end = ws_done(in);
    } else {
        size_t have = strlen(s->reply);
        s->in_order = s->in_order && s->echoed && ws_number(in, "seq") == s->seq;
        snprintf(s->reply + have, sizeof s->reply - have, "%s", got);
        s->ended = ws_done(in);
    }
}

/* Says it as a message with an id, and follows it to its end. */
static struct said say(struct verify *v, const char *text, const char *id)
{
    struct said s = {.in_order = true, .id_ok = true};
    char message[256];

    snprintf(message, sizeof message, "{\"type\":\"text\",\"text\":\"%s\",\"id\":\"%s\"}", text,
             id);
    v->in.err = ws_send_text(&v->main, message);
    while (v->in.err == TEDDY_OK && !s.ended) {
        ws_next(&v->main, &v->in, WIRE_PATIENCE_MS);
        if (v->in.err != TEDDY_OK || v->in.opcode == WS_CLOSE)
            break;
        if (strcmp(v->in.type, "echo") == 0 || strcmp(v->in.type, "reply") == 0)
            take(&s, &v->in, text, id);
        if (strcmp(v->in.type, "error") == 0)
            break;
    }
    return s;
}

static const char *seen_said(const struct verify *v, const struct said *s)
{
    if (s->ended)
        return s->echo_is_end ? "the echo says done"
               : s->in_order  ? "echo, then reply"
                              : "out of order";
    if (v->in.err != TEDDY_OK)
        return teddy_err_text(v->in.err);
    return !s->echoed ? "no echo" : v->in.opcode == WS_CLOSE ? "closed" : "no end";
}

static void utterances(struct verify *v)
{
    struct said first, second, again;
    char id[40], nonce[33];

    nonce_new(v, nonce);
    snprintf(id, sizeof id, "a-%s", nonce);
    first = say(v, "Hello, I am being verified.", id);
    check(v, first.ended && first.in_order,
          "an utterance is echoed, then answered, done at the end", "%s", seen_said(v, &first));
    check(v, first.seq == 1, "the first utterance of a session has seq 1", "seq %llu",
          (unsigned long long)first.seq);
    check(v, first.ended && first.id_ok, "its id is repeated in echo and reply", "%s",
          first.id_ok ? "it is" : "it is not");
    again = say(v, "Hello, I am being verified.", id);
    check(v,
          again.ended && again.in_order && again.id_ok &&
              (again.reply[0] == '\0' || strcmp(again.reply, first.reply) == 0),
          "the same id again is echoed, and not processed twice", "%s%s", seen_said(v, &again),
          again.reply[0] == '\0'                  ? ", no second answer"
          : strcmp(again.reply, first.reply) == 0 ? ", the same answer"
                                                  : ", another answer");
    id[0] = 'b';
    second = say(v, "One more thing.", id);
    check(v, second.ended && second.in_order && second.seq > first.seq,
          "the next one has a later seq", "seq %llu", (unsigned long long)second.seq);
}

static void plain_utterance(struct verify *v)
{
    char got[64] = "";

    v->in.err = ws_send_text(&v->main, "plain words");
    if (v->in.err == TEDDY_OK)
        ws_await(&v->main, &v->in, "echo");
    ws_member(&v->in, "text", got, sizeof got);
    check(v, v->in.err == TEDDY_OK && strcmp(got, "plain words") == 0,
          "plain text is an utterance, too", "%s", v->in.err ? teddy_err_text(v->in.err) : got);
    while (v->in.err == TEDDY_OK && v->in.opcode == WS_TEXT &&
           !ws_done(&v->in)) /* let its answer end */
        ws_next(&v->main, &v->in, WIRE_PATIENCE_MS);
}

/* Three at once: their answers come whole, and in their order. */
static void order(struct verify *v)
{
    uint64_t seqs[3] = {0}, ended = 0, current = 0;
    bool ok = true;

    for (int i = 0; i < 3; i++)
        ok = ok && ws_send_text(&v->main, "Tell me something.") == TEDDY_OK;
    for (size_t echoes = 0; ok && ended < 3;) {
        ws_next(&v->main, &v->in, WIRE_PATIENCE_MS);
        bool echo = strcmp(v->in.type, "echo") == 0;
        if (v->in.err != TEDDY_OK || v->in.opcode == WS_CLOSE || strcmp(v->in.type, "error") == 0)
            break;
        if (!echo && strcmp(v->in.type, "reply") != 0)
            continue;
        uint64_t seq = ws_number(&v->in, "seq");
        if (echo && echoes < 3)
            seqs[echoes++] = seq;
        if (!echo)
            ok = current == 0 || current == seq;
        current = echo ? current : ws_done(&v->in) ? 0 : seq;
        if (ws_done(&v->in))
            ok = ok && seq == seqs[ended++];
    }
    check(v, ok && ended == 3 && seqs[0] < seqs[1] && seqs[1] < seqs[2],
          "three at once are answered in order, none interleaved", "%llu answered",
          (unsigned long long)ended);
}

static void error_for(struct verify *v, const char *message, const char *code)
{
    char got[40] = "", what[120];

    v->in.err = ws_send_text(&v->main, message);
    if (v->in.err == TEDDY_OK)
        ws_await(&v->main, &v->in, "error");
    ws_member(&v->in, "code", got, sizeof got);
    snprintf(what, sizeof what, "%.60s is an error %s", message, code);
    check(v, strcmp(got, code) == 0, what, "%s",
          v->in.err                  ? teddy_err_text(v->in.err)
          : v->in.opcode == WS_CLOSE ? seen_close(v)
                                     : got);
}

static void pings(struct verify *v)
{
    char payload[8] = "";

    v->in.err = ws_send_raw(&v->main, 0x80 | WS_PING, "verify", 6);
    while (v->in.err == TEDDY_OK && v->in.opcode != WS_CLOSE) {
        ws_next(&v->main, &v->in, WIRE_PATIENCE_MS);
        if (v->in.err == TEDDY_OK && v->in.opcode == WS_PONG)
            break;
    }
    if (v->in.err == TEDDY_OK && v->in.text.len < sizeof payload)
        memcpy(payload, v->in.text.p, v->in.text.len);
    check(v, v->in.err == TEDDY_OK && v->in.opcode == WS_PONG && strcmp(payload, "verify") == 0,
          "a WebSocket ping is answered with its payload", "%s",
          v->in.err ? teddy_err_text(v->in.err) : "pong");
    v->in.opcode = 0;
    v->in.err = ws_send_text(&v->main, "{\"type\":\"ping\",\"t\":4711}");
    if (v->in.err == TEDDY_OK)
        ws_await(&v->main, &v->in, "pong");
    check(v,
          v->in.err == TEDDY_OK && ws_number(&v->in, "t") == 4711 && ws_number(&v->in, "time") > 0,
          "the message ping is answered with its t and the time", "%s",
          v->in.err ? teddy_err_text(v->in.err) : "pong");
}

static void query_session(struct verify *v)
{
    ws_open(&v->main, v->ws_path, v->pair.access, NULL, &v->answer);
    check(v, v->answer.status == 101 && v->answer.err == TEDDY_OK,
          "a session opens with the token in the query", "%s", seen_answer(v));
    if (v->answer.status != 101)
        return;
    v->in.err = ws_send_text(&v->main, "{\"type\":\"hello\",\"sdk\":\"verify\"}");
    if (v->in.err == TEDDY_OK)
        ws_await(&v->main, &v->in, "welcome");
    check(v, v->in.err == TEDDY_OK && v->in.opcode == WS_TEXT, "hello is answered with welcome",
          "%s",
          v->in.err                  ? teddy_err_text(v->in.err)
          : v->in.opcode == WS_CLOSE ? seen_close(v)
                                     : "welcome");
    wire_close(&v->main);
}

static void welcome(struct verify *v)
{
    char session[64];

    ws_member(&v->in, "session", session, sizeof session);
    check(v,
          ws_number(&v->in, "heartbeat_s") > 0 && ws_number(&v->in, "time") > 0 &&
              session[0] != '\0',
          "welcome has session, heartbeat_s and time", "heartbeat %llu s",
          (unsigned long long)ws_number(&v->in, "heartbeat_s"));
}

void verify_session(struct verify *v)
{
    query_session(v);
    bool open = session_open(v, &v->main);
    if (!check(v, open, "a session opens with the token as Bearer", "%s", seen_answer(v)))
        return;
    welcome(v);
    utterances(v);
    plain_utterance(v);
    order(v);
    pings(v);
    error_for(v, "{\"type\":\"no_such_type\"}", "unknown_type");
    error_for(v, "{\"text\":\"no type\"}", "bad_message");
    error_for(v, "{not json", "bad_message");
    struct said still = say(v, "Still here?", "still-here");
    check(v, still.ended, "after all that the session is still up", "%s", seen_said(v, &still));
    v->in.err = ws_send_raw(&v->main, 0x80 | WS_CLOSE, "\x03\xe8", 2);
    if (v->in.err == TEDDY_OK)
        ws_await_close(&v->main, &v->in);
    check(v, v->in.err == TEDDY_OK && v->in.code == 1000, "a close 1000 is answered with 1000",
          "%s", seen_close(v));
    wire_close(&v->main);
}
