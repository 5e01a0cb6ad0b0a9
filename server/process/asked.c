#include "process/asked.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "proto/text.h"
#include "proto/writer.h"

static json_t *text_of(struct span s)
{
    return json_stringn(s.len ? s.p : "", s.len);
}

static const char *role_of(const struct process_message *m)
{
    return m->role == ROLE_USER ? "user" : "assistant";
}

/* All of it or NULL: a member that could not be made fails the whole. */
static char *dump(json_t *root, bool whole)
{
    char *out = root && whole ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return out;
}

static bool add_message(json_t *list, const char *role, const char *member, struct span text)
{
    json_t *m = json_object();
    bool ok = json_object_set_new(m, "role", json_string(role)) == 0;
    ok = json_object_set_new(m, member, text_of(text)) == 0 && ok;
    return json_array_append_new(list, m) == 0 && ok;
}

static bool add_history(json_t *list, const char *member, const struct process_turn *turn)
{
    bool ok = true;
    for (size_t i = 0; i < turn->history_count; i++)
        ok = add_message(list, role_of(&turn->history[i]), member, turn->history[i].text) && ok;
    return ok;
}

char *asked_chat(const struct chat_words *words, const struct process_turn *turn)
{
    json_t *root = json_object(), *messages = json_array();
    struct span system = turn->system.len ? turn->system : span_of(words->prompt);
    bool ok = add_message(messages, "system", "content", system);
    ok = add_history(messages, "content", turn) && ok;
    ok = add_message(messages, "user", "content", turn->text) && ok;
    ok = json_object_set_new(root, "model", json_string(words->model)) == 0 && ok;
    ok = json_object_set_new(root, "messages", messages) == 0 && ok;
    ok = json_object_set_new(root, "stream", json_true()) == 0 && ok;
    if (words->temperature >= 0)
        ok = json_object_set_new(root, "temperature", json_real(words->temperature)) == 0 && ok;
    if (words->max_tokens)
        ok = json_object_set_new(root, "max_tokens", json_integer(words->max_tokens)) == 0 && ok;
    return dump(root, ok);
}

static json_t *profile_of(const struct process_profile *p, bool *ok)
{
    json_t *profile = json_object();
    if (p->name.len)
        *ok = json_object_set_new(profile, "name", text_of(p->name)) == 0 && *ok;
    if (p->age)
        *ok = json_object_set_new(profile, "age", json_integer(p->age)) == 0 && *ok;
    if (p->language.len)
        *ok = json_object_set_new(profile, "language", text_of(p->language)) == 0 && *ok;
    return profile;
}

char *asked_turn(const char *id, const char *speaker, const struct process_turn *turn)
{
    json_t *root = json_object(), *history = json_array();
    bool ok = add_history(history, "text", turn);
    ok = json_object_set_new(root, "id", json_string(id)) == 0 && ok;
    ok = json_object_set_new(root, "speaker", json_string(speaker)) == 0 && ok;
    ok = json_object_set_new(root, "text", text_of(turn->text)) == 0 && ok;
    json_t *profile = profile_of(&turn->profile, &ok);
    ok = json_object_set_new(root, "profile", profile) == 0 && ok;
    ok = json_object_set_new(root, "history", history) == 0 && ok;
    return dump(root, ok);
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
