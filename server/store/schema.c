/* The tables, and how an older database becomes a present one. */
#include <stdio.h>

#include "store/internal.h"

#define APPLICATION_ID 0x54444459 /* "TDDY" */

/* Each step brings PRAGMA user_version from its index to the next; a step that has shipped never
 * changes.
 *
 * claim_key holds the nonce (kind 0) and the MAC (kind 1) of every accepted claim, but for the
 * newest of each device, which stand in its row (recent): both uniqueness constraints are one
 * primary key. A device's token family stands in its own row (sid is NULL when none is in force),
 * so that a claim changes two places of the database however many devices there are. downlink is a
 * device's queue in the order of its ids, text (kind 0) or a JSON object (kind 1); the device's own
 * columns hold the last id issued to it, which outlives the message. */
static const char *const steps[] = {
    "CREATE TABLE device ("
    " row INTEGER PRIMARY KEY AUTOINCREMENT," /* never given twice: a job may still hold a removed
                                                 one */
    " device_id TEXT NOT NULL UNIQUE,"
    " secret BLOB NOT NULL UNIQUE CHECK (length(secret) = 32),"
    " secret_rev INTEGER NOT NULL DEFAULT 1,"
    " enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),"
    " child_id TEXT NOT NULL DEFAULT '',"
    " firmware_version TEXT NOT NULL DEFAULT '',"
    " client_timestamp TEXT NOT NULL DEFAULT ''," /* as the toy said it; recorded, never trusted */
    " created_s INTEGER NOT NULL,"
    " claimed_s INTEGER NOT NULL DEFAULT 0,"
    " seen_s INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE TABLE claim_key ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " kind INTEGER NOT NULL CHECK (kind IN (0, 1)),"
    " key BLOB NOT NULL,"
    " accepted_s INTEGER NOT NULL,"
    " PRIMARY KEY (device_row, kind, key)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE family ("
    " sid BLOB NOT NULL PRIMARY KEY CHECK (length(sid) = 16),"
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " child_id TEXT NOT NULL,"
    " access_jti BLOB NOT NULL CHECK (length(access_jti) = 16),"
    " refresh_jti BLOB NOT NULL CHECK (length(refresh_jti) = 16),"
    " iat_s INTEGER NOT NULL,"
    " access_exp_s INTEGER NOT NULL,"
    " refresh_exp_s INTEGER NOT NULL,"
    " presented INTEGER NOT NULL DEFAULT 0,"
    " spent_jti BLOB CHECK (length(spent_jti) = 16)," /* NULL: never rotated */
    " spent_s INTEGER NOT NULL DEFAULT 0,"
    " revoked INTEGER NOT NULL DEFAULT 0"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX family_device ON family (device_row);"
    "CREATE INDEX family_expiry ON family (refresh_exp_s);",

    "ALTER TABLE device ADD COLUMN downlink_epoch INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN downlink_n INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE downlink ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " epoch INTEGER NOT NULL,"
    " n INTEGER NOT NULL,"
    " kind INTEGER NOT NULL CHECK (kind IN (0, 1)),"
    " body TEXT NOT NULL,"
    " queued_s INTEGER NOT NULL,"
    " expires_s INTEGER NOT NULL,"
    " PRIMARY KEY (device_row, epoch, n)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX downlink_expiry ON downlink (expires_s);"
    "CREATE TABLE server ("
    " only INTEGER PRIMARY KEY CHECK (only = 0)," /* one row */
    " epoch INTEGER NOT NULL"
    ") STRICT;"
    "INSERT INTO server (only, epoch) VALUES (0, 0);",

    "ALTER TABLE device ADD COLUMN sid BLOB CHECK (length(sid) = 16);"
    "ALTER TABLE device ADD COLUMN access_jti BLOB CHECK (length(access_jti) = 16);"
    "ALTER TABLE device ADD COLUMN refresh_jti BLOB CHECK (length(refresh_jti) = 16);"
    "ALTER TABLE device ADD COLUMN iat_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN access_exp_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN refresh_exp_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN presented INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN spent_jti BLOB CHECK (length(spent_jti) = 16);"
    "ALTER TABLE device ADD COLUMN spent_s INTEGER NOT NULL DEFAULT 0;"
    "UPDATE device SET sid = f.sid, access_jti = f.access_jti, refresh_jti = f.refresh_jti,"
    " iat_s = f.iat_s, access_exp_s = f.access_exp_s, refresh_exp_s = f.refresh_exp_s,"
    " presented = f.presented, spent_jti = f.spent_jti, spent_s = f.spent_s"
    " FROM family f WHERE f.device_row = device.row AND f.revoked = 0"
    " AND f.child_id = device.child_id;"
    "DROP TABLE family;",

    "CREATE TABLE admin_token ("
    " row INTEGER PRIMARY KEY," /* their order */
    " id TEXT NOT NULL UNIQUE,"
    " sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32)," /* of its text, which is not kept */
    " role TEXT NOT NULL,"
    " prefix TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " created_s INTEGER NOT NULL,"
    " expires_s INTEGER NOT NULL,"
    " revoked_s INTEGER NOT NULL DEFAULT 0,"
    " used_s INTEGER NOT NULL DEFAULT 0"
    ") STRICT;",

    "CREATE TABLE batch ("
    " n INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE CHECK (length(id) = 16),"
    " prefix TEXT NOT NULL,"
    " first INTEGER NOT NULL,"
    " count INTEGER NOT NULL,"
    " digits INTEGER NOT NULL,"
    " created_s INTEGER NOT NULL,"
    " manifest_sha256 BLOB NOT NULL CHECK (length(manifest_sha256) = 32)"
    ") STRICT;",

    /* The functions seal_… are lent by seal_upgrade. The column that held the secrets holds their
     * fingerprints, which are as long and as unique. swept: nothing in the clear can be left in the
     * file, as there never was anything. */
    "CREATE TABLE seal_key ("
    " only INTEGER PRIMARY KEY CHECK (only = 0)," /* one row */
    " wrapped BLOB NOT NULL CHECK (length(wrapped) = 60),"
    " master_id BLOB NOT NULL CHECK (length(master_id) = 8),"
    " since_s INTEGER NOT NULL,"
    " swept INTEGER NOT NULL CHECK (swept IN (0, 1))"
    ") STRICT;"
    "INSERT INTO seal_key (only, wrapped, master_id, since_s, swept)"
    " SELECT 0, seal_data_key(), seal_master_id(), unixepoch(), user_version = 0"
    " FROM pragma_user_version;"
    "ALTER TABLE device RENAME COLUMN secret TO fingerprint;"
    "ALTER TABLE device ADD COLUMN sealed BLOB CHECK (length(sealed) = 60);"
    "UPDATE device SET sealed = seal_secret(device_id, fingerprint),"
    " fingerprint = seal_fingerprint(fingerprint);",

    /* The chain of hashes is what proves; that the table refuses to be changed is a courtesy. What
       stands behind the anchor may go. */
    "CREATE TABLE audit ("
    " n INTEGER PRIMARY KEY,"
    " at_ms INTEGER NOT NULL,"
    " event TEXT NOT NULL,"
    " device_id TEXT NOT NULL,"
    " child BLOB," /* its pseudonym */
    " actor TEXT NOT NULL,"
    " detail TEXT NOT NULL,"
    " hash BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE audit_anchor ("
    " only INTEGER PRIMARY KEY CHECK (only = 0)," /* one row, or none */
    " n INTEGER NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " hash BLOB NOT NULL,"
    " signature BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE audit_head ("
    " n INTEGER PRIMARY KEY,"
    " at_ms INTEGER NOT NULL,"
    " hash BLOB NOT NULL,"
    " signature BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE child ("
    " child_id TEXT NOT NULL PRIMARY KEY,"
    " key BLOB NOT NULL CHECK (length(key) = 16)" /* of its pseudonym */
    ") STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER audit_update BEFORE UPDATE ON audit"
    " BEGIN SELECT raise(ABORT, 'audit is append-only'); END;"
    "CREATE TRIGGER audit_delete BEFORE DELETE ON audit"
    " WHEN old.n > coalesce((SELECT n FROM audit_anchor), 0)"
    " BEGIN SELECT raise(ABORT, 'audit is append-only'); END;",

    /* idle_s: when upkeep first found no toy bound to the child; 0: one is. erasures: how much of
     * the list of forgotten children is known (erasures.h). */
    "CREATE INDEX device_child ON device (child_id) WHERE child_id <> '';"
    "ALTER TABLE child ADD COLUMN made_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE child ADD COLUMN idle_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE server ADD COLUMN erasures INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE device ADD COLUMN recent BLOB NOT NULL DEFAULT x'';", /* claims.c */

    /* What is kept of conversations, each table's rows by toy and child (talk.h). day: local, from
     * 1970-01-01. */
    "ALTER TABLE device ADD COLUMN processor TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE profile ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " child_id TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " language TEXT NOT NULL,"
    " age INTEGER NOT NULL,"
    " memory INTEGER NOT NULL CHECK (memory IN (-1, 0, 1)),"
    " alert_words INTEGER NOT NULL CHECK (alert_words IN (0, 1)),"
    " set_s INTEGER NOT NULL,"
    " PRIMARY KEY (device_row, child_id)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE limits (" /* the child's, with whichever toy it plays */
    " child_id TEXT NOT NULL PRIMARY KEY,"
    " zone TEXT NOT NULL,"
    " quiet_from INTEGER NOT NULL,"
    " quiet_to INTEGER NOT NULL,"
    " minutes INTEGER NOT NULL,"
    " set_s INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE turn ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " child_id TEXT NOT NULL,"
    " n INTEGER NOT NULL,"
    " at_s INTEGER NOT NULL,"
    " heard TEXT NOT NULL,"
    " said TEXT NOT NULL,"
    " PRIMARY KEY (device_row, child_id, n)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX turn_age ON turn (at_s);"
    "CREATE TABLE played ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " child_id TEXT NOT NULL,"
    " day INTEGER NOT NULL,"
    " seconds INTEGER NOT NULL,"
    " PRIMARY KEY (device_row, child_id, day)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX played_age ON played (day);"
    "CREATE TABLE blocked ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " child_id TEXT NOT NULL,"
    " day INTEGER NOT NULL,"
    " category TEXT NOT NULL,"
    " count INTEGER NOT NULL,"
    " PRIMARY KEY (device_row, child_id, day, category)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX blocked_age ON blocked (day);"
    "CREATE TABLE alert ("
    " n INTEGER PRIMARY KEY AUTOINCREMENT," /* a webhook knows a repeated one by it */
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " child_id TEXT NOT NULL,"
    " category TEXT NOT NULL,"
    " words TEXT NOT NULL,"
    " at_s INTEGER NOT NULL,"
    " due_s INTEGER NOT NULL,"
    " tries INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX alert_due ON alert (due_s);"
    "CREATE INDEX alert_device ON alert (device_row);"
    "CREATE INDEX profile_child ON profile (child_id);"
    "CREATE INDEX turn_child ON turn (child_id);"
    "CREATE INDEX played_child ON played (child_id);"
    "CREATE INDEX blocked_child ON blocked (child_id);"
    "CREATE INDEX alert_child ON alert (child_id);"
    "CREATE TABLE blocked_words ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " child_id TEXT NOT NULL,"
    " n INTEGER NOT NULL,"
    " at_s INTEGER NOT NULL,"
    " category TEXT NOT NULL,"
    " words TEXT NOT NULL,"
    " PRIMARY KEY (device_row, child_id, n)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX blocked_words_age ON blocked_words (at_s);"
    "CREATE INDEX blocked_words_child ON blocked_words (child_id);",

    /* A toy's past (history.h), as two rings, and its events as a list: device.event is the number
     * of the newest, audit.prev of each the one before; 0: none. An index of the audit trail by toy
     * would cost each claim a page more. */
    "CREATE TABLE telemetry ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " n INTEGER NOT NULL,"
    " at_s INTEGER NOT NULL,"
    " battery REAL,"
    " rssi REAL,"
    " heap REAL,"
    " heap_min REAL,"
    " uptime_s REAL,"
    " temperature REAL,"
    " PRIMARY KEY (device_row, n)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX telemetry_age ON telemetry (at_s);"
    "CREATE TABLE past_session ("
    " device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,"
    " n INTEGER NOT NULL,"
    " opened_s INTEGER NOT NULL,"
    " closed_s INTEGER NOT NULL,"
    " close INTEGER NOT NULL,"
    " reason TEXT NOT NULL,"
    " received INTEGER NOT NULL,"
    " sent INTEGER NOT NULL,"
    " PRIMARY KEY (device_row, n)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX past_session_age ON past_session (closed_s);"
    "ALTER TABLE device ADD COLUMN event INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE audit ADD COLUMN prev INTEGER NOT NULL DEFAULT 0;",

    /* What is counted in an alert, as the outbox is bounded (outbox.c). */
    ("ALTER TABLE alert ADD COLUMN more INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE alert ADD COLUMN last_s INTEGER NOT NULL DEFAULT 0;"),
};

#define VERSION ((int)(sizeof steps / sizeof steps[0]))

/* What the steps call makes no difference to the tables: blobs of the lengths that these demand. */
static void sql_stand_in(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    const int *len = sqlite3_user_data(c);
    (void)argc;
    (void)argv;
    sqlite3_result_zeroblob(c, *len);
}

int schema_known(void)
{
    return VERSION;
}

bool schema_build(sqlite3 *db, int version)
{
    static int wrapped = SEALED_LEN, id = SEAL_ID_LEN, mac = SEAL_MAC_LEN;
    const struct {
        const char *name;
        int argc, *len;
    } lent[] = {{"seal_data_key", 0, &wrapped},
                {"seal_master_id", 0, &id},
                {"seal_secret", 2, &wrapped},
                {"seal_fingerprint", 1, &mac}};
    bool ok = version <= VERSION;
    for (size_t i = 0; ok && i < sizeof lent / sizeof lent[0]; i++)
        ok = sqlite3_create_function(db, lent[i].name, lent[i].argc, SQLITE_UTF8, lent[i].len,
                                     sql_stand_in, NULL, NULL) == SQLITE_OK;
    for (int i = 0; ok && i < version; i++)
        ok = sqlite3_exec(db, steps[i], NULL, NULL, NULL) == SQLITE_OK;
    return ok;
}

static int pragma_number(struct store_tx *tx, const char *sql, int *out)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite3_prepare_v2(tx->db, sql, -1, &st, NULL) == SQLITE_OK &&
              sqlite3_step(st) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return ok ? TEDDY_OK : TEDDY_ESTORE;
}

int schema_check(struct store_tx *tx, const char *path, int *version, char *err, size_t cap)
{
    int application = 0, tables = 0;
    if (pragma_number(tx, "PRAGMA application_id", &application) != TEDDY_OK ||
        pragma_number(tx, "PRAGMA user_version", version) != TEDDY_OK ||
        pragma_number(tx, "SELECT count(*) FROM sqlite_schema", &tables) != TEDDY_OK)
        return tx_explain(tx, path, err, cap);
    bool fresh = application == 0 && *version == 0 && tables == 0;
    if (!fresh && application != APPLICATION_ID) {
        snprintf(err, cap,
                 "store %s: it is another program's database; choose another data directory", path);
        return TEDDY_ESTORE;
    }
    if (*version < 0 || *version > VERSION) {
        snprintf(err, cap,
                 "store %s: its schema is version %d and this program knows %d; run the newer "
                 "program or restore a backup",
                 path, *version, VERSION);
        return TEDDY_ESTORE;
    }
    return TEDDY_OK;
}

static bool upgrade(struct store_tx *tx)
{
    int version = 0;
    if (sqlite3_exec(tx->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        pragma_number(tx, "PRAGMA user_version", &version) != TEDDY_OK)
        return false;
    /* Read again under the lock: another program may have upgraded it meanwhile. */
    for (; version < VERSION; version++)
        if (sqlite3_exec(tx->db, steps[version], NULL, NULL, NULL) != SQLITE_OK)
            return false;
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, version);
    return sqlite3_exec(tx->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

int schema_upgrade(struct store_tx *tx, const char *path, int version, char *err, size_t cap)
{
    if (version == VERSION || upgrade(tx))
        return TEDDY_OK;
    tx_explain(tx, path, err, cap);
    if (!sqlite3_get_autocommit(tx->db))
        (void)sqlite3_exec(tx->db, "ROLLBACK", NULL, NULL, NULL);
    return TEDDY_ESTORE;
}
