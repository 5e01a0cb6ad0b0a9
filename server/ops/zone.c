#include "ops/zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZONE_DIR      "/usr/share/zoneinfo"
#define ZONE_FILE_MAX 65536
#define HEADER        44
#define DAY_S         86400

struct bytes {
    const uint8_t *p;
    size_t len;
};

static int64_t big_endian(const uint8_t *p, unsigned n)
{
    uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

/* The counts of a block's header, in the order in which they stand there. */
struct counts {
    uint32_t isut, isstd, leap, time, type, chars;
};

static bool read_counts(struct bytes b, struct counts *c)
{
    uint32_t n[6];
    if (b.len < HEADER || memcmp(b.p, "TZif", 4) != 0)
        return false;
    for (unsigned i = 0; i < 6; i++) {
        int64_t v = big_endian(b.p + 20 + 4 * (size_t)i, 4);
        if (v < 0 || v > ZONE_FILE_MAX)
            return false;
        n[i] = (uint32_t)v;
    }
    *c = (struct counts){n[0], n[1], n[2], n[3], n[4], n[5]};
    return true;
}

/* Bytes of the block behind the header, whose times have `wide` bytes. */
static size_t block_len(const struct counts *c, unsigned wide)
{
    return (size_t)c->time * (wide + 1) + (size_t)c->type * 6 + c->chars +
           (size_t)c->leap * (wide + 4) + c->isstd + c->isut;
}

/* ---- The rule at the end of the file, as POSIX writes TZ. ---- */

struct rule_date {
    char kind; /* 'J', 'M', or 0: days from 0 with leap days */
    int month, week, day;
    int32_t time_s;
};

struct rule {
    int32_t standard_s, summer_s;
    bool has_summer;
    struct rule_date begins, ends;
};

struct cursor {
    const char *p, *end;
};

static bool take(struct cursor *c, char wanted)
{
    bool there = c->p < c->end && *c->p == wanted;
    c->p += there;
    return there;
}

static bool number(struct cursor *c, int max, int *out)
{
    const char *from = c->p;
    for (*out = 0; c->p < c->end && *c->p >= '0' && *c->p <= '9' && c->p - from < 4; c->p++)
        *out = *out * 10 + (*c->p - '0');
    return c->p > from && *out <= max;
}

static bool skip_name(struct cursor *c)
{
    const char *from = c->p;
    if (take(c, '<')) {
        while (c->p < c->end && *c->p != '>')
            c->p++;
        return take(c, '>');
    }
    while (c->p < c->end && ((*c->p | 0x20) >= 'a' && (*c->p | 0x20) <= 'z'))
        c->p++;
    return c->p - from >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool span_of_time(struct cursor *c, int32_t *out)
{
    int part[3] = {0, 0, 0}, sign = take(c, '-') ? -1 : 1;
    if (sign > 0)
        (void)take(c, '+');
    if (!number(c, 167, &part[0]) ||
        (take(c, ':') && (!number(c, 59, &part[1]) || (take(c, ':') && !number(c, 59, &part[2])))))
        return false;
    *out = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
    return true;
}

static bool read_date(struct cursor *c, struct rule_date *d)
{
    *d = (struct rule_date){.time_s = 7200};
    if (!take(c, ','))
        return false;
    if (take(c, 'M')) {
        d->kind = 'M';
        if (!number(c, 12, &d->month) || !take(c, '.') || !number(c, 5, &d->week) ||
            !take(c, '.') || !number(c, 6, &d->day) || d->month < 1 || d->week < 1)
            return false;
    } else {
        d->kind = take(c, 'J') ? 'J' : '\0';
        if (!number(c, 365, &d->day) || (d->kind == 'J' && d->day < 1))
            return false;
    }
    return !take(c, '/') || span_of_time(c, &d->time_s);
}

static bool read_rule(struct cursor c, struct rule *r)
{
    int32_t west;
    *r = (struct rule){0};
    if (!skip_name(&c) || !span_of_time(&c, &west))
        return false;
    r->standard_s = -west;
    if (c.p == c.end)
        return true;
    r->has_summer = true;
    r->summer_s = r->standard_s + 3600;
    if (!skip_name(&c))
        return false;
    if (c.p < c.end && *c.p != ',') {
        if (!span_of_time(&c, &west))
            return false;
        r->summer_s = -west;
    }
    return read_date(&c, &r->begins) && read_date(&c, &r->ends) && c.p == c.end;
}

/* Days from 1970-01-01 to a day of the proleptic Gregorian calendar. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t year_of(int64_t time_s)
{
    int64_t day = time_s / DAY_S - (time_s % DAY_S < 0);
    int64_t year = 1970 + day / 366;
    while (days_from_civil(year + 1, 1, 1) <= day)
        year++;
    while (days_from_civil(year, 1, 1) > day)
        year--;
    return year;
}

/* Local seconds at which the date falls in that year. */
static int64_t falls_at(const struct rule_date *d, int64_t year)
{
    int64_t day = days_from_civil(year, 1, 1) + d->day;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (d->kind == 'J') {
        day -= !(leap && d->day >= 60);
    } else if (d->kind == 'M') {
        int64_t first = days_from_civil(year, d->month, 1);
        int64_t next = d->month == 12 ? days_from_civil(year + 1, 1, 1)
                                      : days_from_civil(year, d->month + 1, 1);
        int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
        day = first + (d->day - weekday + 7) % 7 + 7 * (int64_t)(d->week - 1);
        while (day >= next)
            day -= 7;
    }
    return day * DAY_S + d->time_s;
}

static int32_t rule_offset(const struct rule *r, int64_t time_s)
{
    if (!r->has_summer)
        return r->standard_s;
    int64_t year = year_of(time_s + r->standard_s);
    int64_t begins = falls_at(&r->begins, year) - r->standard_s;
    int64_t ends = falls_at(&r->ends, year) - r->summer_s;
    bool summer =
        begins < ends ? time_s >= begins && time_s < ends : !(time_s >= ends && time_s < begins);
    return summer ? r->summer_s : r->standard_s;
}

/* ---- The file. ---- */

static int type_offset(struct bytes types, const struct counts *c, unsigned type, int32_t *out)
{
    if (type >= c->type)
        return TEDDY_EPROTO;
    *out = (int32_t)big_endian(types.p + 6 * (size_t)type, 4);
    return *out > -2 * DAY_S && *out < 2 * DAY_S ? TEDDY_OK : TEDDY_EPROTO;
}

int zone_read(const uint8_t *tzif, size_t len, int64_t time_s, int32_t *offset_s)
{
    struct bytes b = {tzif, len};
    struct counts c;
    if (!read_counts(b, &c) || b.p[4] < '2' || b.len - HEADER < block_len(&c, 4))
        return TEDDY_EPROTO;
    b.p += HEADER + block_len(&c, 4);
    b.len -= HEADER + block_len(&c, 4);
    if (!read_counts(b, &c) || b.len - HEADER < block_len(&c, 8) || c.type == 0)
        return TEDDY_EPROTO;
    const uint8_t *times = b.p + HEADER, *which = times + 8 * (size_t)c.time;
    struct bytes types = {which + c.time, 6 * (size_t)c.type};
    struct cursor footer = {(const char *)b.p + HEADER + block_len(&c, 8),
                            (const char *)b.p + b.len};
    uint32_t past = 0; /* changes that have been */
    while (past < c.time && big_endian(times + 8 * (size_t)past, 8) <= time_s)
        past++;
    if (past < c.time || !take(&footer, '\n'))
        return type_offset(types, &c, past > 0 ? which[past - 1] : 0, offset_s);
    const char *end = memchr(footer.p, '\n', (size_t)(footer.end - footer.p));
    if (!end)
        return TEDDY_EPROTO;
    footer.end = end;
    if (footer.p == footer.end)
        return type_offset(types, &c, past > 0 ? which[past - 1] : 0, offset_s);
    struct rule rule;
    if (!read_rule(footer, &rule))
        return TEDDY_EPROTO;
    *offset_s = rule_offset(&rule, time_s);
    return TEDDY_OK;
}

bool zone_name_ok(const char *name)
{
    size_t len = strlen(name);
    if (len > ZONE_NAME_MAX || name[0] == '/' || strstr(name, "..") != NULL)
        return false;
    for (size_t i = 0; i < len; i++) {
        char low = (char)(name[i] | 0x20);
        if (!(low >= 'a' && low <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
            strchr("/_+-", name[i]) == NULL)
            return false;
    }
    return true;
}

int zone_offset(const char *name, int64_t time_s, int32_t *offset_s)
{
    uint8_t tzif[ZONE_FILE_MAX];
    char path[sizeof ZONE_DIR + ZONE_NAME_MAX + 2];
    *offset_s = 0;
    if (name[0] == '\0')
        return TEDDY_OK;
    if (!zone_name_ok(name))
        return TEDDY_ENOTFOUND;
    (void)snprintf(path, sizeof path, "%s/%s", ZONE_DIR, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t len = fd >= 0 ? read(fd, tzif, sizeof tzif) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (len < 0)
        return TEDDY_ENOTFOUND;
    return zone_read(tzif, (size_t)len, time_s, offset_s);
}
