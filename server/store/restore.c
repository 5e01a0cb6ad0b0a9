#include "store/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/audit.h"
#include "store/internal.h"

#define COUNT(member) offsetof(struct restore_counts, member)
#define FORMER        "former.device f WHERE f.device_id = device.device_id"

#define ROTATED                                                                                    \
    FORMER " AND f.fingerprint != device.fingerprint"                                              \
           " AND (f.created_s, f.secret_rev) >= (device.created_s, device.secret_rev)"

struct restore_step {
    size_t count; /* which one */
    const char *sql;
};

/* What the former database knows and the backup cannot. Rows differ between the two: devices are
 * who has the id. A device that the former one has not is one that was removed, unless its row was
 * given after the last that the former one ever gave: then it is the former one that is older. */
static const struct restore_step known[] = {
    {COUNT(claims),
     "INSERT OR IGNORE INTO claim_key (device_row, kind, key, accepted_s)"
     " SELECT d.row, c.kind, c.key, c.accepted_s FROM former.claim_key c"
     " JOIN former.device f ON f.row = c.device_row JOIN device d ON d.device_id = f.device_id"},
    {COUNT(secrets),
     "UPDATE device SET fingerprint = f.fingerprint, sealed = f.sealed, secret_rev = f.secret_rev"
     " FROM " ROTATED},
    {COUNT(disabled),
     "UPDATE device SET enabled = 0 FROM " FORMER " AND f.enabled = 0 AND device.enabled = 1"},
    {COUNT(removed), "UPDATE device SET enabled = 0 WHERE NOT EXISTS (SELECT 1 FROM " FORMER ")"
                     " AND row <= (SELECT seq FROM former.sqlite_sequence WHERE name = 'device')"},
    {COUNT(messages),
     "DELETE FROM downlink AS m WHERE EXISTS (SELECT 1 FROM device d"
     " JOIN former.device f ON f.device_id = d.device_id WHERE d.row = m.device_row"
     " AND (m.epoch, m.n) <= (f.downlink_epoch, f.downlink_n) AND NOT EXISTS"
     " (SELECT 1 FROM former.downlink w WHERE (w.device_row, w.epoch, w.n) = (f.row, m.epoch, "
     "m.n)))"},
    {COUNT(messages),
     "DELETE FROM downlink AS m WHERE EXISTS (SELECT 1 FROM device d"
     " JOIN former.device f ON f.device_id = d.device_id WHERE d.row = m.device_row"
     " AND d.child_id != '' AND f.child_id != d.child_id)"},
    {COUNT(unbound),
     "UPDATE device SET child_id = '', client_timestamp = '', claimed_s = 0, seen_s = 0 "
     "FROM " FORMER " AND device.child_id != '' AND f.child_id != device.child_id"},
};

/* No two devices have one secret, not for a moment either: where some have changed hands, those
 * that get another give theirs up first, and who then has one of those that are given, and is not
 * among them, does not come back. */
static const char hands[] =
    "UPDATE device SET fingerprint = randomblob(32) FROM " ROTATED ";"
    "DELETE FROM device WHERE fingerprint IN (SELECT f.fingerprint FROM former.device f"
    " JOIN device d ON d.device_id = f.device_id WHERE f.fingerprint != d.fingerprint"
    " AND (f.created_s, f.secret_rev) >= (d.created_s, d.secret_rev))";

/* The key of a pseudonym that was destroyed stays so. */
static const char pseudonyms[] = "DELETE FROM child WHERE NOT EXISTS (SELECT 1 FROM former.child f"
                                 " WHERE f.child_id = child.child_id AND f.key = child.key)";

/* What conversations left, of a toy that has left that child since. */
#define LEFT(table)                                                                                \
    "DELETE FROM " table " AS t WHERE NOT EXISTS (SELECT 1 FROM device d JOIN former.device f"     \
    " ON f.device_id = d.device_id WHERE d.row = t.device_row AND f.child_id = t.child_id);"
#define GONE(table)                                                                                \
    "DELETE FROM " table " AS t WHERE NOT EXISTS (SELECT 1 FROM device d JOIN former.device f"     \
    " ON f.device_id = d.device_id JOIN former." table " o ON (o.device_row, o.child_id, o.n) ="   \
    " (f.row, t.child_id, t.n) WHERE d.row = t.device_row AND o.at_s = t.at_s);"
static const char conversations[] = LEFT("profile") LEFT("turn") LEFT("played") LEFT("blocked")
    LEFT("blocked_words") "DELETE FROM limits AS t WHERE NOT EXISTS"
                          " (SELECT 1 FROM former.device f WHERE f.child_id = t.child_id)"
                          " AND NOT EXISTS"
                          " (SELECT 1 FROM device d WHERE d.child_id = t.child_id);"
    /* Words that the former one has let go do not come back … */
    GONE("turn") GONE("blocked_words")
    /* … and what was set since the backup stays set. */
    "INSERT OR REPLACE INTO limits SELECT f.* FROM former.limits f LEFT JOIN limits t"
    " ON t.child_id = f.child_id WHERE f.set_s >= coalesce(t.set_s, 0);"
    "INSERT OR REPLACE INTO profile (device_row, child_id, name, language, age, memory,"
    " alert_words, set_s) SELECT d.row, p.child_id, p.name, p.language, p.age, p.memory,"
    " p.alert_words, p.set_s FROM former.profile p JOIN former.device f ON f.row = p.device_row"
    " JOIN device d ON d.device_id = f.device_id AND d.child_id = p.child_id"
    " LEFT JOIN profile t ON t.device_row = d.row AND t.child_id = p.child_id"
    " WHERE p.set_s >= coalesce(t.set_s, 0);"
    /* What was played since counts: a day has no more minutes for it. */
    "INSERT INTO played (device_row, child_id, day, seconds) SELECT d.row, p.child_id, p.day,"
    " p.seconds FROM former.played p JOIN former.device f ON f.row = p.device_row"
    " JOIN device d ON d.device_id = f.device_id AND d.child_id = p.child_id WHERE true"
    " ON CONFLICT DO UPDATE SET seconds = max(seconds, excluded.seconds);";

/* Who takes alerts knows them by their numbers: none is given twice. */
#define ALERT_NUMBERS(from)                                                                        \
    "INSERT INTO main.sqlite_sequence (name, seq) SELECT 'alert', 0 WHERE NOT EXISTS"              \
    " (SELECT 1 FROM main.sqlite_sequence WHERE name = 'alert');"                                  \
    "UPDATE main.sqlite_sequence SET seq = max(seq, " from ") WHERE name = 'alert'"

/* One that was delivered since is not sent again, and one that still waits is not lost. */
static const char alerts[] =
    "DELETE FROM alert WHERE n NOT IN (SELECT n FROM former.alert) AND n <="
    " (SELECT seq FROM former.sqlite_sequence WHERE name = 'alert');"
    "INSERT OR REPLACE INTO alert (n, device_row, child_id, category, words, at_s, due_s, tries,"
    " more, last_s) SELECT o.n, d.row, o.child_id, o.category, o.words, o.at_s, o.due_s, o.tries,"
    " o.more, o.last_s"
    " FROM former.alert o JOIN former.device f ON f.row = o.device_row"
    " JOIN device d ON d.device_id = f.device_id;" ALERT_NUMBERS(
        "coalesce((SELECT seq FROM former.sqlite_sequence WHERE name = 'alert'), 0)");
/* More than were given since the backup. */
static const char alert_numbers_lost[] = ALERT_NUMBERS("seq + 1000000");

/* A toy's past, the same. */
#define STRANGE(table)                                                                             \
    "DELETE FROM " table " WHERE device_row NOT IN (SELECT d.row FROM device d JOIN former.device" \
    " f ON f.device_id = d.device_id WHERE d.child_id != '' AND f.child_id = d.child_id);"
static const char history[] = STRANGE("telemetry") STRANGE("past_session");

/* No message gets an id that was given already, nor a batch numbers. */
static const char numbers[] =
    "UPDATE server SET epoch = max(server.epoch, f.epoch) FROM former.server f;"
    "UPDATE device SET downlink_epoch = f.downlink_epoch, downlink_n = f.downlink_n FROM " FORMER
    " AND (f.downlink_epoch, f.downlink_n) > (device.downlink_epoch, device.downlink_n);"
    "INSERT OR IGNORE INTO batch (id, prefix, first, count, digits, created_s, manifest_sha256)"
    " SELECT id, prefix, first, count, digits, created_s, manifest_sha256 FROM former.batch"
    " ORDER BY n";

static const struct restore_step ended[] = {
    {COUNT(families),
     "UPDATE device SET sid = NULL, access_jti = NULL, refresh_jti = NULL, iat_s = 0, access_exp_s "
     "= 0,"
     " refresh_exp_s = 0, presented = 0, spent_jti = NULL, spent_s = 0 WHERE sid IS NOT NULL"},
    {COUNT(admin_tokens), "UPDATE admin_token SET revoked_s = unixepoch() WHERE revoked_s = 0"},
};

static bool run_steps(struct store_tx *tx, const struct restore_step *steps, size_t count,
                      struct restore_counts *out)
{
    for (size_t i = 0; i < count; i++) {
        if (sqlite3_exec(tx->db, steps[i].sql, NULL, NULL, NULL) != SQLITE_OK)
            return false;
        uint64_t *n = (uint64_t *)(void *)((char *)out + steps[i].count);
        *n += (uint64_t)sqlite3_changes64(tx->db);
    }
    return true;
}

/* Two databases of one registry have one data key, whatever their master keys are. */
static int mark_of(struct store_tx *tx, uint8_t mark[SEAL_MAC_LEN])
{
    static const char text[] = "which registry";
    return store_seal_erasure(tx, text, sizeof text, mark);
}

/* Not what the former database is, but what is in the way: it is not lost, and not to be passed
 * over by who says so. */
static bool only_now(const struct store_tx *tx)
{
    switch ((tx->why != SQLITE_OK ? tx->why : sqlite3_errcode(tx->db)) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return true;
    default:
        return false;
    }
}

/* Opened as its server would, and closed: its log is in the file then. */
static int settle_former(const struct store_options *o, const char *former,
                         uint8_t mark[SEAL_MAC_LEN], char *err, size_t cap)
{
    struct store_options options = {.path = former, .master = o->master};
    struct store_tx tx;
    int rc = tx_open(&tx, &options, o->vfs, true, err, cap);
    if (rc == TEDDY_OK && mark_of(&tx, mark) != TEDDY_OK)
        rc = tx_explain(&tx, former, err, cap);
    bool later = rc != TEDDY_OK && only_now(&tx);
    tx_close(&tx);
    return rc == TEDDY_OK || later ? rc : TEDDY_EAUTH;
}

static int attach(struct store_tx *tx, const char *former, char *err, size_t cap)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(tx->db, "ATTACH ?1 AS former", -1, &st, NULL) == SQLITE_OK &&
              sqlite3_bind_text(st, 1, former, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_DONE;
    if (!ok)
        tx_explain(tx, former, err, cap);
    sqlite3_finalize(st);
    return ok ? TEDDY_OK : TEDDY_EAUTH;
}

static int use_former(struct store_tx *tx, const struct store_options *o, const char *former,
                      char *err, size_t cap)
{
    uint8_t mark[SEAL_MAC_LEN], own[SEAL_MAC_LEN];
    int rc = settle_former(o, former, mark, err, cap);
    if (rc != TEDDY_OK)
        return rc;
    if (mark_of(tx, own) != TEDDY_OK)
        return tx_explain(tx, o->path, err, cap);
    if (memcmp(mark, own, sizeof own) == 0)
        return attach(tx, former, err, cap);
    snprintf(err, cap, "the backup is of another registry than %s", former);
    return TEDDY_EAUTH;
}

/* The copy has been checked: what is damaged is the former one. */
static int blame(struct store_tx *tx, const struct restore_job *job, char *err, size_t cap)
{
    int code = sqlite3_errcode(tx->db) & 0xff;
    bool former = job->former != NULL && (code == SQLITE_CORRUPT || code == SQLITE_NOTADB);
    (void)tx_explain(tx, former ? job->former : job->store.path, err, cap);
    return former ? TEDDY_EAUTH : TEDDY_ESTORE;
}

enum { STEPS = 7 };

/* Always true. */
static bool stepped(const struct restore_job *job, unsigned done)
{
    if (job->stepped != NULL)
        job->stepped(job->arg, done, STEPS);
    return true;
}

/* What the former database knows. */
static int follow(struct store_tx *tx, const struct restore_job *job, struct restore_counts *out,
                  char *err, size_t cap)
{
    int rc = claim_keys_adopt(tx, &out->claims);
    if (rc != TEDDY_OK && tx->why == SQLITE_CORRUPT) {
        snprintf(err, cap, "store %s: what it has of a device's claims: it is damaged",
                 rc == TEDDY_EAUTH ? job->former : job->store.path);
        return rc;
    }
    bool ok = rc == TEDDY_OK && stepped(job, 1) &&
              sqlite3_exec(tx->db, hands, NULL, NULL, NULL) == SQLITE_OK && stepped(job, 2) &&
              run_steps(tx, known, sizeof known / sizeof known[0], out) && stepped(job, 3) &&
              sqlite3_exec(tx->db, pseudonyms, NULL, NULL, NULL) == SQLITE_OK && stepped(job, 4) &&
              sqlite3_exec(tx->db, conversations, NULL, NULL, NULL) == SQLITE_OK &&
              sqlite3_exec(tx->db, alerts, NULL, NULL, NULL) == SQLITE_OK &&
              sqlite3_exec(tx->db, history, NULL, NULL, NULL) == SQLITE_OK && stepped(job, 5) &&
              sqlite3_exec(tx->db, numbers, NULL, NULL, NULL) == SQLITE_OK && stepped(job, 6);
    return ok ? TEDDY_OK : blame(tx, job, err, cap);
}

static int tell(struct store_tx *tx, const struct restore_job *job)
{
    char detail[160];
    snprintf(detail, sizeof detail, "{\"made_s\":%" PRIu64 ",\"former_used\":%s}", job->made_s,
             job->former != NULL ? "true" : "false");
    return audit_add(tx, &(struct audit_event){
                             .event = "backup.restored", .actor = job->actor, .detail = detail});
}

static int change(struct store_tx *tx, const struct restore_job *job, struct restore_counts *out,
                  char *err, size_t cap)
{
    sqlite3 *db = tx->db;
    bool ok = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    int rc = ok && job->former != NULL ? follow(tx, job, out, err, cap) : TEDDY_OK;
    if (rc != TEDDY_OK)
        return rc;
    if (job->former == NULL)
        ok = ok && sqlite3_exec(db, alert_numbers_lost, NULL, NULL, NULL) == SQLITE_OK;
    ok = ok && run_steps(tx, ended, sizeof ended / sizeof ended[0], out) && stepped(job, STEPS);
    ok = ok && store_epoch_open(tx, job->now_s) == TEDDY_OK;
    if (!ok)
        return blame(tx, job, err, cap);
    ok = tell(tx, job) == TEDDY_OK && job->sign(tx, job->signer) == TEDDY_OK &&
         sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    return ok ? TEDDY_OK : tx_explain(tx, job->store.path, err, cap);
}

static int settle(struct store_tx *tx, const struct store_options *o, char *err, size_t cap)
{
    int left = -1;
    if (sqlite3_wal_checkpoint_v2(tx->db, "main", SQLITE_CHECKPOINT_TRUNCATE, &left, NULL) !=
            SQLITE_OK ||
        left != 0)
        return tx_explain(tx, o->path, err, cap);
    return TEDDY_OK;
}

static int restore_on(const struct restore_job *job, struct restore_counts *out, char *err,
                      size_t cap)
{
    struct store_tx tx;
    sqlite3_stmt *st = NULL;
    *out = (struct restore_counts){0};
    int rc = tx_open(&tx, &job->store, job->store.vfs, true, err, cap);
    if (rc == TEDDY_OK && job->former != NULL)
        rc = use_former(&tx, &job->store, job->former, err, cap);
    if (rc == TEDDY_OK)
        rc = change(&tx, job, out, err, cap);
    if (rc == TEDDY_OK)
        rc = settle(&tx, &job->store, err, cap);
    if (rc == TEDDY_OK &&
        sqlite3_prepare_v2(tx.db, "SELECT count(*) FROM device", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        out->devices = column_u64(st, 0);
    sqlite3_finalize(st);
    tx_close(&tx);
    return rc;
}

int store_restore(const struct restore_job *job, struct restore_counts *out, char *err, size_t cap)
{
    struct restore_job filtered = *job;
    struct log_vfs pages; /* what the rows that go leave in their pages is zero, as in a server's */
    if (log_vfs_add(&pages, job->store.vfs) != TEDDY_OK) {
        snprintf(err, cap, "%s: there is no memory", job->store.path);
        return TEDDY_ESTORE;
    }
    filtered.store.vfs = pages.name;
    int rc = restore_on(&filtered, out, err, cap);
    log_vfs_remove(&pages);
    return rc;
}
