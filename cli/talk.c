/* teddyctl child set, show, report; device set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/talk.h"
#include "cli/ctl.h"
#include "proto/text.h"

static bool toy_is_good(const char *id)
{
    return id == NULL || id_is_good(id);
}

/* "age=5" as the member of a JSON object. */
static int add_setting(json_t *body, const char *word)
{
    const char *equals = strchr(word, '='), *value = equals != NULL ? equals + 1 : "";
    char name[16] = "";
    uint64_t n;
    json_t *json;

    if (equals != NULL && (size_t)(equals - word) < sizeof name)
        memcpy(name, word, (size_t)(equals - word));
    if (name[0] == '\0')
        return usage("'%.60s' is no NAME=VALUE; see teddyctl child set --help", word);
    if (json_object_get(body, name) != NULL)
        return usage("%s is given twice", name);
    if (strcmp(name, "age") == 0 || strcmp(name, "minutes") == 0) {
        if (u64_parse(span_of(value), &n) != TEDDY_OK || n > 9999)
            return usage("%s takes a whole number", name);
        json = json_integer((json_int_t)n);
    } else if (strcmp(name, "alert_words") == 0) {
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
            return usage("alert_words is on or off");
        json = json_boolean(strcmp(value, "on") == 0);
    } else {
        json = json_string(value);
        if (json == NULL)
            return usage("%s is no UTF-8 text", name);
    }
    return json_object_set_new(body, name, json) == 0 ? CTL_DONE : fail("out of memory");
}

static int call_with(struct ctl *ctl, enum admin_verb verb, const char *id, json_t *body,
                     json_t **reply)
{
    struct ctl_call call = {.verb = verb, .id = id};
    char *text = json_dumps(body, JSON_COMPACT);
    int rc;

    if (text == NULL)
        return fail("out of memory");
    call.text = span_of(text);
    rc = link_call(ctl, &call, "", reply);
    wipe(text, strlen(text));
    free(text);
    return rc;
}

static int show(const struct ctl *ctl, json_t *reply, int rc)
{
    if (rc == CTL_DONE)
        rc = ctl->json ? print_json(reply) : print_object(reply);
    json_decref(reply);
    return rc;
}

int run_child_set(struct ctl *ctl, const char *child_id)
{
    json_t *body = json_object(), *reply = NULL;
    int rc = id_is_good(child_id) && toy_is_good(ctl->talk.device) ? CTL_DONE : CTL_USAGE;

    for (int i = 3; rc == CTL_DONE && i < ctl->word_count; i++)
        rc = add_setting(body, ctl->words[i]);
    if (rc == CTL_DONE && ctl->word_count == 3)
        rc = usage("child set: NAME=VALUE is missing; see teddyctl child set --help");
    if (rc == CTL_DONE && ctl->talk.device != NULL)
        (void)json_object_set_new(body, "device_id", json_string(ctl->talk.device));
    if (rc == CTL_DONE)
        rc = call_with(ctl, ADMIN_PROFILE_SET, child_id, body, &reply);
    json_decref(body);
    return show(ctl, reply, rc);
}

int run_child_show(struct ctl *ctl, const char *child_id)
{
    struct ctl_call call = {.verb = ADMIN_PROFILE_SHOW, .id = child_id, .device = ctl->talk.device};
    json_t *reply = NULL;
    int rc = id_is_good(child_id) && toy_is_good(call.device) ? CTL_DONE : CTL_USAGE;

    if (rc == CTL_DONE)
        rc = link_call(ctl, &call, "", &reply);
    return show(ctl, reply, rc);
}

static void print_day(const json_t *day)
{
    const json_t *count;
    const char *category;

    (void)printf("%s\t%s\t%lld min", json_string_value(json_object_get(day, "day")),
                 json_string_value(json_object_get(day, "device_id")),
                 (long long)json_integer_value(json_object_get(day, "minutes")));
    json_object_foreach((json_t *)(uintptr_t)json_object_get(day, "blocked"), category, count)(void)
        printf("\t%s: %lld", category, (long long)json_integer_value(count));
    (void)printf("\n");
}

static int print_words(const json_t *words)
{
    static const struct print_column columns[] = {
        {"AT", "at"}, {"DEVICE", "device_id"}, {"CATEGORY", "category"}, {"WORDS", "words"}};

    return json_array_size(words) > 0
               ? print_rows(words, columns, sizeof columns / sizeof columns[0])
               : CTL_DONE;
}

int run_child_report(struct ctl *ctl, const char *child_id)
{
    struct ctl_call call = {
        .verb = ADMIN_REPORT, .id = child_id, .device = ctl->talk.device, .days = ctl->talk.days};
    json_t *reply = NULL, *day;
    uint64_t n = 0;
    size_t i;
    int rc = id_is_good(child_id) && toy_is_good(call.device) ? CTL_DONE : CTL_USAGE;

    if (rc == CTL_DONE && call.days != NULL &&
        (u64_parse(span_of(call.days), &n) != TEDDY_OK || n < 1 || n > TALK_DAYS_MAX))
        rc = usage("--days takes a whole number from 1 to %d", TALK_DAYS_MAX);
    call.days_number = (unsigned)n;
    if (rc == CTL_DONE)
        rc = link_call(ctl, &call, "", &reply);
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE) {
        json_array_foreach(json_object_get(reply, "days"), i, day) print_day(day);
        rc = print_words(json_object_get(reply, "blocked_words"));
    }
    json_decref(reply);
    return rc;
}

int run_device_set(struct ctl *ctl, const char *device_id)
{
    json_t *body, *reply = NULL;
    int rc;

    if (!id_is_good(device_id))
        return CTL_USAGE;
    if (ctl->talk.processor == NULL)
        return usage("device set needs --processor NAME; see teddyctl device set --help");
    body = json_pack("{s:s}", "processor", ctl->talk.processor);
    rc = body != NULL ? call_with(ctl, ADMIN_PROCESSOR, device_id, body, &reply)
                      : usage("--processor is no UTF-8 text");
    json_decref(body);
    return show(ctl, reply, rc);
}
