"""A data directory of an older release: all that its toys have stays good."""

import json

from harness import Case, closed, closing, hello, main, receive, unb64url

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


def make_schema_2(db, superseded):
    """What the release before would have kept of the same toys."""
    names = ", ".join(FAMILY)
    later = [name for name, in db.execute("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'")
             if name not in ("device", "claim_key", "downlink", "server")]
    db.executescript(SCHEMA_2)
    db.execute(f"insert into family ({names}, device_row) select {names}, row from device where sid is not null")
    db.execute(f"insert into family ({names}, device_row, revoked) select ?, {', '.join(FAMILY[1:])}, row, 1"
               " from device where device_id = ?", superseded)
    for name in FAMILY:
        if name != "child_id":
            db.execute(f"alter table device drop column {name}")
    for table in later:
        db.execute(f"drop table {table}")
    db.execute("pragma user_version = 2")


class FromSchema2(Case):
    async def upgrade(self, superseded):
        self.server.terminate()
        with closing(self.server.database()) as db:
            before, version = columns(db), db.execute("pragma user_version").fetchone()
            make_schema_2(db, superseded)
            self.assertLess(len(columns(db)), len(before))
        self.server.start()
        with closing(self.server.database()) as db:
            self.assertEqual(columns(db), before)
            self.assertEqual(db.execute("pragma user_version").fetchone(), version)

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

        await self.upgrade((sid(first["access"]), talker.device_id))

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


if __name__ == "__main__":
    main()
