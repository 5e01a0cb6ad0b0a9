#include "core.h"
#include "proto/text.h"

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day)
{
    /* Years that begin in March put the leap day last. */
    year -= month <= 2;
    uint64_t shifted = month > 2 ? month - 3 : month + 9;
    uint64_t days = 365 * year + year / 4 - year / 100 + year / 400;
    return days + (153 * shifted + 2) / 5 + day - 1 - 719468;
}

static uint64_t month_of(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (uint64_t i = 0; i < 12; i++) {
        if (memcmp(names + 3 * i, name, 3) == 0) {
            return i + 1;
        }
    }
    return 0;
}

static bool number(const char *p, size_t len, uint64_t min, uint64_t max, uint64_t *out)
{
    return u64_parse((struct span){p, len}, out) == TEDDY_OK && *out >= min && *out <= max;
}

uint64_t sdk_http_date(struct span text)
{
    static const char form[] = "xxx, 00 xxx 0000 00:00:00 GMT";
    uint64_t day, year, hour, minute, second;
    if (text.len != sizeof form - 1) {
        return 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (form[i] != 'x' && form[i] != '0' && form[i] != text.p[i]) {
            return 0;
        }
    }
    uint64_t month = month_of(text.p + 8);
    if (month == 0 || !number(text.p + 5, 2, 1, 31, &day) ||
        !number(text.p + 12, 4, 1970, 9999, &year) || !number(text.p + 17, 2, 0, 23, &hour) ||
        !number(text.p + 20, 2, 0, 59, &minute) || !number(text.p + 23, 2, 0, 60, &second)) {
        return 0;
    }
    return ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}
