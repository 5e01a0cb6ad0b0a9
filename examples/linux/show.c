#include "show.h"

#include <string.h>
#include <unistd.h>

#include "proto/writer.h"

#define BLUE  "\033[34m"
#define GREEN "\033[32m"
#define GREY  "\033[90m"
#define PLAIN "\033[0m"

void show_init(struct show *s, const struct args *args)
{
    memset(s, 0, sizeof *s);
    s->output = args->output;
    s->device_id = args->id;
    s->child_id = args->child;
    s->verbose = args->verbose;
    s->colour = args->output != OUTPUT_JSON && isatty(STDOUT_FILENO);
    s->prompts = args->output == OUTPUT_PEOPLE && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
}

static void clear_prompt(struct show *s)
{
    if (s->prompted)
        fputs("\r\033[K", stdout);
    s->prompted = false;
}

/* What others wrote must not steer a terminal: control characters, C1 ones too, become a space. */
static void put_text(FILE *to, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0) {
            fputc(' ', to);
            i++;
        } else {
            fputc(c < 0x20 || c == 0x7f ? ' ' : c, to);
        }
    }
}

static void line(struct show *s, const char *label, const char *colour, const char *text,
                 size_t len)
{
    clear_prompt(s);
    printf("%s%s%s ", s->colour ? colour : "", label, s->colour ? PLAIN : "");
    put_text(stdout, text, len);
    putchar('\n');
    fflush(stdout);
}

static void json(const char *event, const char *more)
{
    printf("{\"event\":\"%s\"%s}\n", event, more);
    fflush(stdout);
}

/* text must be valid UTF-8, as all that the SDK hands over is. In pieces that never split a
 * character; what quotes them is not printed. */
static void json_quoted(const char *text, size_t len)
{
    char quoted[6 * 1024 + 8];

    for (size_t at = 0; at < len;) {
        struct writer w = writer_on(quoted, sizeof quoted);
        size_t n = len - at < 1000 ? len - at : 1000;
        while (at + n < len && ((unsigned char)text[at + n] & 0xc0) == 0x80)
            n--;
        writer_json_string(&w, (struct span){text + at, n});
        if (w.len >= 2)
            fwrite(quoted + 1, 1, w.len - 2, stdout);
        at += n;
    }
}

static void json_text(const char *event, const struct teddy_event *e, const char *text, size_t len)
{
    printf("{\"event\":\"%s\",\"id\":\"%s\",\"seq\":%llu,\"done\":%s,\"text\":\"", event, e->id,
           (unsigned long long)e->seq, e->done ? "true" : "false");
    json_quoted(text, len);
    puts("\"}");
    fflush(stdout);
}

static void people(struct show *s, const char *label, const char *colour, const char *text)
{
    if (s->output == OUTPUT_PEOPLE)
        line(s, label, colour, text, strlen(text));
}

void show_message(struct show *s, const struct teddy_message *m)
{
    if (s->output == OUTPUT_JSON) {
        printf("{\"event\":\"message\",\"id\":\"%s\",\"data\":%s,\"expires\":%llu,\"text\":\"",
               m->id, m->is_data ? "true" : "false", (unsigned long long)m->expires_s);
        json_quoted(m->text, m->text_len);
        puts("\"}");
        fflush(stdout);
    } else {
        line(s, m->is_data ? "data:" : "message:", GREEN, m->text, m->text_len);
    }
}

void show_said(struct show *s, const char *text, size_t len, uint64_t id)
{
    char number[24];

    snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    if (s->output == OUTPUT_JSON)
        json_text("said", &(struct teddy_event){.id = number}, text, len);
    else if (s->output == OUTPUT_PEOPLE && !s->prompts) /* on a terminal it stands there already */
        line(s, "child:", BLUE, text, len);
    s->prompted = false;
}

void show_prompt(struct show *s)
{
    if (!s->prompts || s->prompted)
        return;
    printf("%schild:%s ", BLUE, PLAIN);
    fflush(stdout);
    s->prompted = true;
}

void show_note(struct show *s, enum teddy_log_level level, const char *text)
{
    if (level == TEDDY_LOG_DEBUG && !s->verbose)
        return;
    if (s->output == OUTPUT_QUIET && level > TEDDY_LOG_WARN)
        return;
    if (s->prompted) {
        clear_prompt(s);
        fflush(stdout);
    }
    fputs("teddy-device: ", stderr);
    put_text(stderr, text, strlen(text));
    fputc('\n', stderr);
}

static void connected(struct show *s, const struct teddy_event *e,
                      const struct teddy_posix_peer *peer)
{
    char text[800];

    if (s->output == OUTPUT_JSON) {
        snprintf(text, sizeof text,
                 ",\"purpose\":\"%s\",\"tls\":%s,\"resumed\":%s,\"sha256\":\"%s\"", e->purpose,
                 peer->tls ? "true" : "false", peer->resumed ? "true" : "false", peer->sha256);
        json("connected", text);
        return;
    }
    if (!peer->tls) {
        people(s, "certificate:", GREY, "none: this connection is not encrypted");
        return;
    }
    if (strcmp(s->certificate, peer->sha256) == 0) {
        if (s->verbose)
            people(s, "certificate:", GREY,
                   peer->resumed ? "as before (session resumed)" : "as before, verified again");
        return;
    }
    snprintf(s->certificate, sizeof s->certificate, "%s", peer->sha256);
    snprintf(text, sizeof text, "verified: %s, issued by %s; %s, %s; sha256 %s", peer->subject,
             peer->issuer, peer->version, peer->cipher, peer->sha256);
    people(s, "certificate:", GREY, text);
}

static void tokens(struct show *s, const struct teddy_event *e)
{
    bool claimed = e->type == TEDDY_EVENT_CLAIMED;
    char text[256];

    if (s->output == OUTPUT_JSON) {
        snprintf(text, sizeof text, ",\"expires_in\":%u", e->expires_in);
        json(claimed ? "claimed" : "refreshed", text);
        return;
    }
    if (claimed)
        snprintf(text, sizeof text, "%s is paired with %s; tokens for %u s", s->device_id,
                 s->child_id, e->expires_in);
    else
        snprintf(text, sizeof text, "new tokens for %u s", e->expires_in);
    people(s, claimed ? "claim:" : "refresh:", GREY, text);
}

static const char *advice(const struct teddy_event *e)
{
    if (e->status == 404 && strcmp(e->code, "device_not_found") == 0)
        return ": register it with teddyctl device add";
    if (e->status == 404)
        return ": is this the right --server, and path?";
    if (strcmp(e->code, "invalid_signature") == 0)
        return ": the secret is not the one the server has for this device";
    if (strcmp(e->code, "device_disabled") == 0)
        return ": its operator can enable it";
    if (strcmp(e->code, "release_required") == 0)
        return ": it is bound to another child and must be released first";
    if (e->close == 4001)
        return ": another toy uses this device_id, or this one was started twice";
    if (e->err == TEDDY_ECERT)
        return ": if the server's authority is your own, give --ca FILE";
    if (e->err == TEDDY_ECLOCK)
        return ": check this machine's clock, and the server's certificate";
    if (e->err == TEDDY_EDNS)
        return ": check --server and the network";
    if (e->err == TEDDY_EIO && e->purpose[0] != '\0')
        return ": is the server up, and --server right?";
    return "";
}

void show_reason(const struct teddy_event *e, const char *device_id, char *out, size_t out_len)
{
    const char *purpose = e->purpose[0] != '\0' ? e->purpose : "session";
    const char *space = e->code[0] != '\0' ? " " : "";

    if (e->status != 0)
        snprintf(out, out_len, "%s of %s answered %d%s%s%s", purpose, device_id, e->status, space,
                 e->code, advice(e));
    else if (e->close != 0)
        snprintf(out, out_len, "%s of %s closed with %d%s%s%s", purpose, device_id, e->close, space,
                 e->code, advice(e));
    else
        snprintf(out, out_len, "%s of %s: %s%s", purpose, device_id, teddy_err_text(e->err),
                 advice(e));
}

static const char *state_name(enum teddy_state state)
{
    static const char *const names[] = {
        [TEDDY_STATE_IDLE] = "idle",
        [TEDDY_STATE_CLAIMING] = "claiming",
        [TEDDY_STATE_REFRESHING] = "refreshing",
        [TEDDY_STATE_CONNECTING] = "connecting",
        [TEDDY_STATE_ONLINE] = "online",
        [TEDDY_STATE_WAITING] = "waiting",
    };

    return names[state];
}

static void state_changed(struct show *s, const struct teddy_event *e)
{
    char text[400];

    if (e->state == TEDDY_STATE_WAITING)
        show_reason(e, s->device_id, s->reason, sizeof s->reason);
    if (s->output == OUTPUT_JSON) {
        snprintf(text, sizeof text,
                 ",\"state\":\"%s\",\"err\":%d,\"status\":%d,\"close\":%d,\"code\":\"%s\",\"wait_"
                 "ms\":%u",
                 state_name(e->state), e->err, e->status, e->close, e->code, e->wait_ms);
        json("state", text);
    }
    if (e->state == TEDDY_STATE_WAITING) {
        snprintf(text, sizeof text, "%s; again in %u.%03u s", s->reason, e->wait_ms / 1000,
                 e->wait_ms % 1000);
        show_note(s, TEDDY_LOG_WARN, text);
    } else if (e->state == TEDDY_STATE_ONLINE) {
        people(s, "session:", GREY, "open");
    } else {
        show_note(s, TEDDY_LOG_DEBUG, state_name(e->state));
    }
}

static void replied(struct show *s, const struct teddy_event *e)
{
    size_t room = sizeof s->reply - s->reply_len;

    if (s->output == OUTPUT_JSON) {
        json_text("reply", e, e->text, e->text_len);
        return;
    }
    if (s->reply_seq != e->seq)
        s->reply_len = 0;
    s->reply_seq = e->seq;
    room = sizeof s->reply - s->reply_len;
    memcpy(s->reply + s->reply_len, e->text, e->text_len < room ? e->text_len : room);
    s->reply_len += e->text_len < room ? e->text_len : room;
    if (!e->done)
        return;
    if (s->reply_len > 0)
        line(s, "teddy:", GREEN, s->reply, s->reply_len);
    s->reply_len = 0;
}

static void failed(struct show *s, const struct teddy_event *e)
{
    char text[300];

    s->reply_len = 0;
    if (s->output == OUTPUT_JSON)
        json_text("error", e, e->code, strlen(e->code));
    snprintf(text, sizeof text, "the server says %.40s: %.200s", e->code, e->text);
    show_note(s, TEDDY_LOG_WARN, text);
}

void show_event(struct show *s, const struct teddy_event *e, const struct teddy_posix_peer *peer)
{
    char text[160];

    switch (e->type) {
    case TEDDY_EVENT_STATE:
        state_changed(s, e);
        break;
    case TEDDY_EVENT_CONNECTED:
        connected(s, e, peer);
        break;
    case TEDDY_EVENT_CLAIMED:
    case TEDDY_EVENT_REFRESHED:
        tokens(s, e);
        if (e->err != TEDDY_OK)
            show_note(s, TEDDY_LOG_ERROR,
                      "the tokens could not be stored: after a restart it claims anew");
        break;
    case TEDDY_EVENT_ECHO:
        if (s->output == OUTPUT_JSON)
            json_text("echo", e, e->text, e->text_len);
        else if (s->output == OUTPUT_PEOPLE)
            line(s, "echo:", GREY, e->text, e->text_len);
        break;
    case TEDDY_EVENT_REPLY:
        replied(s, e);
        break;
    case TEDDY_EVENT_ERROR:
        failed(s, e);
        break;
    case TEDDY_EVENT_CLOCK:
        snprintf(text, sizeof text, "this machine's clock is %lld s %s the server's: set it right",
                 (long long)(e->skew_s < 0 ? -e->skew_s : e->skew_s),
                 e->skew_s < 0 ? "behind" : "ahead of");
        show_note(s, TEDDY_LOG_WARN, text);
        break;
    case TEDDY_EVENT_DROPPED:
    case TEDDY_EVENT_ROOM:
        break; /* we ask for no policy that drops, and say again by ourselves */
    }
}
