/* teddyctl admin-token: who may administer over HTTPS. */
#include <stdio.h>
#include <string.h>

#include "admin/token.h"
#include "cli/ctl.h"
#include "cli/table.h"
#include "console/console.h"
#include "proto/endpoints.h"
#include "proto/text.h"
#include "proto/writer.h"

/* "30d", "12h", "3600" into seconds. */
static bool read_ttl(const char *text, uint64_t *out)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    size_t len = strlen(text);
    uint64_t times = 1;

    for (size_t i = 0; len > 0 && i < sizeof units / sizeof units[0]; i++)
        if (text[len - 1] == units[i].unit) {
            times = units[i].seconds;
            len--;
            break;
        }
    if (len > 8 || u64_parse((struct span){text, len}, out) != TEDDY_OK)
        return false;
    *out *= times;
    return true;
}

static void add_text(struct writer *w, const char *before, const char *text)
{
    if (text == NULL)
        return;
    writer_text(w, before);
    writer_json_string(w, span_of(text));
}

/* role, name: what is meant when the line says nothing; NULL: it has to, or there is none. */
static int write_body(const struct ctl *ctl, const char *usual_role, const char *usual_name,
                      uint64_t ttl_s, char *body, size_t cap)
{
    struct writer w = writer_on(body, cap);
    const char *role_name = ctl->role != NULL ? ctl->role : usual_role;
    enum route_role role;

    if (role_name == NULL || !route_role_parse(span_of(role_name), &role))
        return usage("%s %s takes --role viewer, operator or owner", ctl->command->group,
                     ctl->command->verb);
    if (ctl->ttl != NULL &&
        (!read_ttl(ctl->ttl, &ttl_s) || ttl_s < 1 || ttl_s > ADMIN_TOKEN_TTL_MAX))
        return usage("--ttl takes seconds, or a number with m, h, d or w behind it, up to 365d");
    writer_text(&w, "{\"role\":");
    writer_json_string(&w, span_of(role_name));
    add_text(&w, ",\"prefix\":", ctl->prefix);
    add_text(&w, ",\"name\":", ctl->name != NULL ? ctl->name : usual_name);
    writer_text(&w, ",\"expires_in\":");
    writer_u64(&w, ttl_s);
    writer_text(&w, "}");
    return writer_end(&w) == TEDDY_OK ? CTL_DONE : usage("--prefix or --name is too long");
}

static int print_token(const json_t *reply)
{
    const char *token = json_string_value(json_object_get(reply, "token"));

    if (token == NULL)
        return fail("the server's answer was not understood");
    if (printf("%s\n", token) < 0 || fflush(stdout) != 0)
        return fail("the output could not be written; revoke the token %.8s and make another",
                    json_string_value(json_object_get(reply, "id")));
    return CTL_DONE;
}

int run_admin_token_create(struct ctl *ctl, const char *arg)
{
    struct ctl_call call = {.verb = ADMIN_TOKEN_CREATE};
    json_t *reply = NULL;
    char body[1024];
    int rc = write_body(ctl, NULL, NULL, ADMIN_TOKEN_TTL_S, body, sizeof body);

    (void)arg;
    call.text = span_of(body);
    if (rc == CTL_DONE)
        rc = link_call(ctl, &call, "", &reply);
    if (rc == CTL_DONE)
        rc = ctl->json ? print_json(reply) : print_token(reply);
    json_decref(reply);
    return rc;
}

static void no_server(const struct ctl *ctl, void *arg, struct admin_answer *out)
{
    (void)ctl;
    (void)arg;
    *out = (struct admin_answer){.status = 409, .code = "no_server"};
    (void)snprintf(out->detail, sizeof out->detail,
                   "No server is running here, and so no console; start teddyd.");
}

int run_console_link(struct ctl *ctl, const char *arg)
{
    char body[1024];
    const struct ctl_work work = {.method = "POST",
                                  .path = ENDPOINT_ADMIN "/console/links",
                                  .json = body,
                                  .offline = no_server};
    json_t *reply = NULL;
    int rc = write_body(ctl, "owner", "console link", CONSOLE_LINK_TTL, body, sizeof body);

    (void)arg;
    if (rc == CTL_DONE)
        rc = link_work(ctl, &work, &reply);
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE && json_is_string(json_object_get(reply, "url")))
        (void)printf("%s\n", json_string_value(json_object_get(reply, "url")));
    else if (rc == CTL_DONE)
        rc = fail("the server's answer was not understood");
    json_decref(reply);
    return rc;
}

int run_admin_token_list(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {
        {"ID", "id"},           {"ROLE", "role"},       {"PREFIX", "prefix"},
        {"CREATED", "created"}, {"EXPIRES", "expires"}, {"REVOKED", "revoked"},
        {"USED", "used"},       {"NAME", "name"},
    };
    struct ctl_call call = {.verb = ADMIN_TOKEN_LIST};
    json_t *reply = NULL;
    int rc = link_call(ctl, &call, "", &reply);

    (void)arg;
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_rows(json_object_get(reply, "tokens"), columns,
                        sizeof columns / sizeof columns[0]);
    json_decref(reply);
    return rc;
}

int run_admin_token_revoke(struct ctl *ctl, const char *id)
{
    struct ctl_call call = {.verb = ADMIN_TOKEN_REVOKE, .id = id};
    json_t *reply = NULL;
    int rc;

    if (!admin_token_id_ok(span_of(id)))
        return usage("'%.80s' is no token's id: 8 hex digits; admin-token list shows them", id);
    rc = link_call(ctl, &call, "", &reply);
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        (void)printf("%s revoked\n", id);
    json_decref(reply);
    return rc;
}
