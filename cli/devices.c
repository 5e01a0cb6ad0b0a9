/* Looking at the toys: teddyctl device list, telemetry, sessions. */
#include <stdio.h>
#include <string.h>

#include "admin/batch.h"
#include "admin/fleet.h"
#include "admin/time_json.h"
#include "cli/ctl.h"
#include "proto/ids.h"
#include "proto/text.h"

static const char *given(const char *text)
{
    return text != NULL ? text : "";
}

/* "": out is left as it is. */
static bool number(const char *text, uint64_t *out)
{
    return text[0] == '\0' || (u64_parse(span_of(text), out) == TEDDY_OK && *out <= INT64_MAX);
}

static int take_filter(const struct ctl *ctl, struct ctl_fleet *f)
{
    enum fleet_state state;
    uint64_t n = 1;

    *f = (struct ctl_fleet){.q = given(ctl->prefix),
                            .part = given(ctl->fleet.part),
                            .state = given(ctl->fleet.state),
                            .from = given(ctl->audit.from),
                            .to = given(ctl->fleet.to),
                            .limit = given(ctl->fleet.limit),
                            .online = ctl->fleet.online,
                            .offline = ctl->fleet.offline};
    if (f->q[0] != '\0' && !id_ok(span_of(f->q)))
        return usage("--prefix takes how an id begins: 1 to 64 of the characters A-Z a-z 0-9 _ -");
    if (strlen(f->part) > FLEET_PART_LEN)
        return usage("--part takes at most %u characters", FLEET_PART_LEN);
    if (f->state[0] != '\0' && !fleet_state_parse(f->state, &state))
        return usage("--state takes claimed, lapsed, unclaimed or disabled");
    if (f->online && f->offline)
        return usage("--online and --offline exclude each other");
    if (!number(f->from, &n) || !number(f->to, &n))
        return usage("--from and --to take seconds since 1970, for example from: date +%%s");
    n = 1;
    if (!number(f->limit, &n) || n < 1 || n > TELEMETRY_ROWS_MAX)
        return usage("--limit takes a whole number from 1 to %u", TELEMETRY_ROWS_MAX);
    return CTL_DONE;
}

void devices_fill(const struct ctl_fleet *f, struct admin_command *c)
{
    struct fleet_work *w = c->fleet;
    uint64_t limit = c->limit;

    (void)snprintf(w->q, sizeof w->q, "%s", f->q);
    (void)snprintf(w->part, sizeof w->part, "%s", f->part);
    if (f->state[0] != '\0')
        (void)fleet_state_parse(f->state, &w->state);
    w->online = f->online ? FLEET_ONLINE : f->offline ? FLEET_OFFLINE : FLEET_BOTH;
    if (f->online) /* without a server nobody is */
        w->none = true;
    if (number(f->from, &w->from_s) && number(f->to, &w->to_s) && number(f->limit, &limit))
        c->limit = (unsigned)limit;
}

/* All pages as one array. */
static int list_devices(struct ctl *ctl, const struct ctl_fleet *f, json_t *all)
{
    char after[LIMIT_ID_LEN + 1] = "";
    int rc;

    for (;;) {
        struct ctl_call call = {.verb = ADMIN_LIST, .id = after, .fleet = f};
        json_t *page = NULL;
        rc = link_call(ctl, &call, "", &page);
        if (rc == CTL_DONE && json_array_extend(all, json_object_get(page, "devices")) != 0)
            rc = fail("the server's answer was not understood");
        const char *next = json_string_value(json_object_get(page, "next"));
        bool more = rc == CTL_DONE && next != NULL && strcmp(next, after) > 0;
        if (more)
            (void)snprintf(after, sizeof after, "%s", next);
        json_decref(page);
        if (!more)
            return rc;
    }
}

int run_device_list(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {
        {"DEVICE", "device_id"},    {"ENABLED", "enabled"},
        {"CHILD", "child_id"},      {"FIRMWARE", "firmware_version"},
        {"CREATED", "created"},     {"CLAIMED", "claimed"},
        {"STATE", "state"},         {"ONLINE", "online"},
        {"LAST SEEN", "last_seen"},
    };
    struct ctl_fleet filter;
    json_t *all = json_array();
    int rc = all != NULL ? take_filter(ctl, &filter) : fail("out of memory");

    (void)arg;
    if (rc == CTL_DONE)
        rc = list_devices(ctl, &filter, all);
    if (rc == CTL_DONE && ctl->json) {
        json_t *object = json_pack("{s:O}", "devices", all);
        rc = object != NULL ? print_json(object) : fail("out of memory");
        json_decref(object);
    } else if (rc == CTL_DONE) {
        rc = print_rows(all, columns, sizeof columns / sizeof columns[0]);
    }
    json_decref(all);
    return rc;
}

/* The columns of the answer as rows, with the time as text. */
static json_t *telemetry_rows_of(const json_t *reply)
{
    json_t *rows = json_array(), *at = json_object_get(reply, "at");

    for (size_t i = 0; i < json_array_size(at); i++) {
        uint64_t s = (uint64_t)json_integer_value(json_array_get(at, i));
        json_t *row = json_pack("{s:o}", "at", time_or_null(s));
        for (unsigned f = 0; f < TELEMETRY_FIELDS; f++)
            (void)json_object_set(row, telemetry_names[f],
                                  json_array_get(json_object_get(reply, telemetry_names[f]), i));
        (void)json_array_append_new(rows, row);
    }
    return rows;
}

int run_device_telemetry(struct ctl *ctl, const char *device_id)
{
    static const struct print_column columns[] = {
        {"AT", "at"},
        {"BATTERY", "battery"},
        {"RSSI", "rssi"},
        {"HEAP", "heap"},
        {"HEAP MIN", "heap_min"},
        {"UPTIME S", "uptime_s"},
        {"TEMPERATURE", "temperature"},
    };
    struct ctl_fleet filter;
    struct ctl_call call = {.verb = ADMIN_TELEMETRY, .id = device_id, .fleet = &filter};
    json_t *reply = NULL;
    int rc = id_is_good(device_id) ? take_filter(ctl, &filter) : CTL_USAGE;

    if (rc == CTL_DONE)
        rc = link_call(ctl, &call, "", &reply);
    if (rc == CTL_DONE && ctl->json) {
        rc = print_json(reply);
    } else if (rc == CTL_DONE) {
        json_t *rows = telemetry_rows_of(reply);
        rc = print_rows(rows, columns, sizeof columns / sizeof columns[0]);
        json_decref(rows);
    }
    json_decref(reply);
    return rc;
}

int run_device_sessions(struct ctl *ctl, const char *device_id)
{
    static const struct print_column columns[] = {
        {"OPENED", "opened"}, {"CLOSED", "closed"},     {"CLOSE", "close"},
        {"REASON", "reason"}, {"RECEIVED", "received"}, {"SENT", "sent"},
    };
    struct ctl_call call = {.verb = ADMIN_SESSIONS, .id = device_id};
    json_t *reply = NULL;
    int rc = id_is_good(device_id) ? link_call(ctl, &call, "", &reply) : CTL_USAGE;

    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc = print_rows(json_object_get(reply, "sessions"), columns,
                        sizeof columns / sizeof columns[0]);
    json_decref(reply);
    return rc;
}
