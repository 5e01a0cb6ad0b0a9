/* What conversations left with a child, to be shown. */
#include "store/internal.h"

int store_talk_toy(struct store_tx *tx, const char *child_id, int64_t after_row, int64_t *row,
                   char device_id[LIMIT_ID_LEN + 1])
{
    sqlite3_stmt *st = tx_stmt(
        tx, STMT_TALK_TOY,
        "SELECT d.row, d.device_id FROM device d WHERE d.row ="
        " (SELECT min(r) FROM"
        "  (SELECT min(device_row) AS r FROM profile WHERE child_id = ?1 AND device_row > ?2"
        "   UNION ALL SELECT min(device_row) FROM turn WHERE child_id = ?1 AND device_row > ?2"
        "   UNION ALL SELECT min(device_row) FROM played WHERE child_id = ?1 AND device_row > ?2"
        "   UNION ALL SELECT min(device_row) FROM blocked WHERE child_id = ?1 AND device_row > ?2"
        "   UNION ALL SELECT min(device_row) FROM alert WHERE child_id = ?1 AND device_row > ?2"
        "   UNION ALL SELECT min(device_row) FROM blocked_words"
        "    WHERE child_id = ?1 AND device_row > ?2))");
    bind_text(st, 1, child_id);
    bind_u64(st, 2, (uint64_t)after_row);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK) {
        *row = sqlite3_column_int64(st, 0);
        err = column_text(tx, st, 1, device_id, LIMIT_ID_LEN + 1);
    }
    return tx_end(st, err);
}

static struct span column_span(sqlite3_stmt *st, int at)
{
    const char *p = (const char *)sqlite3_column_text(st, at);
    return (struct span){p ? p : "", p ? (size_t)sqlite3_column_bytes(st, at) : 0};
}

static int kept_profile(struct store_tx *tx, const char *child_id, int64_t row,
                        bool (*each)(void *arg, const struct talk_kept_row *kept), void *arg)
{
    sqlite3_stmt *st = tx_stmt(tx, STMT_TALK_KEPT_PROFILE,
                               "SELECT name, language, age, memory, alert_words,"
                               " coalesce(l.zone, ''), coalesce(quiet_from, 0),"
                               " coalesce(quiet_to, 0), coalesce(minutes, 0)"
                               " FROM profile p LEFT JOIN limits l ON l.child_id = p.child_id"
                               " WHERE p.device_row = ?1 AND p.child_id = ?2");
    struct profile_row profile;
    bind_u64(st, 1, (uint64_t)row);
    bind_text(st, 2, child_id);
    int err = tx_row(tx, st);
    if (err == TEDDY_OK)
        err = talk_read_profile(tx, st, 0, &profile);
    if (err == TEDDY_OK)
        (void)each(arg, &(struct talk_kept_row){.what = KEPT_PROFILE, .profile = &profile});
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}

int store_talk_kept(struct store_tx *tx, const char *child_id, int64_t row,
                    bool (*each)(void *arg, const struct talk_kept_row *kept), void *arg)
{
    int err = kept_profile(tx, child_id, row, each, arg);
    if (err != TEDDY_OK)
        return err;
    sqlite3_stmt *st = tx_stmt(tx, STMT_TALK_KEPT,
                               "SELECT 1, at_s, 0, 0, heard, said, n AS o, 0 FROM turn WHERE "
                               "device_row = ?1 AND child_id = ?2"
                               " UNION ALL SELECT 2, 0, day, seconds, '', '', day, 0 FROM played"
                               "  WHERE device_row = ?1 AND child_id = ?2"
                               " UNION ALL SELECT 3, 0, day, count, category, '', day, 0 FROM"
                               "  blocked WHERE device_row = ?1 AND child_id = ?2"
                               " UNION ALL SELECT 4, at_s, 0, more, category, words, n, last_s FROM"
                               "  alert WHERE device_row = ?1 AND child_id = ?2"
                               " UNION ALL SELECT 5, at_s, 0, 0, category, words, n, 0 FROM"
                               "  blocked_words WHERE device_row = ?1 AND child_id = ?2"
                               " ORDER BY 1, o");
    bind_u64(st, 1, (uint64_t)row);
    bind_text(st, 2, child_id);
    while ((err = tx_row(tx, st)) == TEDDY_OK) {
        struct talk_kept_row kept = {.what = (enum talk_kept)sqlite3_column_int(st, 0),
                                     .at_s = column_u64(st, 1),
                                     .day = sqlite3_column_int64(st, 2),
                                     .count = column_u64(st, 3),
                                     .a = column_span(st, 4),
                                     .b = column_span(st, 5),
                                     .last_s = column_u64(st, 7)};
        if (!each(arg, &kept))
            break;
    }
    return tx_end(st, err == TEDDY_ENOTFOUND ? TEDDY_OK : err);
}
