/* The commands on toys and their messages. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/table.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/utf8.h"
#include "proto/writer.h"

#define WORDS_MAX (64u << 10)

bool id_is_good(const char *id)
{
    if (id_ok(span_of(id)))
        return true;
    (void)usage("'%.80s' is no id: 1 to 64 of the characters A-Z a-z 0-9 _ -", id);
    return false;
}

int read_file(const char *name, size_t max, char **text, size_t *len)
{
    FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    int rc = CTL_DONE;

    if (f == NULL)
        return fail("%s: cannot be read: %s", name, strerror(errno));
    *text = malloc(max + 2);
    *len = *text != NULL ? fread(*text, 1, max + 1, f) : 0;
    if (*text == NULL)
        rc = fail("out of memory");
    else if (ferror(f))
        rc = fail("%s: cannot be read: %s", name, strerror(errno));
    else if (*len > max)
        rc = fail("%s: is longer than %zu bytes; split it", name, max);
    else
        (*text)[*len] = '\0';
    if (f != stdin)
        (void)fclose(f);
    if (rc != CTL_DONE) {
        free(*text);
        *text = NULL;
    }
    return rc;
}

static int secret_from_file(const char *name, uint8_t secret[LIMIT_SECRET_LEN])
{
    char *text = NULL;
    size_t len = 0;
    int rc = read_file(name, 256, &text, &len);

    if (rc != CTL_DONE)
        return rc;
    while (len > 0 && memchr(" \t\r\n", text[len - 1], 4) != NULL)
        len--;
    if (hex_decode((struct span){text, len}, secret, LIMIT_SECRET_LEN) != TEDDY_OK)
        rc = fail("%s: is not a secret: 64 hex digits", name);
    wipe(text, 256);
    free(text);
    return rc;
}

static int take_secret(const struct ctl *ctl, uint8_t secret[LIMIT_SECRET_LEN], bool *given)
{
    *given = ctl->secret != NULL || ctl->secret_file != NULL;
    if (ctl->secret != NULL && ctl->secret_file != NULL)
        return usage("--secret and --secret-file exclude each other");
    if (ctl->secret_file != NULL)
        return secret_from_file(ctl->secret_file, secret);
    if (ctl->secret != NULL &&
        hex_decode(span_of(ctl->secret), secret, LIMIT_SECRET_LEN) != TEDDY_OK)
        return usage("--secret takes 64 hex digits, for example from: openssl rand -hex 32");
    return CTL_DONE;
}

int run_add(struct ctl *ctl, const char *id)
{
    uint8_t secret[LIMIT_SECRET_LEN];
    struct ctl_call call = {.verb = ADMIN_ADD, .id = id};
    json_t *reply = NULL;
    bool given;
    int rc = id_is_good(id) ? take_secret(ctl, secret, &given) : CTL_USAGE;

    if (rc != CTL_DONE)
        return rc;
    call.secret = given ? secret : NULL;
    rc = link_call(ctl, &call, "", &reply);
    wipe(secret, sizeof secret);
    if (rc == CTL_DONE)
        rc = print_json(reply);
    json_decref(reply);
    return rc;
}

static int say_done(const struct ctl *ctl, const json_t *reply)
{
    static const char *const past[] = {
        [ADMIN_REMOVE] = "removed",   [ADMIN_ENABLE] = "enabled", [ADMIN_DISABLE] = "disabled",
        [ADMIN_RELEASE] = "released", [ADMIN_REVOKE] = "revoked",
    };
    const char *id = json_string_value(json_object_get(reply, "device_id"));

    (void)printf("%s %s\n", id != NULL ? id : "?", past[ctl->command->admin]);
    return fflush(stdout) == 0 ? CTL_DONE : fail("the output could not be written");
}

/* show, remove, enable, disable, rotate-secret, release, revoke. */
int run_device(struct ctl *ctl, const char *id)
{
    struct ctl_call call = {.verb = ctl->rotate ? ADMIN_RELEASE_ROTATE : ctl->command->admin,
                            .id = id};
    json_t *reply = NULL;
    int rc = id_is_good(id) ? link_call(ctl, &call, "", &reply) : CTL_USAGE;

    if (rc == CTL_DONE) {
        if (ctl->json || admin_shows_secret(call.verb))
            rc = print_json(reply);
        else
            rc = call.verb == ADMIN_SHOW ? print_object(reply) : say_done(ctl, reply);
    }
    json_decref(reply);
    return rc;
}

/* {"text": …} or {"data": …}, with "expires_in" or without, into *json, malloc'd. */
static int message_json(const struct ctl *ctl, struct span words, char **json, size_t *len)
{
    size_t cap = 6 * words.len + (ctl->object != NULL ? strlen(ctl->object) : 0) + 80;
    uint64_t expires = 0;
    struct writer w;

    if (ctl->expires != NULL && u64_parse(span_of(ctl->expires), &expires) != TEDDY_OK)
        return usage("--expires takes a whole number of seconds");
    *json = malloc(cap);
    if (*json == NULL)
        return fail("out of memory");
    w = writer_on(*json, cap);
    writer_text(&w, ctl->object != NULL ? "{\"data\":" : "{\"text\":");
    if (ctl->object != NULL)
        writer_text(&w, ctl->object);
    else
        writer_json_string(&w, words);
    if (ctl->expires != NULL) {
        writer_text(&w, ",\"expires_in\":");
        writer_u64(&w, expires);
    }
    writer_text(&w, "}");
    *len = w.len;
    return writer_end(&w) == TEDDY_OK ? CTL_DONE : fail("out of memory");
}

/* The words as given, or from standard input without the end of their last line. */
static int take_words(const struct ctl *ctl, struct span *words, char **text)
{
    const char *word = ctl->word_count > 2 ? ctl->words[2] : NULL;
    size_t len = 0;
    int rc;

    *words = span_of("");
    if ((word == NULL) == (ctl->object == NULL))
        return usage("send takes either TEXT or --object JSON; see teddyctl send --help");
    if (word == NULL)
        return CTL_DONE;
    *words = span_of(word);
    if (strcmp(word, "-") == 0) {
        rc = read_file(word, WORDS_MAX, text, &len);
        if (rc != CTL_DONE)
            return rc;
        while (len > 0 && ((*text)[len - 1] == '\n' || (*text)[len - 1] == '\r'))
            len--;
        *words = (struct span){*text, len};
    }
    return utf8_ok(words->p, words->len) ? CTL_DONE : fail("TEXT is not UTF-8");
}

int run_send(struct ctl *ctl, const char *id)
{
    struct ctl_call call = {.verb = ADMIN_SEND, .id = id};
    char *text = NULL, *json = NULL;
    struct span words = {"", 0};
    json_t *reply = NULL;
    size_t len = 0;
    int rc = id_is_good(id) ? take_words(ctl, &words, &text) : CTL_USAGE;

    if (rc == CTL_DONE)
        rc = message_json(ctl, words, &json, &len);
    call.text = (struct span){json, len};
    if (rc == CTL_DONE)
        rc = link_call(ctl, &call, "", &reply);
    if (rc == CTL_DONE)
        rc = print_json(reply);
    json_decref(reply);
    free(json);
    free(text);
    return rc;
}

int run_messages(struct ctl *ctl, const char *id)
{
    static const struct print_column columns[] = {{"MESSAGE", "id"},
                                                  {"QUEUED", "queued"},
                                                  {"EXPIRES", "expires"},
                                                  {"KIND", "kind"},
                                                  {"BYTES", "bytes"}};
    struct ctl_call call = {.verb = ADMIN_MESSAGES, .id = id};
    json_t *reply = NULL;
    int rc = id_is_good(id) ? link_call(ctl, &call, "", &reply) : CTL_USAGE;

    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_rows(json_object_get(reply, "messages"), columns,
                        sizeof columns / sizeof columns[0]);
    json_decref(reply);
    return rc;
}

int run_clear(struct ctl *ctl, const char *id)
{
    struct ctl_call call = {.verb = ADMIN_CLEAR, .id = id};
    json_t *reply = NULL;
    int rc = id_is_good(id) ? link_call(ctl, &call, "", &reply) : CTL_USAGE;

    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        (void)printf("%s: %lld withdrawn\n", id,
                     (long long)json_integer_value(json_object_get(reply, "cleared")));
    json_decref(reply);
    return rc;
}
