"""What becomes of a child's data: forgotten with a receipt that is true of every table and file, exported, revoked, and
removed when it is old. The receipt is verified here from what docs/privacy.md says, by none of the project's code."""

import asyncio
import glob
import hashlib
import hmac
import json
import os
import random
import secrets
import shutil
import subprocess
import tempfile
import threading
import time

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from harness import PATIENCE, Case, Server, closed, closing, hello, main, program

NOTHING = {"device": 0, "downlink": 0, "telemetry": 0, "past_session": 0, "child": 0, "profile": 0, "turn": 0, "played": 0, "blocked": 0, "alert": 0,
           "limits": 0, "blocked_words": 0}
FREE = {"claims_per_device_min": 0, "refreshes_per_device_min": 0}
DAY = 86400


def receipt_text(receipt):
    lines = ["teddy erasure receipt", f"child={receipt['child'] or '-'}", f"at={receipt['at']}", f"version={receipt['version']}",
             f"event={receipt['event']}", *(f"erased.{table}={rows}" for table, rows in sorted(receipt["erased"].items()))]
    return "".join(line + "\n" for line in lines).encode()


def files_with(data, needle):
    """The files of the data directory that hold these bytes."""
    found = []
    for path in glob.glob(os.path.join(data, "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as f:
                if needle in f.read():
                    found.append(os.path.basename(path))
    return found


def tables_with(server, text):
    """Every column of every table in which the text stands."""
    found = []
    with closing(server.database()) as db:
        for table, column in db.execute("select t.name, c.name from sqlite_master t, pragma_table_info(t.name) c"
                                        " where t.type = 'table'").fetchall():
            if db.execute(f'select count(*) from "{table}" where instr(cast("{column}" as blob), ?) > 0',
                          (text.encode(),)).fetchone()[0]:
                found.append(f"{table}.{column}")
    return found


def bound(server, child):
    with closing(server.database()) as db:
        return db.execute("select count(*) from device where child_id = ?", (child,)).fetchone()[0]


class Privacy(Case):
    CONFIG = {**FREE, "log_level": "debug"}

    def toys(self, count, child=None):
        child = child or "child-" + secrets.token_hex(8)
        toys = [self.server.add() for _ in range(count)]
        for toy in toys:
            toy.child_id = child
        return child, toys

    def forget(self, child, server=None):
        return json.loads((server or self.server).ctl("child", "forget", child).stdout)

    def check(self, receipt, server=None):
        key = load_pem_public_key((server or self.server).ctl("audit", "key").stdout.encode())
        key.verify(bytes.fromhex(receipt["signature"]), receipt_text(receipt))
        self.assertEqual(receipt["key"], key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex())

    def pseudonym(self, child):
        with closing(self.server.database()) as db:
            row = db.execute("select key from child where child_id = ?", (child,)).fetchone()
        return hmac.new(row[0], child.encode(), hashlib.sha256).hexdigest()[:32] if row else None

    def assert_gone(self, child, server=None):
        server = server or self.server
        self.assertEqual(tables_with(server, child), [])
        self.assertEqual(files_with(server.data, child.encode()), [])

    async def test_forgotten(self):
        child, toys = self.toys(3)
        other, (bystander,) = self.toys(1, child + "2")
        words = "words-" + secrets.token_hex(8)
        pairs = [toy.claim() for toy in toys]
        async with toys[0].connect(pairs[0]["access"]) as ws, bystander.connect(bystander.claim()["access"]) as beside:
            await hello(ws)
            await hello(beside)
            self.server.ctl("send", toys[1].device_id, words)
            self.server.ctl("send", toys[1].device_id, words)
            name = self.pseudonym(child)
            self.assertTrue(tables_with(self.server, child))
            with tempfile.TemporaryDirectory() as place:
                path = os.path.join(place, "receipt.json")
                printed = self.server.ctl("child", "forget", child, "--out", path).stdout
                self.assertEqual((await closed(ws))[:2], (1008, "token_revoked"))
                with open(path) as f:
                    self.assertEqual(f.read(), printed)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                self.verify(path)
                self.keeps_files(path, child)
            receipt = json.loads(printed)
            self.assertEqual(receipt["erased"], {**NOTHING, "device": 3, "downlink": 2, "child": 1})
            self.assertEqual(receipt["child"], name)
            self.check(receipt)
            self.assertEqual(bound(self.server, child), 0)
            self.assertEqual(files_with(self.server.data, words.encode()), [])
            pong = await beside.ping()
            await asyncio.wait_for(pong, PATIENCE)
        for toy, pair in zip(toys, pairs):
            self.problem(toy.post_refresh(pair["refresh"]), 401, "token_revoked")
            await self.refused(toy.connect(pair["access"]), 1008, "token_revoked")
        self.forget(other)
        self.assert_gone(child)
        self.assertNotIn(child, self.server.all_logs())
        event = json.loads(self.server.ctl("--json", "audit", "tail", "-n", "50").stdout.splitlines()[-1])
        self.assertEqual(event["event"], "child.forgotten")
        self.server.ctl("audit", "verify")

    def verify(self, path):
        """As teddyctl does it, and what it makes of a receipt that was changed."""
        key = os.path.join(os.path.dirname(path), "audit-key.pub")
        with open(key, "w") as f:
            f.write(self.server.ctl("audit", "key").stdout)
        self.assertIn("erased.device: 3", self.server.ctl("child", "verify-receipt", path, "--key", key).stdout)
        with open(path) as f:
            text = f.read()
        for bad, why in ((text.replace('"device":3', '"device":0'), "not as it was signed"), (text[:-20], "no receipt"),
                         ("{}", "no receipt"), (text.replace('"event":', '"event":1'), "not as it was signed")):
            changed = path + ".changed"
            with open(changed, "w") as f:
                f.write(bad)
            done = self.server.ctl("child", "verify-receipt", changed, "--key", key, check=False)
            self.assertEqual(done.returncode, 1, bad)
            self.assertIn(why, done.stderr)

    def keeps_files(self, path, child):
        """A receipt is not written over, and an export into no file that others may read; what failed leaves none."""
        with open(path) as f:
            receipt = f.read()
        os.chmod(path, 0o644)
        for verb in "forget", "export":
            done = self.server.ctl("child", verb, child, "--out", path, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("is there already", done.stderr)
        with open(path) as f:
            self.assertEqual(f.read(), receipt)
        gone = path + ".of-nobody"
        for verb in "forget", "export":
            done = subprocess.run([program("teddyctl"), "--data", os.path.dirname(path), "child", verb, child, "--out", gone],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertFalse(os.path.exists(gone))
        # Nor is a receipt given for a directory in which nothing is, and nothing is made there.
        self.assertFalse(os.path.exists(os.path.join(os.path.dirname(path), "teddy.db")))

    def test_again_and_anew(self):
        child, (toy,) = self.toys(1)
        toy.claim()
        first, name = self.forget(child), self.pseudonym(child)
        self.assertIsNone(name)
        again = self.forget(child)
        self.assertEqual((again["child"], again["erased"]), (None, NOTHING))
        self.check(again)
        self.assertEqual(self.forget("never-heard-of")["erased"], again["erased"])
        toy.claim()
        self.assertNotEqual(self.pseudonym(child), first["child"])  # another child
        self.server.restart()  # which the list does not mean
        self.assertEqual(bound(self.server, child), 1)

    def test_without_a_server(self):
        server = Server(**FREE)
        try:
            toy = server.add()
            toy.child_id = "child-" + secrets.token_hex(8)
            toy.claim()
            server.terminate()
            exported = json.loads(server.ctl("child", "export", toy.child_id).stdout)
            self.assertEqual([b["device_id"] for b in exported["bindings"]], [toy.device_id])
            receipt = self.forget(toy.child_id, server)
            self.assertEqual(receipt["erased"], {**NOTHING, "device": 1, "child": 1})
            self.check(receipt, server)
            self.assert_gone(toy.child_id, server)
            server.start()
            self.assertEqual(bound(server, toy.child_id), 0)
        finally:
            server.close()

    async def test_exported(self):
        child, toys = self.toys(2)
        pair = toys[0].claim()
        toys[1].claim()
        self.server.ctl("send", toys[1].device_id, "good night")
        async with toys[0].connect(pair["access"]) as ws:
            await hello(ws)
            with tempfile.TemporaryDirectory() as place:
                path = os.path.join(place, "child.json")
                self.server.ctl("child", "export", child, "--out", path)
                with open(path) as f:
                    text = f.read()
        shown = json.loads(text)
        self.assertEqual((shown["child_id"], shown["child"]), (child, self.pseudonym(child)))
        self.assertEqual([b["device_id"] for b in shown["bindings"]], [toy.device_id for toy in toys])
        self.assertTrue(all(b["claimed"] and b["tokens"]["issued"] for b in shown["bindings"]))
        self.assertEqual([(m["device_id"], m["body"]) for m in shown["messages"]], [(toys[1].device_id, "good night")])
        self.assertEqual([e["event"] for e in shown["events"]], ["claim.accepted"] * 2 + ["message.queued"])
        self.assertEqual([s["device_id"] for s in shown["sessions"]], [toys[0].device_id])
        with closing(self.server.database()) as db:
            rows = db.execute("select sealed, sid, access_jti, refresh_jti from device where child_id = ?", (child,)).fetchall()
        for secret in [value.hex() for row in rows for value in row] + [pair["access"], pair["refresh"], toys[0].secret]:
            self.assertNotIn(secret, text)
        last = json.loads(self.server.ctl("--json", "audit", "tail", "-n", "1").stdout)
        self.assertEqual((last["event"], last["child"]), ("child.exported", shown["child"]))

    async def test_revoked(self):
        child, toys = self.toys(2)
        _, (bystander,) = self.toys(1)
        pairs = [toy.claim() for toy in toys]
        kept = bystander.claim()
        async with toys[0].connect(pairs[0]["access"]) as ws, bystander.connect(kept["access"]) as beside:
            await hello(ws)
            await hello(beside)
            self.assertEqual(self.server.ctl("child", "revoke", child).stdout, "2 toys revoked\n")
            self.assertEqual((await closed(ws))[:2], (1008, "token_revoked"))
            await asyncio.wait_for(await beside.ping(), PATIENCE)
        for restart in (False, True):
            if restart:
                self.server.kill()
                self.server.start()
            for toy, pair in zip(toys, pairs):
                self.problem(toy.post_refresh(pair["refresh"]), 401, "token_revoked")
                await self.refused(toy.connect(pair["access"]), 1008, "token_revoked")
        self.assertEqual(bystander.post_refresh(kept["refresh"]).status_code, 200)
        toys[0].claim()  # the bindings are as they were
        self.assertNotIn(child, self.server.all_logs())


class Killed(Case):
    """A forgetting that is cut short is done at the next start, or never began; what was answered is done."""

    ROUNDS = 4

    def test_killed_at_it(self):
        server = Server(**Case.UNLIMITED, **FREE)
        try:
            toys = [server.add() for _ in range(12)]
            for _ in range(self.ROUNDS):
                answered, begun = set(), threading.Semaphore(0)
                children = ["child-" + secrets.token_hex(8) for _ in toys]
                for toy, child in zip(toys, children):
                    toy.child_id = child
                    toy.claim()

                def forget():
                    for child in children:
                        begun.release()
                        try:
                            status, receipt = server.admin("POST", f"/children/{child}/forget")
                        except (OSError, ValueError, AssertionError, IndexError):
                            return
                        if status == 200 and receipt["erased"]["device"] == 1:
                            answered.add(child)

                forgetter = threading.Thread(target=forget)
                forgetter.start()
                for _ in range(random.randrange(1, len(children) - 2)):
                    self.assertTrue(begun.acquire(timeout=PATIENCE))
                time.sleep(random.random() / 200)
                server.kill()
                forgetter.join()
                listed = self.listed(server)
                server.start()
                gone = {child for child in children if bound(server, child) == 0}
                self.assertLessEqual(answered, gone)
                self.assertEqual(len(gone), listed)
                server.ctl("audit", "verify")
                for toy in toys:
                    if bound(server, toy.child_id):
                        server.ctl("device", "release", toy.device_id)
                server.terminate()
                for child in gone:
                    self.assertEqual(files_with(server.data, child.encode()), [])
                server.start()
        finally:
            server.close()

    def listed(self, server):
        path = os.path.join(server.data, "erasures")
        if not os.path.exists(path):
            return 0
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")[:-1]
        count = len({line for line in lines if line.startswith(b"v1 ") and len(line) >= 69})
        before, self.before = getattr(self, "before", 0), count
        return count - before

    def test_cut_short_between_list_and_commit(self):
        """Listed, and then the power goes; and a backup from before a forgetting is restored."""
        server = Server(**FREE)
        try:
            toy = server.add()
            toy.child_id = "child-" + secrets.token_hex(8)
            toy.claim()
            server.terminate()
            backup = os.path.join(server.data, "backup")
            shutil.copy(os.path.join(server.data, "teddy.db"), backup)
            server.start()
            server.ctl("child", "forget", toy.child_id)
            server.kill()
            shutil.move(backup, os.path.join(server.data, "teddy.db"))
            for end in "-wal", "-shm":
                if os.path.exists(os.path.join(server.data, "teddy.db" + end)):
                    os.unlink(os.path.join(server.data, "teddy.db" + end))
            server.start()
            self.assertEqual(tables_with(server, toy.child_id), [])
            last = json.loads(server.ctl("--json", "audit", "tail", "-n", "2").stdout.splitlines()[0])
            self.assertEqual((last["event"], last["actor"], last["detail"]), ("child.forgotten", "server", '{"reason":"listed"}'))
            server.terminate()
            self.assertEqual(files_with(server.data, toy.child_id.encode()), [])
            server.start()
            toy.claim()
            server.restart()
            self.assertEqual(bound(server, toy.child_id), 1)
        finally:
            server.close()


class Retention(Case):
    CONFIG = {**FREE, "metrics_listen": "0", "retention_messages_days": 2, "retention_tokens_days": 1, "retention_bindings_days": 9,
              "retention_children_days": 3, "retention_batches_days": 5, "retention_admin_tokens_days": 4, "retention_audit_days": 6}
    KINDS = ("messages_expired", "messages", "token_families", "released", "bindings", "children", "batches", "admin_tokens", "alerts")

    def age(self, *statements):
        with closing(self.server.database()) as db:
            for sql, *values in statements:
                self.assertGreater(db.execute(sql, values).rowcount, 0, sql)

    def wait_pruned(self, **kinds):
        """Until the walk after a start has removed so many of each kind, and no others."""
        end = time.monotonic() + PATIENCE
        while True:
            got = {kind: self.server.metric(f'teddy_pruned_total{{kind="{kind}"}}') for kind in kinds}
            if got == kinds:
                return
            self.assertLess(time.monotonic(), end, got)
            time.sleep(0.05)

    def test_each_kind_leaves(self):
        server, now = self.server, int(time.time())
        names = ("expired", "old", "ended", "released", "idle", "young")
        toys = {name: server.add("toy-" + name) for name in names}
        for name, toy in toys.items():
            toy.child_id = "child-of-" + name
            toy.claim()
        for name in ("expired", "old", "young"):
            server.ctl("send", "toy-" + name, "hello")
        with tempfile.TemporaryDirectory() as place:
            server.ctl("batch", "create", "--count", "2", "--prefix", "B-", "--out", os.path.join(place, "out"))
        server.admin_token("viewer")
        server.terminate()
        row = "(select row from device where device_id = ?)"
        self.age((f"update downlink set expires_s = ? where device_row = {row}", now - 1, "toy-expired"),
                 (f"update downlink set queued_s = ? where device_row = {row}", now - 2 * DAY, "toy-old"),
                 ("update device set refresh_exp_s = ? where device_id = ?", now - DAY, "toy-ended"),
                 ("update device set child_id = '' where device_id = ?", "toy-released"),
                 ("update device set claimed_s = ?1, seen_s = ?1, iat_s = ?1 where device_id = ?2", now - 9 * DAY, "toy-idle"),
                 ("update batch set created_s = ?", now - 5 * DAY),
                 ("update admin_token set expires_s = ?", now - 4 * DAY),
                 (f"insert into alert select null, row, child_id, 'other', '', ?1, ?1, 0, 0, ?1 from device where row = {row}", now - 90 * DAY, "toy-young"))
        server.start()
        self.wait_pruned(messages_expired=1, messages=1, token_families=1, released=1, bindings=1, children=0, batches=1, admin_tokens=1,
                         alerts=1)
        server.log.wait("event=alert_dropped alerts=1 why=\"too old\"")
        self.assertEqual(server.metric('teddy_alerts_total{event="dropped"}'), 1)
        self.assertIn("bindings=1", server.log.wait("event=pruned").string)
        with closing(server.database()) as db:
            left = dict(db.execute("select device_id, child_id from device where device_id like 'toy-%'").fetchall())
            idle = {child for child, in db.execute("select child_id from child where idle_s > 0")}
        self.assertEqual(left, {"toy-" + name: "" if name in ("released", "idle") else "child-of-" + name for name in names})
        self.assertEqual(idle, {"child-of-released", "child-of-idle"})
        server.terminate()
        # Their pseudonyms go as well, once they have had no toy for so long; and old events.
        self.age(("update child set idle_s = ? where idle_s > 0", now - 3 * DAY))
        server.start()
        self.wait_pruned(children=2, bindings=0)
        self.assertEqual(tables_with(server, "child-of-idle"), [])
        self.assertEqual(bound(server, "child-of-young"), 1)
        with closing(server.database()) as db:
            self.assertEqual(db.execute("select count(*) from downlink").fetchone()[0], 1)
        server.ctl("audit", "verify")


if __name__ == "__main__":
    main()
