/* Profiles, turns and what is counted, as store/talk.h says. */
#include "store/talk.h"

#include <stdio.h>

#include "store/internal.h"

#define OF_PAIR " device_row = ?1 AND child_id = ?2"
#define LIMITS                                                                                     \
    "coalesce(l.zone, ''), coalesce(l.quiet_from, 0), coalesce(l.quiet_to, 0),"                    \
    " coalesce(l.minutes, 0)"

/* The statement, with the pair as its first two parameters. */
static sqlite3_stmt *of_pair(sqlite3_stmt *st, const struct talk_pair *pair, const char *child_id)
{
    bind_u64(st, 1, (uint64_t)pair->device_row);
    bind_text(st, 2, child_id);
    return st;
}

static void bind_span(sqlite3_stmt *st, int at, struct span s)
{
    if (st != NULL)
        sqlite3_bind_text64(st, at, s.len ? s.p : "", s.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int read_limits(struct store_tx *tx, sqlite3_stmt *st, int first, struct profile_row *out)
{
    if (column_text(tx, st, first, out->zone, sizeof out->zone) != TEDDY_OK)
        return TEDDY_ESTORE;
    out->quiet_from = (unsigned)column_u64(st, first + 1);
    out->quiet_to = (unsigned)column_u64(st, first + 2);
    out->minutes = (unsigned)column_u64(st, first + 3);
    return TEDDY_OK;
}

int talk_read_profile(struct store_tx *tx, sqlite3_stmt *st, int first, struct profile_row *out)
{
    *out = (struct profile_row){.memory = PROFILE_DEFAULT};
    if (column_text(tx, st, first, out->name, sizeof out->name) != TEDDY_OK ||
        column_text(tx, st, first + 1, out->language, sizeof out->language) != TEDDY_OK)
        return TEDDY_ESTORE;
    out->age = (unsigned)column_u64(st, first + 2);
    out->memory = (enum profile_switch)sqlite3_column_int(st, first + 3);
    out->alert_words = sqlite3_column_int(st, first + 4) != 0;
    return read_limits(tx, st, first + 5, out);
}

static int read_profile(struct store_tx *tx, sqlite3_stmt *st, struct talk_pair *pair,
                        struct profile_row *out)
{
    pair->device_row = sqlite3_column_int64(st, 0);
    int err = column_text(tx, st, 1, pair->processor, sizeof pair->processor);
    return err == TEDDY_OK ? talk_read_profile(tx, st, 2, out) : err;
}

int store_profile_get(struct store_tx *tx, const char *device_id, const char *child_id,
                      struct talk_pair *pair, struct profile_row *out)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_PROFILE_GET,
                "SELECT d.row, d.processor, coalesce(p.name, ''),"
                " coalesce(p.language, (SELECT language FROM profile WHERE child_id = ?2"
                "   AND language <> '' ORDER BY set_s DESC LIMIT 1), ''),"
                " coalesce(p.age, (SELECT min(age) FROM profile WHERE child_id = ?2 AND age > 0),"
                "  0),"
                " coalesce(p.memory, (SELECT 0 FROM profile WHERE child_id = ?2 AND memory = 0),"
                "  -1),"
                " coalesce(p.alert_words, 0), " LIMITS " FROM device d LEFT JOIN profile p"
                " ON p.device_row = d.row AND p.child_id = d.child_id"
                " LEFT JOIN limits l ON l.child_id = d.child_id"
                " WHERE d.device_id = ?1 AND d.child_id = ?2 AND d.child_id <> ''");
    bind_text(st, 1, device_id);
    bind_text(st, 2, child_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = read_profile(tx, st, pair, out);
    return tx_end(st, err);
}

static int forget_turns(struct store_tx *tx, const struct talk_pair *pair, const char *child_id)
{
    return tx_run(tx, of_pair(tx_stmt(tx, STMT_TURN_CLEAR, "DELETE FROM turn WHERE" OF_PAIR), pair,
                              child_id));
}

/* Of alerts that wait: a service that was away is not told what it may not hear any more. */
static int forget_alert_words(struct store_tx *tx, const struct talk_pair *pair,
                              const char *child_id)
{
    return tx_run(tx,
                  of_pair(tx_stmt(tx, STMT_ALERT_WORDS_CLEAR,
                                  "UPDATE alert SET words = '' WHERE" OF_PAIR " AND words <> ''"),
                          pair, child_id));
}

static int put_limits(struct store_tx *tx, const char *child_id, const struct profile_row *p,
                      uint64_t now_s)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_LIMITS_PUT,
                               "INSERT OR REPLACE INTO limits (child_id, zone, quiet_from,"
                               " quiet_to, minutes, set_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    bind_text(st, 1, child_id);
    bind_text(st, 2, p->zone);
    bind_u64(st, 3, p->quiet_from);
    bind_u64(st, 4, p->quiet_to);
    bind_u64(st, 5, p->minutes);
    bind_u64(st, 6, now_s);
    return tx_run(tx, st);
}

int store_limits_get(struct store_tx *tx, const char *child_id, struct profile_row *out)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_LIMITS_GET, "SELECT " LIMITS " FROM limits l WHERE child_id = ?1");
    *out = (struct profile_row){.memory = PROFILE_DEFAULT};
    bind_text(st, 1, child_id);
    int err = tx_row(tx, st);
    return tx_end(st, err == TEDDY_OK ? read_limits(tx, st, 0, out) : err);
}

int store_profile_put(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                      const struct profile_row *p, uint64_t now_s)
{
    sqlite3_stmt *st =
        of_pair(tx_stmt(tx, STMT_PROFILE_PUT,
                        "INSERT OR REPLACE INTO profile (device_row, child_id, name, language, age,"
                        " memory, alert_words, set_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
                pair, child_id);
    bind_text(st, 3, p->name);
    bind_text(st, 4, p->language);
    bind_u64(st, 5, p->age);
    if (st != NULL)
        sqlite3_bind_int(st, 6, p->memory);
    bind_u64(st, 7, p->alert_words);
    bind_u64(st, 8, now_s);
    int err = tx_run(tx, st);
    if (err == TEDDY_OK)
        err = put_limits(tx, child_id, p, now_s);
    if (err == TEDDY_OK && !p->alert_words)
        err = forget_alert_words(tx, pair, child_id);
    return err == TEDDY_OK && p->memory == PROFILE_OFF ? forget_turns(tx, pair, child_id) : err;
}

int store_child_only_device(struct store_tx *tx, const char *child_id,
                            char device_id[LIMIT_ID_LEN + 1])
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_CHILD_ONLY_DEVICE,
                               "SELECT device_id FROM device WHERE child_id = ?1 AND child_id <> ''"
                               " LIMIT 2");
    bind_text(st, 1, child_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = column_text(tx, st, 0, device_id, LIMIT_ID_LEN + 1);
    if (err == TEDDY_OK) {
        int more = tx_row(tx, st);
        err = more == TEDDY_OK ? TEDDY_EDUP : more == TEDDY_ENOTFOUND ? TEDDY_OK : more;
    }
    return tx_end(st, err);
}

int store_child_any_device(struct store_tx *tx, const char *child_id,
                           char device_id[LIMIT_ID_LEN + 1])
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_CHILD_FIRST_DEVICE,
                               "SELECT device_id FROM device WHERE child_id = ?1 AND child_id <> ''"
                               " ORDER BY row LIMIT 1");
    bind_text(st, 1, child_id);
    int err = tx_row(tx, st);
    return tx_end(st, err == TEDDY_OK ? column_text(tx, st, 0, device_id, LIMIT_ID_LEN + 1) : err);
}

int store_device_processor(struct store_tx *tx, const char *device_id, const char *processor)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_DEVICE_PROCESSOR, "UPDATE device SET processor = ?2 WHERE device_id = ?1");
    bind_text(st, 1, device_id);
    bind_text(st, 2, processor);
    return tx_change(tx, st);
}

int store_turn_list(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                    void (*each)(void *arg, const struct talk_turn *turn), void *arg)
{
    sqlite3_stmt *st =
        of_pair(tx_stmt(tx, STMT_TURN_LIST,
                        "SELECT n, at_s, heard, said FROM turn WHERE" OF_PAIR " ORDER BY n"),
                pair, child_id);
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        struct talk_turn turn = {.n = sqlite3_column_int64(st, 0), .at_s = column_u64(st, 1)};
        turn.heard.p = (const char *)sqlite3_column_text(st, 2);
        turn.heard.len = (size_t)sqlite3_column_bytes(st, 2);
        turn.said.p = (const char *)sqlite3_column_text(st, 3);
        turn.said.len = (size_t)sqlite3_column_bytes(st, 3);
        if (turn.heard.p == NULL || turn.said.p == NULL)
            return tx_end(st, TEDDY_ESTORE);
        each(arg, &turn);
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

/* The ring: what is beyond the newest so many, or beyond so many bytes counted from the newest. */
static int bound_turns(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                       const struct talk_bounds *bounds)
{
    sqlite3_stmt *st =
        of_pair(tx_stmt(tx, STMT_TURN_BOUND,
                        "DELETE FROM turn WHERE" OF_PAIR " AND n NOT IN"
                        " (SELECT n FROM (SELECT n, row_number() OVER w AS k,"
                        "   sum(length(CAST(heard AS BLOB)) + length(CAST(said AS BLOB))) OVER w"
                        "    AS bytes FROM turn"
                        "   WHERE" OF_PAIR " WINDOW w AS (ORDER BY n DESC))"
                        "  WHERE k <= ?3 AND bytes <= ?4)"),
                pair, child_id);
    bind_u64(st, 3, bounds->turns);
    bind_u64(st, 4, bounds->bytes);
    return tx_run(tx, st);
}

int store_turn_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                   const struct talk_turn *turn, const struct talk_bounds *bounds)
{
    sqlite3_stmt *st =
        of_pair(tx_stmt(tx, STMT_TURN_ADD,
                        "INSERT INTO turn (device_row, child_id, n, at_s, heard, said)"
                        " SELECT ?1, ?2, 1 + coalesce(max(n), 0), ?3, ?4, ?5 FROM turn"
                        " WHERE" OF_PAIR),
                pair, child_id);
    bind_u64(st, 3, turn->at_s);
    bind_span(st, 4, turn->heard);
    bind_span(st, 5, turn->said);
    int err = tx_run(tx, st);
    return err == TEDDY_OK ? bound_turns(tx, pair, child_id, bounds) : err;
}

int store_talk_pair(struct store_tx *tx, const char *device_id, const char *child_id,
                    const uint8_t sid[STORE_JTI_LEN], struct talk_pair *out)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_TALK_PAIR,
                               "SELECT row, processor FROM device WHERE device_id = ?1"
                               " AND child_id = ?2 AND sid = ?3");
    bind_text(st, 1, device_id);
    bind_text(st, 2, child_id);
    bind_blob(st, 3, sid, STORE_JTI_LEN);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        out->device_row = sqlite3_column_int64(st, 0);
        err = column_text(tx, st, 1, out->processor, sizeof out->processor);
    }
    return tx_end(st, err);
}

int store_played_get(struct store_tx *tx, const char *child_id, int64_t day, uint64_t *seconds)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_PLAYED_GET,
                               "SELECT coalesce(sum(seconds), 0) FROM played"
                               " WHERE child_id = ?1 AND day = ?2");
    bind_text(st, 1, child_id);
    bind_u64(st, 2, (uint64_t)day);
    int err = tx_row(tx, st);
    *seconds = err == TEDDY_OK ? column_u64(st, 0) : 0;
    return tx_end(st, err);
}

int store_played_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                     int64_t day, uint64_t seconds)
{
    sqlite3_stmt *st =
        of_pair(tx_stmt(tx, STMT_PLAYED_ADD,
                        "INSERT INTO played (device_row, child_id, day, seconds)"
                        " VALUES (?1, ?2, ?3, ?4)"
                        " ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds"),
                pair, child_id);
    bind_u64(st, 3, (uint64_t)day);
    bind_u64(st, 4, seconds);
    return tx_run(tx, st);
}

int store_blocked_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                      int64_t day, const char *category)
{
    sqlite3_stmt *st =
        of_pair(tx_stmt(tx, STMT_BLOCKED_ADD,
                        "INSERT INTO blocked (device_row, child_id, day, category, count)"
                        " VALUES (?1, ?2, ?3, ?4, 1)"
                        " ON CONFLICT DO UPDATE SET count = count + 1"),
                pair, child_id);
    bind_u64(st, 3, (uint64_t)day);
    bind_text(st, 4, category);
    return tx_run(tx, st);
}

int store_blocked_words_add(struct store_tx *tx, const struct talk_pair *pair, const char *child_id,
                            const char *category, struct span words, uint64_t now_s)
{
    sqlite3_stmt *st =
        of_pair(tx_stmt(tx, STMT_BLOCKED_WORDS_ADD,
                        "INSERT INTO blocked_words (device_row, child_id, n, at_s, category, words)"
                        " SELECT ?1, ?2, 1 + coalesce(max(n), 0), ?3, ?4, ?5 FROM blocked_words"
                        " WHERE" OF_PAIR),
                pair, child_id);
    bind_u64(st, 3, now_s);
    bind_text(st, 4, category);
    bind_span(st, 5, words);
    int err = tx_run(tx, st);
    if (err != TEDDY_OK)
        return err;
    st = of_pair(tx_stmt(tx, STMT_BLOCKED_WORDS_BOUND,
                         "DELETE FROM blocked_words WHERE" OF_PAIR " AND n <="
                         " (SELECT max(n) FROM blocked_words WHERE" OF_PAIR ") - ?3"),
                 pair, child_id);
    bind_u64(st, 3, BLOCKED_WORDS_KEPT);
    return tx_run(tx, st);
}

int store_report(struct store_tx *tx, const char *child_id, const char *device_id, int64_t from_day,
                 bool (*each)(void *arg, const struct talk_day *day), void *arg)
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_REPORT,
        "SELECT x.day, d.device_id, x.seconds, x.category, x.count FROM device d JOIN"
        " (SELECT device_row, child_id, day, seconds, NULL AS category, 0 AS count FROM played"
        "  UNION ALL SELECT device_row, child_id, day, 0, category, count FROM blocked) x"
        " ON x.device_row = d.row AND x.child_id = d.child_id"
        " WHERE d.child_id = ?1 AND d.child_id <> '' AND (?2 IS NULL OR d.device_id = ?2)"
        " AND x.day >= ?3 ORDER BY x.day, d.row, x.category");
    bind_text(st, 1, child_id);
    if (device_id != NULL)
        bind_text(st, 2, device_id);
    if (st != NULL)
        sqlite3_bind_int64(st, 3, from_day);
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        struct talk_day day = {.day = sqlite3_column_int64(st, 0),
                               .device_id = (const char *)sqlite3_column_text(st, 1),
                               .seconds = column_u64(st, 2),
                               .category = (const char *)sqlite3_column_text(st, 3),
                               .blocked = column_u64(st, 4)};
        if (day.device_id == NULL || !each(arg, &day))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_report_words(struct store_tx *tx, const char *child_id, const char *device_id,
                       int64_t from_day, bool (*each)(void *arg, const struct talk_words *words),
                       void *arg)
{
    sqlite3_stmt *st =
        tx_stmt(tx, STMT_BLOCKED_WORDS_REPORT,
                "SELECT d.device_id, w.category, w.at_s, w.words FROM device d"
                " JOIN blocked_words w ON w.device_row = d.row AND w.child_id = d.child_id"
                " WHERE d.child_id = ?1 AND d.child_id <> '' AND (?2 IS NULL OR d.device_id = ?2)"
                " AND w.at_s >= ?3 * 86400 ORDER BY w.at_s, d.row, w.n");
    bind_text(st, 1, child_id);
    if (device_id != NULL)
        bind_text(st, 2, device_id);
    if (st != NULL)
        sqlite3_bind_int64(st, 3, from_day);
    int err;
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        struct talk_words w = {.device_id = (const char *)sqlite3_column_text(st, 0),
                               .category = (const char *)sqlite3_column_text(st, 1),
                               .at_s = column_u64(st, 2)};
        w.words.p = (const char *)sqlite3_column_text(st, 3);
        w.words.len = (size_t)sqlite3_column_bytes(st, 3);
        if (w.device_id == NULL || w.category == NULL || w.words.p == NULL || !each(arg, &w))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

/* ---- A toy's own, when it is released ---- */

int talk_clear_row(struct store_tx *tx, int64_t device_row)
{
    static const struct {
        enum stmt_id id;
        const char *sql;
    } tables[] = {
        {STMT_TALK_CLEAR_PROFILE, "DELETE FROM profile WHERE device_row = ?1"},
        {STMT_TALK_CLEAR_TURN, "DELETE FROM turn WHERE device_row = ?1"},
        {STMT_TALK_CLEAR_PLAYED, "DELETE FROM played WHERE device_row = ?1"},
        {STMT_TALK_CLEAR_BLOCKED, "DELETE FROM blocked WHERE device_row = ?1"},
        {STMT_TALK_CLEAR_ALERT, "DELETE FROM alert WHERE device_row = ?1"},
        {STMT_TALK_CLEAR_BLOCKED_WORDS, "DELETE FROM blocked_words WHERE device_row = ?1"}};
    int err = TEDDY_OK;
    for (size_t i = 0; err == TEDDY_OK && i < sizeof tables / sizeof tables[0]; i++) {
        sqlite3_stmt *st = tx_stmt(tx, tables[i].id, tables[i].sql);
        bind_u64(st, 1, (uint64_t)device_row);
        err = tx_run(tx, st);
    }
    return err;
}
