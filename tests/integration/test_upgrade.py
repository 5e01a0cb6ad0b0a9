"""A data directory of an older release: all that its toys have stays good."""

import glob
import json
import os
import random
import re
import resource
import shutil
import stat
import subprocess
import time

from harness import PATIENCE, Case, closed, closing, hello, keys_of, main, program, receive, rounds, unb64url

# A family stood in a table of its own until schema 3; its columns there, and in the device's row since.
FAMILY = ["sid", "child_id", "access_jti", "refresh_jti", "iat_s", "access_exp_s", "refresh_exp_s", "presented",
          "spent_jti", "spent_s"]
SCHEMA_2 = """
CREATE TABLE family (
 sid BLOB NOT NULL PRIMARY KEY CHECK (length(sid) = 16),
 device_row INTEGER NOT NULL REFERENCES device (row) ON DELETE CASCADE,
 child_id TEXT NOT NULL,
 access_jti BLOB NOT NULL CHECK (length(access_jti) = 16),
 refresh_jti BLOB NOT NULL CHECK (length(refresh_jti) = 16),
 iat_s INTEGER NOT NULL,
 access_exp_s INTEGER NOT NULL,
 refresh_exp_s INTEGER NOT NULL,
 presented INTEGER NOT NULL DEFAULT 0,
 spent_jti BLOB CHECK (length(spent_jti) = 16),
 spent_s INTEGER NOT NULL DEFAULT 0,
 revoked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX family_device ON family (device_row);
CREATE INDEX family_expiry ON family (refresh_exp_s);
"""


def sid(token):
    return bytes.fromhex(json.loads(unb64url(token.split(".")[1]))["sid"])


def columns(db):
    return db.execute("pragma table_info(device)").fetchall()


def keys_to_table(db):
    """All nonces and MACs stood in claim_key before schema 8."""
    for row, recent in db.execute("select row, recent from device").fetchall():
        for nonce, mac, when in keys_of(recent):
            db.executemany("insert into claim_key (device_row, kind, key, accepted_s) values (?, ?, ?, ?)",
                           [(row, 0, nonce, when), (row, 1, mac, when)])
    db.execute("alter table device drop column recent")


def take_back(server, version):
    """Whatever was added to the schema behind that version; those up to 8 changed what was there."""
    done = subprocess.run([program("older-schema"), os.path.join(server.data, "teddy.db"), str(version)], capture_output=True,
                          text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


def make_unsealed(db, toys, version=3):
    """Before the secrets were sealed, from schema 9. What was deleted stays in the free room of pages, as it did then."""
    kept = ["device", "claim_key", "downlink", "server", "admin_token", "batch"][:version + 1]
    db.execute("pragma secure_delete = off")
    for table, in db.execute("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'").fetchall():
        if table not in kept:
            db.execute(f"drop table {table}")
    db.execute("drop index if exists device_child")
    db.execute("alter table server drop column erasures")
    keys_to_table(db)
    db.execute("alter table device drop column sealed")
    db.execute("alter table device rename column fingerprint to secret")
    for toy in toys:
        db.execute("update device set secret = ? where device_id = ?", (bytes.fromhex(toy.secret), toy.device_id))
    db.execute(f"pragma user_version = {version}")


def make_schema_2(db, superseded):
    """The release before schema 3."""
    names = ", ".join(FAMILY)
    db.executescript(SCHEMA_2)
    db.execute(f"insert into family ({names}, device_row) select {names}, row from device where sid is not null")
    db.execute(f"insert into family ({names}, device_row, revoked) select ?, {', '.join(FAMILY[1:])}, row, 1"
               " from device where device_id = ?", superseded)
    for name in FAMILY:
        if name != "child_id":
            db.execute(f"alter table device drop column {name}")
    db.execute("pragma user_version = 2")


class FromUnsealed(Case):
    CONFIG = {"claims_per_device_min": 0}

    def plain(self, toy, where):
        with open(os.path.join(self.server.data, where), "rb") as f:
            return bytes.fromhex(toy.secret) in f.read()

    def downgrade(self, toys, removed, version=3):
        """To an older schema; the log is left as a power cut leaves it, and so is a removed toy."""
        take_back(self.server, 9)
        with closing(self.server.database()) as db:
            db.execute("pragma journal_mode = wal")
            make_unsealed(db, toys + removed, version)
            for toy in removed:
                db.execute("delete from device where device_id = ?", (toy.device_id,))
            db.execute("pragma wal_checkpoint(truncate)")
            db.execute("update device set created_s = created_s + 1")  # all rows, in the log too
            left = os.path.join(self.server.data, "teddy.db-wal")
            with open(left, "rb") as f:
                wal = f.read()
        with open(left, "wb") as f:
            f.write(wal)

    def test_no_plain_secret_stays(self):
        server, toys, removed = self.server, [self.server.add() for _ in range(40)], [self.server.add() for _ in range(9)]
        body = toys[0].body()
        toys[0].post_claim(body)
        shown = server.ctl("device", "list").stdout
        server.terminate()
        self.downgrade(toys, removed)
        for toy in toys:
            self.assertTrue(self.plain(toy, "teddy.db-wal"), "there is something to seal")
        self.assertTrue(any(self.plain(toy, "teddy.db") for toy in removed), "and to sweep")
        server.start()
        count = len(shown.splitlines()) - len(removed)
        server.log.wait(f"event=sealing_secrets done={count} devices={count}")
        for running in (True, False):
            for toy in toys + removed:
                for name in os.listdir(server.data):
                    if os.path.isfile(os.path.join(server.data, name)):
                        self.assertFalse(self.plain(toy, name), name)
            if running:
                self.problem(toys[0].post_claim(body), 409, "nonce_replayed")
                for toy in toys[1:10]:
                    toy.claim()
                refused = server.ctl("device", "add", "other", "--secret", toys[5].secret, check=False)
                self.assertIn("Another device has this secret", refused.stderr)
                listed = server.ctl("device", "list").stdout.splitlines()
                self.assertEqual(len(listed), count)
                self.assertLessEqual({t.device_id for t in toys}, {row.split("\t")[0] for row in listed})
                server.terminate()

    def test_killed_while_sealing(self):
        """Whatever moment a kill strikes, the next start has sealed all."""
        server, toys = self.server, [self.server.add() for _ in range(60)]
        for n in range(rounds(12, 3)):
            server.terminate()
            self.downgrade(toys, [], 3 + n % 3)
            began = time.monotonic()
            server.start()
            takes = time.monotonic() - began
            server.terminate()
            self.downgrade(toys, [], 3 + n % 3)
            process = subprocess.Popen(server.arguments(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            try:
                process.wait(random.random() * takes)
            except subprocess.TimeoutExpired:
                pass
            process.kill()
            process.wait()
            server.start()
            random.choice(toys).claim()
            for name in ("teddy.db", "teddy.db-wal"):
                self.assertFalse([t.device_id for t in toys if self.plain(t, name)])


class FromSchema2(Case):
    async def upgrade(self, superseded, toys):
        self.server.terminate()
        with closing(self.server.database()) as db:
            before, version = columns(db), db.execute("pragma user_version").fetchone()[0]
        take_back(self.server, 9)
        with closing(self.server.database()) as db:
            make_unsealed(db, toys)
            make_schema_2(db, superseded)
            self.assertLess(len(columns(db)), len(before))
        self.server.start()
        with closing(self.server.database()) as db:
            self.assertEqual({c[1:] for c in columns(db)}, {c[1:] for c in before})
            self.assertEqual(db.execute("pragma user_version").fetchone()[0], version)

    async def test_all_is_found_again(self):
        server, talker, rotated, released, new = self.server, *[self.server.add() for _ in range(4)]
        first = talker.claim()
        body = talker.body()
        tokens = talker.post_claim(body).json()
        for n in range(3):
            server.ctl("send", talker.device_id, f"message {n}")
        spent = rotated.claim()["refresh"]
        successor = rotated.post_refresh(spent).json()
        gone = released.claim()
        server.ctl("device", "release", released.device_id)
        server.ctl("device", "disable", new.device_id)
        shown = server.ctl("device", "list").stdout

        await self.upgrade((sid(first["access"]), talker.device_id), [talker, rotated, released, new])

        self.assertEqual(server.ctl("device", "list").stdout, shown)
        self.problem(talker.post_claim(body), 409, "nonce_replayed")
        self.problem(new.post_claim(), 403, "device_disabled")
        async with talker.connect(tokens["access"]) as ws:
            await hello(ws)
            self.assertEqual([(await receive(ws))["text"] for _ in range(3)], [f"message {n}" for n in range(3)])
        for toy, access in ((talker, first["access"]), (released, gone["access"])):
            code, reason = await closed(await toy.connect(access))
            self.assertEqual((code, reason), (1008, "token_revoked"))
        # The answer to the refresh was lost in the change of releases: it comes again.
        again = rotated.post_refresh(spent).json()
        self.assertEqual((again["access"], again["refresh"]), (successor["access"], successor["refresh"]))
        self.assertEqual(rotated.post_refresh(again["refresh"]).status_code, 200)
        self.assertEqual(talker.post_refresh(tokens["refresh"]).status_code, 200)
        self.problem(talker.post_refresh(first["refresh"]), 401, "token_revoked")
        self.assertEqual(released.post_claim().status_code, 200)


class Backup(Case):
    """Of the database as the older release left it, before the first start of the newer one changes it."""

    OLDEST = 8  # of those that add to what was there, and change nothing

    def version(self):
        with closing(self.server.database()) as db:
            return db.execute("pragma user_version").fetchone()[0]

    def make_older(self, version=OLDEST):
        self.server.terminate()
        self.server.config.pop("upgrade_backup_days", None)
        for name in self.backups():  # of another test
            os.unlink(os.path.join(self.server.data, name))
        known = self.version()
        take_back(self.server, version)
        self.assertEqual(self.version(), version)
        return known

    def backups(self):
        return sorted(os.path.basename(p) for p in glob.glob(os.path.join(self.server.data, "upgrade-*")))

    def run_teddyd(self, *more, **options):
        return subprocess.run([*self.server.arguments(), *more], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, **options)

    def test_it_is_the_way_back(self):
        server, toy = self.server, self.server.add()
        toy.claim()
        known = self.make_older()
        server.start()
        self.assertEqual(self.version(), known)
        name = f"upgrade-from-schema-{self.OLDEST}.backup"
        self.assertEqual(self.backups(), [name])
        path = os.path.join(server.data, name)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        server.log.wait(rf"event=upgrade_backup file=\S*{name} schema={self.OLDEST} to_schema={known}")
        server.add("later")
        server.restart()
        self.assertNotIn("upgrade_backup", server.log.text(), "one upgrade, one backup")
        whole = json.loads(server.ctl("--json", "restore", "--check", path).stdout)
        self.assertEqual((whole["schema"], whole["whole"]), (self.OLDEST, True))
        # What an older release does with it.
        server.terminate()
        server.ctl("restore", "--lost", path)
        server.start()
        listed = server.ctl("device", "list").stdout
        self.assertIn(toy.device_id, listed)
        self.assertNotIn("later", listed)
        toy.claim()

    def test_without_it_nothing_is_changed(self):
        server, toy = self.server, self.server.add()
        known = self.make_older()
        size = os.path.getsize(os.path.join(server.data, "teddy.db"))
        done = self.run_teddyd(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2)))
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertRegex(done.stderr, rf"backup before the upgrade from schema {self.OLDEST} to {known}: .*upgrade_backup_days")
        self.assertEqual((self.version(), self.backups()), (self.OLDEST, []))
        # Nor is what is in its place, and is none, written over.
        mine = os.path.join(server.data, f"upgrade-from-schema-{self.OLDEST}.backup")
        with open(mine, "w") as f:
            f.write("mine")
        done = self.run_teddyd()
        self.assertEqual((done.returncode, self.version()), (1, self.OLDEST), done.stderr)
        self.assertIn("is no backup", done.stderr)
        os.unlink(mine)
        # Nor is one without a copy of it, though what is wrong with it would not keep it from being upgraded.
        with closing(server.database()) as db:
            db.execute("create index of_mine on device (seen_s)")
        done = self.run_teddyd()
        self.assertEqual((done.returncode, self.version(), self.backups()), (1, self.OLDEST, []), done.stderr)
        self.assertRegex(done.stderr, "backup before the upgrade .* of_mine is another's")
        with closing(server.database()) as db:
            db.execute("drop index of_mine")
        server.config["upgrade_backup_days"] = 0
        server.start()
        self.assertEqual((self.version(), self.backups()), (known, []))
        toy.claim()

    def test_killed_at_any_moment(self):
        server, toy = self.server, self.server.add()
        known = self.make_older()
        older = os.path.join(server.data, "older")
        shutil.copy(os.path.join(server.data, "teddy.db"), older)
        began = time.monotonic()
        server.start()
        takes = time.monotonic() - began
        seen = set()
        for _ in range(rounds(15, 4)):
            server.terminate()
            for name in self.backups():
                os.unlink(os.path.join(server.data, name))
            shutil.copy(older, os.path.join(server.data, "teddy.db"))
            process = subprocess.Popen(server.arguments(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            try:
                process.wait(random.random() * takes)
            except subprocess.TimeoutExpired:
                pass
            process.kill()
            process.wait()
            whole = [name for name in self.backups() if name.endswith(".backup")]
            seen.add((self.version(), len(whole)))
            if whole:
                server.ctl("restore", "--check", os.path.join(server.data, whole[0]))
            server.start()
            self.assertEqual(self.version(), known)
            toy.claim()
        self.assertNotIn((known, 0), seen, "changed, and no backup")

    def test_it_leaves_by_itself(self):
        server = self.server
        self.make_older()
        server.start()
        name, = self.backups()
        old = time.time() - 15 * 86400
        os.utime(os.path.join(server.data, name), (old, old))
        left = os.path.join(server.data, name + ".partial")
        shutil.copy(os.path.join(server.data, name), left)
        mine = os.path.join(server.data, name + ".mine")
        shutil.copy2(os.path.join(server.data, name), mine)
        wrong = os.path.join(server.data, "upgrade-from-schema-1.backup")  # made by a clock that was ahead
        shutil.copy(left, wrong)
        os.utime(wrong, (time.time() + 10 * 365 * 86400,) * 2)
        server.restart()
        server.log.wait(f"event=upgrade_backup_removed file={re.escape(name)}$")
        server.terminate()
        self.assertEqual(self.backups(), sorted(map(os.path.basename, (left, mine, wrong))), "younger, or nobody's but mine")
        self.assertLess(os.path.getmtime(wrong), time.time() + 60)
        os.unlink(wrong)
        os.unlink(mine)
        server.start()


if __name__ == "__main__":
    main()
