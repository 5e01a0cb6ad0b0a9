#include "process/asked.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/text.h"
#include "proto/writer.h"

/* A JSON text under way: its size is guessed, and it is written again when that was too little. */
static void member(struct writer *w, const char *name, struct span text)
{
    if (w->len > 0 && w->buf[w->len - 1] != '{')
        writer_text(w, ",");
    writer_json_string(w, span_of(name));
    writer_text(w, ":");
    writer_json_string(w, text);
}

static void add_message(struct writer *w, const char *role, const char *name, struct span text)
{
    if (w->len > 0 && w->buf[w->len - 1] != '[')
        writer_text(w, ",");
    writer_text(w, "{");
    member(w, "role", span_of(role));
    member(w, name, text);
    writer_text(w, "}");
}

static void add_history(struct writer *w, const char *name, const struct process_turn *turn)
{
    for (size_t i = 0; i < turn->history_count; i++) {
        const struct process_message *m = &turn->history[i];
        add_message(w, m->role == ROLE_USER ? "user" : "assistant", name, m->text);
    }
}

static size_t history_len(const struct process_turn *turn)
{
    size_t len = 0;
    for (size_t i = 0; i < turn->history_count; i++)
        len += turn->history[i].text.len + 48; /* and what stands around it */
    return len;
}

/* Few characters are escaped; each may be, by six. NULL: out of memory. */
static char *written(size_t words, void (*write)(struct writer *, const void *), const void *what)
{
    for (size_t each = 1;; each = 6) {
        size_t cap = words * each + words / 8 + 512;
        char *out = malloc(cap);
        if (!out)
            return NULL;
        struct writer w = writer_on(out, cap);
        write(&w, what);
        if (writer_end(&w) == TEDDY_OK)
            return out;
        wipe(out, cap);
        free(out);
        if (each == 6)
            return NULL;
    }
}

struct chat_request {
    const struct chat_words *words;
    const struct process_turn *turn;
    struct span system;
};

static void write_chat(struct writer *w, const void *what)
{
    const struct chat_request *r = what;
    char number[32];
    writer_text(w, "{");
    member(w, "model", span_of(r->words->model));
    writer_text(w, ",\"messages\":[");
    add_message(w, "system", "content", r->system);
    add_history(w, "content", r->turn);
    add_message(w, "user", "content", r->turn->text);
    writer_text(w, "],\"stream\":true");
    if (r->words->temperature >= 0) {
        snprintf(number, sizeof number, ",\"temperature\":%.4g", r->words->temperature);
        writer_text(w, number);
    }
    if (r->words->max_tokens) {
        writer_text(w, ",\"max_tokens\":");
        writer_u64(w, r->words->max_tokens);
    }
    writer_text(w, "}");
}

char *asked_chat(const struct chat_words *words, const struct process_turn *turn)
{
    struct chat_request r = {words, turn, turn->system.len ? turn->system : span_of(words->prompt)};
    return written(strlen(words->model) + r.system.len + history_len(turn) + turn->text.len,
                   write_chat, &r);
}

struct turn_request {
    const char *id, *speaker;
    const struct process_turn *turn;
};

static void write_turn(struct writer *w, const void *what)
{
    const struct turn_request *r = what;
    const struct process_profile *p = &r->turn->profile;
    writer_text(w, "{");
    member(w, "id", span_of(r->id));
    member(w, "speaker", span_of(r->speaker));
    member(w, "text", r->turn->text);
    writer_text(w, ",\"profile\":{");
    if (p->name.len)
        member(w, "name", p->name);
    if (p->language.len)
        member(w, "language", p->language);
    if (p->age) {
        writer_text(w, w->buf[w->len - 1] == '{' ? "\"age\":" : ",\"age\":");
        writer_u64(w, p->age);
    }
    writer_text(w, "},\"history\":[");
    add_history(w, "text", r->turn);
    writer_text(w, "]}");
}

char *asked_turn(const char *id, const char *speaker, const struct process_turn *turn)
{
    struct turn_request r = {id, speaker, turn};
    return written(strlen(id) + strlen(speaker) + turn->profile.name.len +
                       turn->profile.language.len + history_len(turn) + turn->text.len,
                   write_turn, &r);
}

void asked_free(char *json)
{
    if (json)
        wipe(json, strlen(json));
    free(json);
}

void speaker_name(const char *key, const struct process_session *who, char out[SPEAKER_LEN + 1])
{
    uint8_t mac[EVP_MAX_MD_SIZE] = {0};
    char message[512];
    struct writer names = writer_on(message, sizeof message);
    struct writer w = writer_on(out, SPEAKER_LEN + 1);
    writer_text(&names, who->device);
    writer_text(&names, "\n"); /* in no id */
    writer_text(&names, who->child);
    HMAC(EVP_sha256(), key, (int)strlen(key), (const uint8_t *)message, names.len, mac, NULL);
    writer_hex(&w, mac, SPEAKER_LEN / 2);
    out[w.overflow ? 0 : SPEAKER_LEN] = '\0';
}
