/* A child's day: quiet hours and minutes of play, in local time, and how an end is said. */
#include <string.h>

#include "mind/internal.h"
#include "ops/zone.h"

#define DAY_MINUTES 1440
#define DAY_S       86400

/* A gentle goodbye, in a few languages; the first is for all others. */
static const struct {
    const char *language, *quiet, *enough;
} GOODBYES[] = {
    {"en",
     "It is quiet time now, and I am getting sleepy. Let's talk again when it is over. Sweet "
     "dreams!",
     "We have played so much today! My paws are tired now. Let's play again tomorrow."},
    {"es", "Ahora es hora de descansar y tengo mucho sueño. Hablamos después. ¡Dulces sueños!",
     "¡Hoy hemos jugado mucho! Mis patitas están cansadas. Jugamos otra vez mañana."},
    {"ar", "حان وقت الهدوء الآن وأنا أشعر بالنعاس. نتحدث لاحقا. أحلاما سعيدة!",
     "لقد لعبنا كثيرا اليوم! أنا متعب الآن. نلعب مرة أخرى غدا."},
    {"zh", "现在是安静时间，我有点困了。我们以后再聊吧。做个好梦！",
     "今天我们玩了好久！我的小爪子累了。明天再一起玩吧。"},
    {"de", "Jetzt ist Ruhezeit, und ich werde müde. Lass uns später weiterreden. Schlaf gut!",
     "Wir haben heute so viel gespielt! Meine Tatzen sind müde. Lass uns morgen weiterspielen."},
};

static struct span goodbye(const struct mind *m, bool quiet)
{
    const char *language = m->person.profile.language;
    unsigned which = 0;
    for (unsigned i = 0; i < sizeof GOODBYES / sizeof GOODBYES[0]; i++)
        if (strncmp(language, GOODBYES[i].language, 2) == 0 &&
            (language[2] == '\0' || language[2] == '-'))
            which = i;
    return span_of(quiet ? GOODBYES[which].quiet : GOODBYES[which].enough);
}

static bool is_quiet(const struct person *p, unsigned minute)
{
    const struct profile_row *r = &p->profile;
    if (r->quiet_from <= r->quiet_to)
        return minute >= r->quiet_from && minute < r->quiet_to;
    return minute >= r->quiet_from || minute < r->quiet_to; /* over midnight */
}

static int64_t local(const struct person *p, uint64_t now_s)
{
    return (int64_t)now_s + (p->has_zone ? p->offset_s : 0);
}

void limits_read_clock(struct person *p, uint64_t now_s)
{
    p->has_zone = zone_offset(p->profile.zone, (int64_t)now_s, &p->offset_s) == TEDDY_OK;
    p->day = local(p, now_s) / DAY_S;
    /* With a limit of minutes it is read each time: another toy may have used some up. */
    p->until_s = p->profile.minutes > 0 ? 0 : now_s - now_s % PERSON_OLD_S + PERSON_OLD_S;
}

enum limits_end limits_judge(struct person *p, uint64_t now_s, uint64_t unsaved_s)
{
    const struct profile_row *r = &p->profile;
    int64_t local_s = local(p, now_s);
    if (local_s / DAY_S != p->day) {
        p->day = local_s / DAY_S;
        p->played_s = 0;
    }
    /* Quiet hours whose clock is not known are quiet all day. */
    if (r->quiet_from != r->quiet_to &&
        (!p->has_zone || is_quiet(p, (unsigned)(local_s / 60 % DAY_MINUTES))))
        return LIMITS_QUIET;
    if (r->minutes > 0 && p->played_s + unsaved_s >= (uint64_t)r->minutes * 60)
        return LIMITS_ENOUGH;
    return LIMITS_NONE;
}

struct span limits_check(struct mind *m)
{
    limits_played(m);
    enum limits_end end = limits_judge(&m->person, mind_now_s(), m->unsaved_ms / 1000);
    return end == LIMITS_NONE ? (struct span){"", 0} : goodbye(m, end == LIMITS_QUIET);
}

/* Its place, and what stands there when it is its own. A toy's sessions are all of one loop. */
static struct player *player_of(const struct mind *m, uint64_t *hash)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *p = m->who.device; *p; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    h = (h ^ '\n') * UINT64_C(1099511628211); /* in no id */
    for (const char *p = m->who.child; *p; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    *hash = h;
    return &m->minds->loops[loop_index(m->loop)].players[h % PLAYERS];
}

/* A toy that comes back within the gap plays on: who switches it off and on escapes no limit. */
static void come_back(struct mind *m, uint64_t now)
{
    uint64_t hash;
    struct player *p = player_of(m, &hash);
    if (p->played_ms == 0 || p->who != hash || now - p->played_ms > PLAY_GAP_MS)
        return;
    m->played_ms = p->played_ms;
    m->unsaved_ms = p->unsaved_ms;
    p->played_ms = 0;
}

void limits_played(struct mind *m)
{
    uint64_t now = loop_now_ms(m->loop);
    if (m->played_ms == 0)
        come_back(m, now);
    uint64_t since = m->played_ms ? now - m->played_ms : 0;
    m->unsaved_ms += since < PLAY_GAP_MS ? since : PLAY_GAP_MS;
    m->played_ms = now;
}

void limits_leave(struct mind *m)
{
    uint64_t hash;
    struct player *p = player_of(m, &hash);
    if (m->played_ms)
        *p = (struct player){hash, m->played_ms, m->unsaved_ms};
}
