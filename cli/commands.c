/* What each command does once its words are known. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/routes.h"
#include "cli/ctl.h"
#include "proto/endpoints.h"
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

static int run_add(struct ctl *ctl, const char *id)
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
static int run_device(struct ctl *ctl, const char *id)
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

static int run_send(struct ctl *ctl, const char *id)
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

static int run_messages(struct ctl *ctl, const char *id)
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

static int run_clear(struct ctl *ctl, const char *id)
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

static int run_sessions(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {
        {"DEVICE", "device_id"}, {"CHILD", "child_id"},  {"SINCE", "since"}, {"SAID", "utterances"},
        {"HELLO", "hello"},      {"ADDRESS", "address"}, {"SESSION", "id"},
    };
    json_t *reply = NULL;
    int rc = link_server(ctl, "GET", ENDPOINT_ADMIN "/sessions?limit=10000",
                         "start teddyd, and there will be sessions", &reply);

    (void)arg;
    if (rc == CTL_DONE && ctl->json) {
        rc = print_json(reply);
    } else if (rc == CTL_DONE) {
        const json_t *rows = json_object_get(reply, "sessions");
        long long total = json_integer_value(json_object_get(reply, "total"));
        long long shown = (long long)json_array_size(rows);
        rc = print_rows(rows, columns, sizeof columns / sizeof columns[0]);
        if (total > shown)
            (void)fprintf(stderr, "teddyctl: and %lld more\n", total - shown);
    }
    json_decref(reply);
    return rc;
}

/* The table that this program was built with. */
static json_t *linked_routes(void)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < teddy_routes_count; i++) {
        const struct route *r = &teddy_routes[i];
        (void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s}", "method",
                                                    r->method, "pattern", r->pattern, "who",
                                                    route_who_name(r->who), "handler", r->name,
                                                    "role", route_role_name(r->role)));
    }
    return json_pack("{s:o}", "routes", rows);
}

static int run_routes(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {{"METHOD", "method"},
                                                  {"PATTERN", "pattern"},
                                                  {"WHO", "who"},
                                                  {"HANDLER", "handler"},
                                                  {"ROLE", "role"}};
    json_t *reply = NULL;
    int rc = link_server(ctl, "GET", ENDPOINT_ADMIN "/routes", NULL, &reply);

    (void)arg;
    if (rc == CTL_DONE && reply == NULL)
        reply = linked_routes();
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_rows(json_object_get(reply, "routes"), columns,
                        sizeof columns / sizeof columns[0]);
    json_decref(reply);
    return rc;
}

static int run_status(struct ctl *ctl, const char *arg)
{
    json_t *reply = NULL;
    int rc = link_server(ctl, "GET", ENDPOINT_ADMIN "/status", "start teddyd", &reply);

    (void)arg;
    if (rc == CTL_DONE)
        rc = ctl->json ? print_json(reply) : print_object(reply);
    json_decref(reply);
    return rc;
}

static int run_master_key(struct ctl *ctl, const char *arg)
{
    struct ctl_call call = {.verb = ctl->command->admin};
    json_t *reply = NULL;
    int rc = link_call(ctl, &call, "", &reply);

    (void)arg;
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_object(reply);
    json_decref(reply);
    return rc;
}

static int run_drain(struct ctl *ctl, const char *arg)
{
    json_t *reply = NULL;
    int rc = link_server(ctl, "POST", ENDPOINT_ADMIN "/drain", "there is nothing to drain", &reply);

    (void)arg;
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        (void)printf("draining\n");
    json_decref(reply);
    return rc;
}

const struct ctl_command ctl_commands[] = {
    {"device", "add", "ID", 1, run_add, ADMIN_ADD, true, false,
     "Register a toy; prints its id and secret as JSON",
     "  teddyctl device add Teddy-ESP32-0001\n"
     "  openssl rand -hex 32 | teddyctl device add Teddy-ESP32-0001 --secret-file -\n"},
    CTL_DEVICES,
    {"device", "show", "ID", 1, run_device, ADMIN_SHOW, false, false, "Show one toy",
     "  teddyctl device show Teddy-ESP32-0001\n"},
    {"device", "enable", "ID", 1, run_device, ADMIN_ENABLE, false, false,
     "Let a disabled toy in again", "  teddyctl device enable Teddy-ESP32-0001\n"},
    {"device", "disable", "ID", 1, run_device, ADMIN_DISABLE, false, false,
     "Keep a toy out, and close its session", "  teddyctl device disable Teddy-ESP32-0001\n"},
    CTL_DEVICE_SET,
    {"device", "rotate-secret", "ID", 1, run_device, ADMIN_ROTATE, false, false,
     "Give a toy a new secret, revoke its tokens; prints the secret as JSON",
     "  teddyctl device rotate-secret Teddy-ESP32-0001\n"},
    {"device", "release", "ID", 1, run_device, ADMIN_RELEASE, false, false,
     "Take a toy back: its child, tokens, messages and history are gone",
     "  teddyctl device release Teddy-ESP32-0001\n"
     "  teddyctl device release Teddy-ESP32-0001 --rotate\n"},
    {"device", "revoke", "ID", 1, run_device, ADMIN_REVOKE, false, false,
     "Revoke a toy's tokens, so that it has to claim again",
     "  teddyctl device revoke Teddy-ESP32-0001\n"},
    {"device", "remove", "ID", 1, run_device, ADMIN_REMOVE, false, false,
     "Remove a toy and all that is kept about it", "  teddyctl device remove Teddy-ESP32-0001\n"},
    {"batch", "create", "", 0, run_batch_create, ADMIN_BATCH_ADD, false, false,
     "Register a production run, and write what its line needs",
     "  teddyctl batch create --count 10000 --prefix Teddy-ESP32- --out run-7\n"},
    {"batch", "list", "", 0, run_batch_list, ADMIN_BATCH_LIST, false, false, "List the batches",
     "  teddyctl batch list\n  teddyctl batch list --prefix Teddy-ESP32-\n"},
    {"batch", "import", "FILE.csv", 1, run_import, ADMIN_IMPORT, false, false,
     "Register the toys of a maker's own CSV: all or none",
     "  teddyctl batch import toys.csv --prefix Teddy-\n"},
    {"import", NULL, "FILE.csv", 1, run_import, ADMIN_IMPORT, false, false,
     "The same, by its short name",
     "  teddyctl import toys.csv\n  decrypt toys.csv.enc | teddyctl import -\n"},
    {"send", NULL, "ID TEXT", 1, run_send, ADMIN_SEND, false, true,
     "Queue a message for a toy: words, or with --object JSON",
     "  teddyctl send Teddy-ESP32-0001 'Good night'\n"
     "  teddyctl send Teddy-ESP32-0001 --expires 3600 'Dinner is ready'\n"
     "  teddyctl send Teddy-ESP32-0001 --object '{\"volume\":3}'\n"
     "  fortune | teddyctl send Teddy-ESP32-0001 -\n"},
    {"message", "list", "ID", 1, run_messages, ADMIN_MESSAGES, false, false,
     "List the messages that wait for a toy, without their words",
     "  teddyctl message list Teddy-ESP32-0001\n"},
    {"message", "clear", "ID", 1, run_clear, ADMIN_CLEAR, false, false,
     "Withdraw the messages that wait for a toy", "  teddyctl message clear Teddy-ESP32-0001\n"},
    {"session", "list", "", 0, run_sessions, ADMIN_LIST, false, false,
     "List the toys that are online", "  teddyctl session list\n  teddyctl --json session list\n"},
    {"token", "revoke", "ID", 1, run_device, ADMIN_REVOKE, false, false,
     "The same, by its other name", "  teddyctl token revoke Teddy-ESP32-0001\n"},
    {"family", "list", "ID", 1, run_family_list, ADMIN_FAMILIES, false, false,
     "Show a toy's token family, if one is in force", "  teddyctl family list Teddy-ESP32-0001\n"},
    {"family", "revoke", "ID SID", 2, run_family_revoke, ADMIN_FAMILY_REVOKE, false, false,
     "Revoke the token family of this sid, and no later one",
     "  teddyctl family revoke Teddy-ESP32-0001 0123456789abcdef0123456789abcdef\n"},
    {.group = "key",
     .verb = "list",
     .args = "",
     .run = run_key_list,
     .summary = "List the keys of the tokens: which signs, until when each verifies",
     .example = "  teddyctl key list\n  teddyctl --json key list\n"},
    {.group = "key",
     .verb = "add",
     .args = "",
     .run = run_key_add,
     .summary = "Make a key that signs from now on, ES256 once verifiers can know it",
     .example = "  teddyctl key add                 of the algorithm that signs now\n"
                "  teddyctl key add --alg ES256     published at once, signs six minutes later\n"
                "  teddyctl key add --alg ES256 --now\n"},
    {.group = "key",
     .verb = "retire",
     .args = "KID",
     .arg_count = 1,
     .run = run_key_retire,
     .summary = "Have a key sign no more; it verifies until its last token has expired",
     .example =
         "  teddyctl key retire 0123456789abcdef\n"
         "  teddyctl key retire 0123456789abcdef --now    somebody has it: its tokens are\n"
         "                                                refused and its sessions closed\n"},
    CTL_CHILDREN,
    CTL_TALK,
    CTL_ADMIN_TOKENS,
    CTL_BACKUP,
    CTL_AUDIT,
    {"routes", NULL, "", 0, run_routes, ADMIN_LIST, false, false,
     "List method, pattern, who may call, handler, role needed", "  teddyctl routes\n"},
    {"status", NULL, "", 0, run_status, ADMIN_LIST, false, false, "Show the running server's state",
     "  teddyctl status\n  teddyctl --json status\n"},
    {"master-key", "status", "", 0, run_master_key, ADMIN_MASTER_STATUS, false, false,
     "Show where the key that seals the secrets comes from, and its name",
     "  teddyctl master-key status\n  teddyctl --json master-key status\n"},
    {"master-key", "rotate", "", 0, run_master_key, ADMIN_MASTER_ROTATE, false, false,
     "Replace the key that seals the secrets; nothing is interrupted",
     "  teddyctl master-key rotate\n"},
    {"drain", NULL, "", 0, run_drain, ADMIN_LIST, false, false,
     "Send the toys elsewhere (1001 going_away) and end the server", "  teddyctl drain\n"},
};
const size_t ctl_command_count = sizeof ctl_commands / sizeof ctl_commands[0];
