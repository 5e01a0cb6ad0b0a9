#include "admin/talk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/batch.h"
#include "admin/time_json.h"
#include "ops/zone.h"
#include "proto/ids.h"
#include "proto/text.h"
#include "proto/writer.h"
#include "store/children.h"

#define DAY_S 86400

static const char *const NAMES[TALK_MEMBERS] = {"name", "age",     "language", "quiet",
                                                "tz",   "minutes", "memory",   "alert_words"};

bool admin_command_of_talk(const struct admin_command *c)
{
    return c->verb == ADMIN_PROFILE_SET || c->verb == ADMIN_PROFILE_SHOW ||
           c->verb == ADMIN_REPORT || c->verb == ADMIN_PROCESSOR;
}

struct talk_work *talk_work_new(void)
{
    struct talk_work *w = calloc(1, sizeof *w);

    if (w != NULL)
        w->days = TALK_DAYS_DEFAULT;
    return w;
}

void talk_work_free(struct talk_work *w)
{
    if (w == NULL)
        return;
    json_decref(w->list);
    json_decref(w->words);
    wipe(w, sizeof *w);
    free(w);
}

/* ---- Reading what is wanted ---- */

static bool text_of(const json_t *value, char *out, size_t cap)
{
    const char *text = json_string_value(value);

    if (text == NULL || json_string_length(value) >= cap ||
        strlen(text) != json_string_length(value))
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            return false;
    (void)snprintf(out, cap, "%s", text);
    return true;
}

static bool number_of(const json_t *value, unsigned max, unsigned *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > (json_int_t)max)
        return false;
    *out = (unsigned)json_integer_value(value);
    return true;
}

static bool language_of(const json_t *value, char out[PROFILE_LANGUAGE_LEN + 1])
{
    if (!text_of(value, out, PROFILE_LANGUAGE_LEN + 1))
        return false;
    if (out[0] == '\0')
        return true;
    size_t first = strcspn(out, "-");
    return first >= 2 && first <= 8 && span_within(span_of(out), "-") &&
           out[strlen(out) - 1] != '-';
}

static bool clock_of(const char *text, unsigned *minute)
{
    for (unsigned i = 0; i < 5; i++)
        if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9')
            return false;
    unsigned hour = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
    unsigned rest = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
    *minute = hour * 60 + rest;
    return hour < 24 && rest < 60;
}

/* "21:00-07:00", or "" for none. */
static bool quiet_of(const json_t *value, struct profile_row *out)
{
    char text[12];

    out->quiet_from = out->quiet_to = 0;
    if (!text_of(value, text, sizeof text))
        return false;
    if (text[0] == '\0')
        return true;
    return strlen(text) == 11 && text[5] == '-' && clock_of(text, &out->quiet_from) &&
           clock_of(text + 6, &out->quiet_to) && out->quiet_from != out->quiet_to;
}

static bool zone_of(const json_t *value, char out[PROFILE_ZONE_LEN + 1])
{
    int32_t offset;

    return text_of(value, out, PROFILE_ZONE_LEN + 1) &&
           zone_offset(out, (int64_t)time(NULL), &offset) == TEDDY_OK;
}

static bool memory_of(const json_t *value, enum profile_switch *out)
{
    const char *text = json_string_value(value);

    if (text == NULL)
        return false;
    *out = strcmp(text, "on") == 0    ? PROFILE_ON
           : strcmp(text, "off") == 0 ? PROFILE_OFF
                                      : PROFILE_DEFAULT;
    return *out != PROFILE_DEFAULT || strcmp(text, "default") == 0;
}

/* What is wrong with the member, or NULL. */
static const char *read_member(struct profile_row *p, enum talk_member member, const json_t *value)
{
    switch (member) {
    case TALK_NAME:
        return text_of(value, p->name, sizeof p->name)
                   ? NULL
                   : "name is a string of at most 64 bytes without control characters.";
    case TALK_AGE:
        return number_of(value, 99, &p->age) ? NULL
                                             : "age is a whole number of years, 0 for not known.";
    case TALK_LANGUAGE:
        return language_of(value, p->language)
                   ? NULL
                   : "language is a tag such as en or zh-Hans, or \"\".";
    case TALK_QUIET:
        return quiet_of(value, p) ? NULL : "quiet is HH:MM-HH:MM in the zone of tz, or \"\".";
    case TALK_TZ:
        return zone_of(value, p->zone) ? NULL
                                       : "tz is a zone that this machine knows, such as "
                                         "Europe/Berlin, or \"\" for UTC.";
    case TALK_MINUTES:
        return number_of(value, 1440, &p->minutes)
                   ? NULL
                   : "minutes is a whole number of minutes a day, 0 for no limit.";
    case TALK_MEMORY:
        return memory_of(value, &p->memory) ? NULL : "memory is on, off or default.";
    default:
        if (!json_is_boolean(value))
            return "alert_words is true or false.";
        p->alert_words = json_is_true(value);
        return NULL;
    }
}

static const char *read_profile(struct talk_work *w, json_t *body)
{
    const char *name, *wrong = NULL;
    json_t *value;

    json_object_foreach(body, name, value)
    {
        unsigned i = 0;
        if (strcmp(name, "device_id") == 0) {
            if (!text_of(value, w->device_id, sizeof w->device_id) || !id_ok(span_of(w->device_id)))
                return "device_id has 1 to 64 of the characters A-Z a-z 0-9 _ -.";
            continue;
        }
        while (i < TALK_MEMBERS && strcmp(name, NAMES[i]) != 0)
            i++;
        if (i == TALK_MEMBERS)
            return "Members are device_id, name, age, language, quiet, tz, minutes, memory and "
                   "alert_words.";
        wrong = read_member(&w->wanted, (enum talk_member)i, value);
        if (wrong != NULL)
            return wrong;
        w->given |= 1u << i;
    }
    return w->given == 0 ? "Nothing is to be set." : NULL;
}

static const char *read_processor(struct talk_work *w, json_t *body)
{
    const json_t *value = json_object_get(body, "processor");

    if (value == NULL || json_object_size(body) != 1)
        return "The one member is processor.";
    if (!text_of(value, w->processor, sizeof w->processor) ||
        !span_within(span_of(w->processor), "_"))
        return "processor is the name of one, or \"\" for the configuration's.";
    return NULL;
}

bool talk_read(struct admin_command *c, struct span json, bool *bad_json, char *why, size_t cap)
{
    json_t *body = json_loadb(json.p, json.len, JSON_REJECT_DUPLICATES, NULL);
    const char *wrong = "The body is a JSON object without duplicate members.";

    *bad_json = !json_is_object(body);
    if (!*bad_json)
        wrong = c->verb == ADMIN_PROCESSOR ? read_processor(c->talk, body)
                                           : read_profile(c->talk, body);
    json_decref(body);
    if (wrong != NULL)
        (void)snprintf(why, cap, "%s", wrong);
    return wrong == NULL;
}

/* ---- The job ---- */

static void merge(struct profile_row *to, const struct profile_row *from, unsigned given)
{
    if (given & 1u << TALK_NAME)
        memcpy(to->name, from->name, sizeof to->name);
    if (given & 1u << TALK_AGE)
        to->age = from->age;
    if (given & 1u << TALK_LANGUAGE)
        memcpy(to->language, from->language, sizeof to->language);
    if (given & 1u << TALK_QUIET) {
        to->quiet_from = from->quiet_from;
        to->quiet_to = from->quiet_to;
    }
    if (given & 1u << TALK_TZ)
        memcpy(to->zone, from->zone, sizeof to->zone);
    if (given & 1u << TALK_MINUTES)
        to->minutes = from->minutes;
    if (given & 1u << TALK_MEMORY)
        to->memory = from->memory;
    if (given & 1u << TALK_ALERT_WORDS)
        to->alert_words = from->alert_words;
}

#define OF_CHILD (1u << TALK_QUIET | 1u << TALK_TZ | 1u << TALK_MINUTES)

static int run_profile(struct store_tx *tx, struct admin_command *c)
{
    struct talk_work *w = c->talk;
    struct talk_pair pair;
    int rc = TEDDY_OK;

    if (w->device_id[0] == '\0')
        rc = c->verb == ADMIN_PROFILE_SET && (w->given & ~OF_CHILD) == 0
                 ? store_child_any_device(tx, c->id, w->device_id)
                 : store_child_only_device(tx, c->id, w->device_id);
    if (rc == TEDDY_OK)
        rc = store_profile_get(tx, w->device_id, c->id, &pair, &w->profile);
    if (rc == TEDDY_OK)
        memcpy(w->processor, pair.processor, sizeof w->processor);
    if (rc != TEDDY_OK || c->verb == ADMIN_PROFILE_SHOW)
        return rc;
    merge(&w->profile, &w->wanted, w->given);
    if ((w->given & 1u << TALK_MEMORY && w->profile.memory == PROFILE_OFF) ||
        (w->given & 1u << TALK_ALERT_WORDS && !w->profile.alert_words))
        store_scrub(tx);
    return store_profile_put(tx, &pair, c->id, &w->profile, c->now_s);
}

json_t *talk_day_json(int64_t day)
{
    time_t t = (time_t)(day * DAY_S);
    struct tm tm;
    char text[16];

    if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof text, "%Y-%m-%d", &tm) == 0)
        return json_null();
    return json_string(text);
}

struct report {
    json_t *list, *words, *last; /* last: of list, borrowed */
    int64_t day;
    bool failed;
};

static bool each_day(void *arg, const struct talk_day *d)
{
    struct report *r = arg;
    const char *device = json_string_value(json_object_get(r->last, "device_id"));

    if (device == NULL || r->day != d->day || strcmp(device, d->device_id) != 0) {
        r->last = json_pack("{s:o, s:s, s:i, s:{}}", "day", talk_day_json(d->day), "device_id",
                            d->device_id, "minutes", 0, "blocked");
        r->failed |= json_array_append_new(r->list, r->last) != 0;
        r->day = d->day;
    }
    if (r->failed)
        return false;
    int rc = d->category == NULL
                 ? json_object_set_new(r->last, "minutes",
                                       json_integer((json_int_t)((d->seconds + 59) / 60)))
                 : json_object_set_new(json_object_get(r->last, "blocked"), d->category,
                                       json_integer((json_int_t)d->blocked));
    r->failed |= rc != 0;
    return !r->failed;
}

static bool each_words(void *arg, const struct talk_words *words)
{
    struct report *r = arg;
    json_t *item = json_pack("{s:o, s:s, s:s, s:s%}", "at", time_or_null(words->at_s), "device_id",
                             words->device_id, "category", words->category, "words", words->words.p,
                             words->words.len);

    r->failed |= json_array_append_new(r->words, item) != 0;
    return !r->failed;
}

static int run_report(struct store_tx *tx, struct admin_command *c)
{
    struct talk_work *w = c->talk;
    const char *device = w->device_id[0] != '\0' ? w->device_id : NULL;
    struct report r = {.list = json_array(), .words = json_array()};
    int64_t from = (int64_t)c->now_s / DAY_S - (int64_t)w->days + 1;

    json_decref(w->list);
    json_decref(w->words);
    w->list = r.list;
    w->words = r.words;
    int rc = store_report(tx, c->id, device, from, each_day, &r);
    if (rc == TEDDY_OK)
        rc = store_report_words(tx, c->id, device, from, each_words, &r);
    return r.failed || r.list == NULL || r.words == NULL ? TEDDY_ENOMEM : rc;
}

int talk_run(struct store_tx *tx, struct admin_command *c)
{
    switch (c->verb) {
    case ADMIN_REPORT:
        return run_report(tx, c);
    case ADMIN_PROCESSOR:
        return store_device_processor(tx, c->id, c->talk->processor);
    default:
        return run_profile(tx, c);
    }
}

/* ---- What is told of it ---- */

void talk_detail(const struct admin_command *c, char *out, size_t cap)
{
    struct writer text = writer_on(out, cap);
    const char *comma = "";

    if (c->verb == ADMIN_PROCESSOR) {
        writer_text(&text, "{\"processor\":\"");
        writer_text(&text, c->talk->processor);
        writer_text(&text, "\"}");
    } else {
        writer_text(&text, "{\"set\":[");
        for (unsigned i = 0; i < TALK_MEMBERS; i++) {
            if (!(c->talk->given & 1u << i))
                continue;
            writer_text(&text, comma);
            writer_text(&text, "\"");
            writer_text(&text, NAMES[i]);
            writer_text(&text, "\"");
            comma = ",";
        }
        writer_text(&text, "]}");
    }
    if (writer_end(&text) != TEDDY_OK)
        out[0] = '\0';
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static void quiet_text(const struct profile_row *p, char out[16])
{
    out[0] = '\0';
    if (p->quiet_from != p->quiet_to)
        (void)snprintf(out, 16, "%02u:%02u-%02u:%02u", p->quiet_from / 60 % 24, p->quiet_from % 60,
                       p->quiet_to / 60 % 24, p->quiet_to % 60);
}

json_t *talk_limits_json(const struct profile_row *p)
{
    char quiet[16];

    quiet_text(p, quiet);
    return json_pack("{s:o, s:o, s:o}", "quiet", text_or_null(quiet), "tz", text_or_null(p->zone),
                     "minutes", p->minutes ? json_integer(p->minutes) : json_null());
}

json_t *talk_profile_json(const struct profile_row *p)
{
    static const char *const memory[] = {"default", "off", "on"};
    char quiet[16];

    quiet_text(p, quiet);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b}", "name", text_or_null(p->name),
                     "age", p->age ? json_integer(p->age) : json_null(), "language",
                     text_or_null(p->language), "quiet", text_or_null(quiet), "tz",
                     text_or_null(p->zone), "minutes",
                     p->minutes ? json_integer(p->minutes) : json_null(), "memory",
                     memory[p->memory + 1], "alert_words", p->alert_words);
}

json_t *talk_json(const struct admin_command *c)
{
    const struct talk_work *w = c->talk;

    if (c->verb == ADMIN_PROCESSOR)
        return json_pack("{s:s, s:o}", "device_id", c->id, "processor", text_or_null(w->processor));
    if (c->verb == ADMIN_REPORT)
        return json_pack("{s:s, s:O, s:O}", "child_id", c->id, "days", w->list, "blocked_words",
                         w->words);
    json_t *profile = talk_profile_json(&w->profile);
    if (profile != NULL &&
        (json_object_set_new(profile, "processor", text_or_null(w->processor)) != 0 ||
         json_object_set_new(profile, "child_id", json_string(c->id)) != 0 ||
         json_object_set_new(profile, "device_id", json_string(w->device_id)) != 0)) {
        json_decref(profile);
        return NULL;
    }
    return profile;
}

bool talk_refuse(const struct admin_command *c, struct admin_answer *out)
{
    if (c->verb == ADMIN_PROCESSOR ||
        (c->job.result != TEDDY_ENOTFOUND && c->job.result != TEDDY_EDUP))
        return false;
    bool none = c->job.result == TEDDY_ENOTFOUND;
    out->status = none ? 404 : 409;
    out->code = none ? "child_not_bound" : "several_devices";
    (void)snprintf(out->detail, sizeof out->detail, "%s",
                   none ? "No such toy is bound to this child."
                        : "Several toys are bound to this child; say which one.");
    return true;
}
