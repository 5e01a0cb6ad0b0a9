"""teddyctl backup and restore: a copy that is whole while toys claim and talk; and nothing that was revoked, used up, ended or
erased since comes back with it, whatever is killed when."""

import asyncio
import hashlib
import hmac
import json
import os
import pty
import random
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harness import PATIENCE, Case, Output, Server, closed, closing, hello, keys_of, lasting_port, main, program, read_to_end, receive, receive_type

MANIFEST = 512
FREE = {**Case.UNLIMITED, "claims_per_device_min": 0, "refreshes_per_device_min": 0, "requests_per_address_min": 0}


def content(path):
    with open(path, "rb") as f:
        return f.read()


def put(path, data):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
        f.write(data)


def manifest_of(path):
    return json.loads(content(path)[-MANIFEST:])


def file_of(database, manifest):
    """A backup with a manifest that fits, as an attacker can write one too."""
    manifest = {**manifest, "bytes": len(database), "sha256": hashlib.sha256(database).hexdigest()}
    return database + json.dumps(manifest).encode().ljust(MANIFEST - 1) + b"\n"


def erasure_key(server):
    """What names the erased, derived as docs/decisions/sealed-secrets.md says."""
    master = bytes.fromhex(content(os.path.join(server.data, "master.key")).split()[0].decode())
    with closing(server.database()) as db:
        wrapped = db.execute("select wrapped from seal_key").fetchone()[0]
    data_key = AESGCM(master).decrypt(wrapped[:12], wrapped[12:], b"teddy data key")
    return HKDF(SHA256(), 32, None, b"teddy erasure").derive(data_key)


def note_erasure(server, child_id):
    path = os.path.join(server.data, "erasures")
    mac = hmac.new(erasure_key(server), child_id.encode(), hashlib.sha256).hexdigest()
    if os.path.exists(path) and mac in content(path).decode():
        return
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as f:
        f.write(f"v1 {mac} {int(time.time())}\n")


class Base(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    def serve(self, **config):
        server = Server(**{**FREE, **config})
        self.addCleanup(server.close)
        return server

    def place(self, name="backup.db"):
        folder = tempfile.mkdtemp(prefix="teddy-backup-")
        self.addCleanup(shutil.rmtree, folder)
        return os.path.join(folder, name)

    def backup(self, server, *options):
        path = self.place()
        said = json.loads(server.ctl("backup", "--json", *options, path).stdout)
        self.assertEqual(said["file"], path)
        return path

    def restore(self, server, path, *options, end=Server.terminate):
        """Of a running server: it is ended, and started again."""
        end(server)
        said = json.loads(server.ctl("restore", "--json", *options, path).stdout)
        # However old the backup is: what its trail ends with is signed along with the restore.
        self.assertEqual(json.loads(server.ctl("audit", "verify", "--json").stdout)["unsigned"], 0)
        server.start()
        return said

    def device(self, server, toy):
        return json.loads(server.ctl("--json", "device", "show", toy.device_id).stdout)

    def code(self, answer, status, code):
        self.assertEqual((answer.status_code, answer.json()["code"]), (status, code), answer.text)

    async def refused(self, connection, word):
        code, reason = await closed(await connection)
        self.assertEqual((code, reason.split(" ")[0]), (1008, word))


class Copy(Base):
    async def test_under_load(self):
        """Each copy is of one moment; nobody is refused meanwhile; and what was answered before is in it."""
        server = self.serve()
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as many:  # so that a copy takes many steps
            many.writelines(f"other-{n},{secrets.token_hex(32)}\n" for n in range(5000))
            many.flush()
            server.ctl("import", many.name)
        toys = [server.add() for _ in range(6)]
        done, failed, claims = threading.Event(), [], [0] * len(toys)

        def work(at):
            while not done.is_set():
                answer = toys[at].post_claim()
                claims[at] += answer.status_code == 200
                if answer.status_code != 200:
                    failed.append(answer.text)
        talker = server.add()
        workers = [threading.Thread(target=work, args=(at,)) for at in range(len(toys))]
        for worker in workers:
            worker.start()
        files = []
        try:
            async with talker.connect(talker.claim()["access"]) as ws:
                for n in range(4):
                    before = sum(claims)
                    path = await asyncio.to_thread(self.backup, server)
                    files.append((before, path))
                    await ws.send("still here")
                    await receive_type(ws, "echo")
                    while sum(claims) < before + 5 and not failed:
                        await asyncio.sleep(0)
        finally:
            done.set()
            for worker in workers:
                worker.join()
        self.assertEqual(failed, [])
        for before, path in files:
            checked = json.loads(server.ctl("restore", "--check", "--json", path).stdout)
            self.assertTrue(checked["whole"])
            with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
                used, events = [db.execute(f"select count(*) from {what}").fetchone()[0] for what in
                                ("claim_key where kind = 1", "audit where event = 'claim.accepted'")]
                used += sum(len(list(keys_of(recent))) for recent, in db.execute("select recent from device"))
            self.assertEqual(used, events)
            self.assertGreaterEqual(used, before)
        self.restore(server, files[-1][1])
        for toy in toys:
            toy.claim()
        server.ctl("audit", "verify")

    def test_the_file(self):
        server = self.serve()
        toy, path = server.add(), self.place("a b%?#.db")
        pair = toy.claim()
        said = json.loads(server.ctl("backup", path, "--json").stdout)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(os.path.dirname(path)), [os.path.basename(path)])
        data = content(path)
        self.assertEqual(said["sha256"], hashlib.sha256(data[:-MANIFEST]).hexdigest())
        self.assertEqual((said["bytes"], said["devices"]), (len(data) - MANIFEST, 1))
        manifest = manifest_of(path)
        self.assertEqual((manifest["teddy_backup"], manifest["sha256"]), (1, said["sha256"]))
        for secret in (toy.secret.encode(), bytes.fromhex(toy.secret), pair["access"].encode(), pair["refresh"].encode(),
                       content(os.path.join(server.data, "master.key")).strip()):
            self.assertNotIn(secret, data)
        # It is not written over, but with --force; and what fails leaves the old one.
        again = server.ctl("backup", path, check=False)
        self.assertEqual((again.returncode, content(path)), (1, data))
        self.assertIn("--force", again.stderr)
        server.add()
        server.ctl("backup", "--force", path)
        self.assertEqual(manifest_of(path)["devices"], 2)
        # Nor is anything else than a backup, the database in use least of all.
        for name in ("teddy.db", "master.key"):
            there = os.path.join(server.data, name)
            inode = os.stat(there).st_ino
            failed = server.ctl("backup", "--force", there, check=False)
            self.assertEqual((failed.returncode, os.stat(there).st_ino), (1, inode))
            self.assertIn("is no backup by teddyctl", failed.stderr)
        # What lies at the name in between is not somebody else's to read, nor another file.
        mine = self.place("mine")
        put(mine, b"not to be written over")
        os.link(mine, path + ".partial")
        failed = server.ctl("backup", "--force", path, check=False)
        self.assertEqual((failed.returncode, content(mine)), (1, b"not to be written over"))
        self.assertIn("remove it", failed.stderr)
        os.unlink(path + ".partial")
        for bad in ("/nowhere/x.db", server.data):
            failed = server.ctl("backup", "--force", bad, check=False)
            self.assertEqual((failed.returncode, failed.stderr.count("\n")), (1, 1), failed.stderr)
        # Without a server, and with a bar on a terminal.
        server.terminate()
        master, slave = pty.openpty()
        done = subprocess.run([program("teddyctl"), "--data", server.data, "backup", path, "--force"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=slave, timeout=PATIENCE)
        os.close(slave)
        self.assertEqual(done.returncode, 0)
        shown = read_to_end(master)
        self.assertIn(b"] 100% copying", shown)
        os.close(master)
        checked = server.ctl("restore", "--check", path)
        self.assertIn("master_key_is: here", checked.stdout)
        server.start()

    def test_kill_9(self):
        """A backup that is killed leaves the former file as it was, or the new one."""
        server, chance = self.serve(), random.Random(7)
        server.add()
        path = self.backup(server)
        known = {content(path)}
        for _ in range(12):
            server.add()
            process = subprocess.Popen([program("teddyctl"), "--data", server.data, "backup", "--force", path],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(chance.random() * 0.05)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if content(path) not in known:
                server.ctl("restore", "--check", path)
                known.add(content(path))
        server.ctl("backup", "--force", path)
        self.assertEqual(os.listdir(os.path.dirname(path)), [os.path.basename(path)])


class NothingComesBack(Base):
    async def test_tokens(self):
        server = self.serve(admin_listen="127.0.0.1:0")
        toy, other = server.add(), server.add()
        old, others = toy.claim(), other.claim()
        admin, revoked = server.admin_token("viewer"), server.admin_token("viewer")
        keys = content(os.path.join(server.data, "jwt-keys.json"))
        path = self.backup(server)
        new = toy.post_refresh(old["refresh"]).json()
        server.ctl("token", "revoke", other.device_id)
        server.ctl("admin-token", "revoke", revoked[4:12])
        said = self.restore(server, path)
        self.assertEqual((said["token_families_ended"], said["admin_tokens_revoked"]), (2, 2))
        for who, pair in ((toy, old), (toy, new), (other, others)):
            await self.refused(who.connect(pair["access"]), "bad_token")
            self.code(who.post_refresh(pair["refresh"]), 401, "bad_token")
        for token in (admin, revoked):
            self.code(server.ask_admin("GET", "/devices", token), 401, "bad_admin_token")
        # Not even for who puts the keys back.
        server.terminate()
        put(os.path.join(server.data, "jwt-keys.json"), keys)
        server.start()
        for who, pair in ((toy, old), (toy, new), (other, others)):
            await self.refused(who.connect(pair["access"]), "token_revoked")
            self.code(who.post_refresh(pair["refresh"]), 401, "token_revoked")
        async with toy.connect(toy.claim()["access"]) as ws:
            await ws.send("hello")
            self.assertEqual((await receive(ws))["type"], "echo")

    def test_used_claims(self):
        """A claim that was accepted since the backup is a replay, also with its boundary shifted."""
        server = self.serve()
        toy = server.add()
        toy.child_id = "child-12"
        before = toy.body()
        self.assertEqual(toy.post_claim(before).status_code, 200)
        path = self.backup(server)
        since = toy.body()
        self.assertEqual(toy.post_claim(since).status_code, 200)
        said = self.restore(server, path, end=Server.kill)  # so that it stands in the log alone
        self.assertEqual(said["claims_kept"], 2)
        shifted = {**since, "child_id": "child-1", "nonce": "2" + since["nonce"]}
        server.ctl("device", "release", toy.device_id)
        for body in (before, since, shifted):
            self.code(toy.post_claim(body), 409, "nonce_replayed")
        toy.claim()

    def test_what_ended(self):
        server = self.serve()
        disabled, removed, rotated, released, moved, kept = [server.add() for _ in range(6)]
        for toy in (disabled, removed, rotated, released, moved, kept):
            toy.claim()
        path = self.backup(server)
        server.ctl("device", "disable", disabled.device_id)
        server.ctl("device", "remove", removed.device_id)
        old_secret = rotated.secret
        rotated.secret = json.loads(server.ctl("device", "rotate-secret", rotated.device_id).stdout)["oob_secret"]
        server.ctl("device", "release", released.device_id)
        server.ctl("device", "release", moved.device_id)
        moved.child_id = "child-2"
        moved.claim()
        late = server.add()
        server.ctl("batch", "create", "--count", "3", "--prefix", "label-", "--out", self.place("run"))
        said = self.restore(server, path)
        self.assertEqual([said[n] for n in ("devices", "kept_disabled", "removed_now_disabled", "secrets_kept",
                                            "bindings_kept_ended")], [6, 1, 1, 1, 2])
        for toy in (disabled, removed):
            self.code(toy.post_claim(), 403, "device_disabled")
        rotated.claim()
        rotated.secret = old_secret
        self.code(rotated.post_claim(), 401, "invalid_signature")
        self.code(late.post_claim(), 404, "device_not_found")
        released.child_id = "another"
        for toy in (released, moved, kept):
            toy.claim()
        kept.child_id = "another"
        self.code(kept.post_claim(), 403, "release_required")
        made = json.loads(server.ctl("--json", "batch", "create", "--count", "1", "--prefix", "label-", "--out",
                                     self.place("run")).stdout)
        self.assertEqual(made["first"], 4, "what was on a label is not given again")

    async def test_messages(self):
        """What was acked, withdrawn or expired since does not come again; what comes has an id behind all before."""
        server = self.serve()
        toy, other = server.add(), server.add()

        def send(to, text):
            return json.loads(server.ctl("send", to.device_id, text).stdout)["id"]
        pair = toy.claim()
        first, second = send(toy, "first"), send(toy, "second")
        send(other, "withdrawn")
        waits = send(other, "none, this one too")
        path = self.backup(server)
        server.ctl("message", "clear", other.device_id)
        async with toy.connect(pair["access"]) as ws:
            await hello(ws)
            self.assertEqual([(await receive(ws))["id"] for _ in range(2)], [first, second])
            await ws.send(json.dumps({"type": "ack", "id": first}))
            third = send(toy, "third")
            self.assertEqual((await receive(ws))["id"], third)
        server.terminate()
        with closing(server.database()) as db:  # as where the clock was set back since
            db.execute("update server set epoch = epoch + 1000")
            db.execute("update device set downlink_epoch = downlink_epoch + 1000, downlink_n = 5 where device_id = ?",
                       (other.device_id,))
            former = db.execute("select epoch, max(downlink_epoch) from server, device").fetchone()
        said = json.loads(server.ctl("restore", "--json", path).stdout)
        with closing(server.database()) as db:
            epoch, ahead = db.execute("select epoch, max(downlink_epoch) from server, device").fetchone()
        self.assertGreater(epoch, former[0])
        self.assertEqual(ahead, former[1])
        server.start()
        self.assertEqual(said["messages_kept_gone"], 3)
        fourth = send(toy, "fourth")
        for last, new in ((third, fourth), (waits, send(other, "new"))):
            last, new = [[int(part) for part in n.split(".")] for n in (last, new)]
            self.assertGreater(new[0], last[0], "another epoch")
        async with toy.connect(toy.claim()["access"]) as ws:
            await hello(ws, last=first)
            self.assertEqual([(await receive(ws))["id"] for _ in range(2)], [second, fourth])
        async with other.connect(other.claim()["access"]) as ws:
            await hello(ws)
            self.assertEqual((await receive(ws))["text"], "new")

    def test_forgotten_children(self):
        server = self.serve()
        forgotten, kept, third = [server.add() for _ in range(3)]
        forgotten.child_id, third.child_id = "to-be-forgotten", "third"
        for toy in (forgotten, kept, third):
            toy.claim()
        server.ctl("send", forgotten.device_id, "for nobody else")
        path = self.backup(server)
        server.ctl("child", "forget", forgotten.child_id)
        note_erasure(server, forgotten.child_id)

        def check(said, listed):
            with open(os.path.join(server.data, "erasures")) as f:
                self.assertEqual(len([line for line in f if len(line) > 70]), listed)
            self.assertIn(self.device(server, forgotten)["child_id"], (None, ""))
            self.assertEqual(self.device(server, kept)["child_id"], kept.child_id)
            self.assertEqual(server.ctl("message", "list", forgotten.device_id).stdout, "")
            with closing(server.database()) as db:
                self.assertEqual(db.execute("select count(*) from child where child_id = ?", (forgotten.child_id,)).fetchone()[0], 0)
            server.terminate()
            self.assertNotIn(forgotten.child_id.encode(), content(os.path.join(server.data, "teddy.db")))
            server.start()
        check(self.restore(server, path), 1)
        # Also where the database is lost, and the list is all that there is; its last line was cut short by a crash.
        note_erasure(server, "third")
        erasures = os.path.join(server.data, "erasures")
        with open(erasures, "a") as f:
            f.write("v1 0123")
        server.terminate()
        for name in os.listdir(server.data):
            if name.startswith("teddy.db"):
                os.remove(os.path.join(server.data, name))
        self.assertIn("--lost", server.ctl("restore", path, check=False).stderr)
        said = json.loads(server.ctl("restore", "--lost", "--json", path).stdout)
        self.assertEqual((said["former_used"], said["former_kept"]), (False, None))
        server.start()
        check(said, 2)
        self.assertIn(self.device(server, third)["child_id"], (None, ""))

    async def test_the_audit_trail_goes_on(self):
        server = self.serve()
        toy = server.add()
        toy.claim()
        with closing(server.database()) as db:
            destroyed = db.execute("select key from child").fetchall()
        path = self.backup(server)
        server.ctl("child", "forget", toy.child_id)
        toy.claim()  # the child is back, under another pseudonym
        self.restore(server, path)
        server.ctl("audit", "verify")
        with closing(server.database()) as db:
            self.assertNotIn(destroyed[0], db.execute("select key from child").fetchall())
            rows = db.execute("select actor, detail from audit where event = 'backup.restored'").fetchall()
        self.assertEqual([(actor, json.loads(detail)) for actor, detail in rows],
                         [(f"uid:{os.getuid()}", {"made_s": manifest_of(path)["made_s"], "former_used": True})])

    def test_a_toy_recovers_by_itself(self):
        server = self.serve(listen=f"127.0.0.1:{lasting_port()}", retry_min_ms=100, retry_max_ms=300)
        toy, folder = server.add(), os.path.dirname(self.place())
        put(os.path.join(folder, "secret"), toy.secret.encode())
        process = subprocess.Popen(
            [program("teddy-device"), "--server", server.url, "--ca", server.ca, "--id", toy.device_id, "--child", toy.child_id,
             "--secret-file", os.path.join(folder, "secret"), "--state", os.path.join(folder, "tokens")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        out = Output(process.stdout)
        try:
            process.stdin.write("before\n")
            process.stdin.flush()
            out.wait("before")
            path = self.backup(server)
            self.restore(server, path)
            start = len(out.lines)
            process.stdin.write("afterwards\n")
            process.stdin.flush()
            out.wait("afterwards", start=start)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            out.thread.join(PATIENCE)
            process.stdout.close()


class Refused(Base):
    def setUp(self):
        self.server = self.serve()
        self.server.add()
        self.path = self.backup(self.server)
        self.server.add()

    def state(self):
        names = sorted(os.listdir(self.server.data))
        return [(name, hashlib.sha256(content(os.path.join(self.server.data, name))).hexdigest()) for name in names if name != "lock"]

    def refuse(self, data, why, *options):
        path = self.place()
        put(path, data)
        before = self.state()
        for command in (("restore", *options, path), ("restore", "--check", path)):
            failed = self.server.ctl(*command, check=False)
            self.assertEqual((failed.returncode, failed.stdout, failed.stderr.count("\n")), (1, "", 1), failed.stderr)
            self.assertRegex(failed.stderr, why)
        self.assertEqual(self.state(), before)

    def test_while_a_server_runs(self):
        failed = self.server.ctl("restore", self.path, check=False)
        self.assertEqual(failed.returncode, 1)
        self.assertRegex(failed.stderr, "in use by process .*; stop that first")
        self.server.ctl("restore", "--check", self.path)

    def test_while_somebody_reads(self):
        """A backup under way, say: the log of the former database cannot be put into it."""
        self.server.kill()
        with closing(self.server.database()) as db:
            db.execute("begin")
            devices = db.execute("select count(*) from device").fetchone()
            failed = self.server.ctl("restore", self.path, check=False)
            self.assertRegex(failed.stderr, "somebody reads it")
        with closing(self.server.database()) as db:
            self.assertEqual(db.execute("select count(*) from device").fetchone(), devices)
        self.server.ctl("restore", self.path)
        self.server.start()

    def test_files(self):
        good, manifest = content(self.path), manifest_of(self.path)
        self.server.terminate()
        chance = random.Random(1)
        for cut in (0, 1, MANIFEST, len(good) // 2, len(good) - 1):
            self.refuse(good[:cut], "no backup by teddyctl, or was cut short")
        self.refuse(good + b"x", "no backup by teddyctl")
        self.refuse(good[:4096] + good[8192:], "no backup by teddyctl")
        self.refuse(good[4096:-MANIFEST] + good[:4096] + good[-MANIFEST:], "its SHA-256 is not that")
        for _ in range(5):
            at = chance.randrange(len(good) - MANIFEST)
            self.refuse(good[:at] + bytes([good[at] ^ 1 << chance.randrange(8)]) + good[at + 1:], "its SHA-256 is not that")
        self.refuse(content(os.path.join(self.server.data, "teddy.db")), "no backup by teddyctl")
        database = good[:-MANIFEST]
        for change in ({"teddy_backup": 2}, {"sha256": 5}, {"devices": -1}, {"version": "\x1b[2J"}, {"schema": 2 ** 40}):
            line = {**manifest, **change}
            self.refuse(database + json.dumps(line).encode().ljust(MANIFEST - 1) + b"\n", "no backup by teddyctl")
        self.refuse(file_of(database, {**manifest, "devices": 5}), "it is not what its manifest says")
        self.refuse(file_of(os.urandom(8192), manifest), "file is not a database")
        self.refuse(file_of(database[:8192], manifest), "malformed|damaged")

    def test_databases(self):
        manifest = manifest_of(self.path)
        self.server.terminate()

        def altered(*statements, new=False):
            path = self.place()
            put(path, b"" if new else content(self.path)[:-MANIFEST])
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                for statement in statements:
                    db.execute(statement)
            return content(path)
        self.refuse(file_of(altered("pragma user_version = 999"), {**manifest, "schema": 999}),
                    "its schema is version 999 and this program knows")
        self.refuse(file_of(altered("create table mine (x)", new=True), manifest), "another program's database")
        self.refuse(file_of(altered("drop table seal_key"), manifest), "seal_key is missing")
        self.refuse(file_of(altered("update seal_key set swept = 0"), manifest), "no sealed secrets")
        # What would be run, by this restore or by the server: it is found before.
        for statement, name in (
                ("create trigger mine after update on device begin update device set enabled = 1; end", "mine"),
                ("create index mine on device (seen_s)", "mine"),
                ("create table mine (x)", "mine"),
                ("create view mine as with recursive x (n) as (select 1 union all select n + 1 from x) select * from x", "mine")):
            self.refuse(file_of(altered(statement), manifest), f"tables are not those of teddyd: {name} is another's")
        self.refuse(file_of(altered("drop trigger audit_delete"), manifest), "audit_delete is missing")
        self.refuse(file_of(altered("drop trigger audit_update",
                                    "create trigger audit_update before update on audit begin select 1; end"), manifest),
                    "audit_update is another's")
        self.refuse(file_of(altered("drop table seal_key",  # endless, were it looked into
                                    "create view seal_key as with recursive x (n) as (select 1 union all select n + 1 from x)"
                                    " select n as master_id, 1 as swept from x where n = 0"), manifest), "seal_key is missing")
        # Statistics are SQLite's own.
        with_statistics = self.place()
        put(with_statistics, file_of(altered("analyze"), manifest))
        self.server.ctl("restore", "--check", with_statistics)
        self.refuse(file_of(altered("pragma writable_schema = on", "pragma foreign_keys = off",
                                    "insert into claim_key values (99, 0, x'00', 1)"), manifest), "a row belongs to none")

    def test_master_keys(self):
        """Sealed under a key that is not here: the error says which, and how to give it."""
        self.server.terminate()
        name = os.path.join(self.server.data, "master.key")
        own = content(name).strip()
        put(name, secrets.token_hex(32).encode() + b"\n")
        needed = manifest_of(self.path)["master_key"]
        self.refuse(content(self.path), f"sealed under master key {needed}, which is not in .*; add that behind")
        os.remove(name)
        failed = self.server.ctl("restore", self.path, check=False)
        self.assertRegex(failed.stderr, f"sealed under master key {needed}, and there is none: looked in .*master.key")
        self.assertFalse(os.path.exists(name))
        # Rotated since: with the old one behind the new one it is restored, and sealed under the new.
        put(name, own + b"\n")
        self.server.ctl("master-key", "rotate")
        new = content(name).strip()
        self.assertNotEqual(new, own)
        self.refuse(content(self.path), "add that behind the present one")
        put(name, new + b"\n" + own + b"\n")
        self.server.ctl("restore", self.path)
        self.assertEqual(content(name).strip(), new)
        self.server.start()

    def test_another_registry(self):
        other = self.serve(master_key_file=os.path.join(self.server.data, "master.key"))
        other.add()
        path = self.place()
        other.ctl("backup", path)
        self.server.terminate()
        before = self.state()
        failed = self.server.ctl("restore", path, check=False)
        self.assertIn("is of another registry", failed.stderr)
        self.assertEqual(self.state(), before)

    def test_a_former_database_that_cannot_be_read(self):
        self.server.terminate()
        database = os.path.join(self.server.data, "teddy.db")
        put(database, os.urandom(len(content(database))))
        damaged = content(database)
        before = self.state()
        failed = self.server.ctl("restore", self.path, check=False)
        self.assertIn("--lost", failed.stderr)
        self.assertEqual(self.state(), before)
        said = json.loads(self.server.ctl("restore", "--lost", "--json", self.path).stdout)
        self.assertEqual((content(said["former_kept"]), said["former_used"]), (damaged, False))
        self.server.start()
        self.assertEqual(len(json.loads(self.server.ctl("--json", "device", "list").stdout)["devices"]), 1)


class Killed(Base):
    def devices(self, server):
        return {d["device_id"] for d in json.loads(server.ctl("--json", "device", "list").stdout)["devices"]}

    def test_kill_9(self):
        """At any moment of a restore: then there is the former database, or the backup, whole."""
        server, chance = self.serve(), random.Random(5)
        for _ in range(20):
            server.add().claim()
        path, base = self.backup(server), self.devices(server)
        server.terminate()
        started = time.monotonic()
        server.ctl("restore", path)
        at, seen = time.monotonic() - started, set()
        for n in range(20):
            marker = json.loads(server.ctl("device", "add", f"since-{n}").stdout)["device_id"]
            process = subprocess.Popen([program("teddyctl"), "--data", server.data, "restore", path],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            started = time.monotonic()
            try:
                process.wait(at * (0.8 + 0.4 * chance.random()))
                at = min(at, time.monotonic() - started)  # the first one was slower than this one
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if n % 7 == 0:
                server.start()
                server.terminate()
            found = self.devices(server)
            seen.add(marker in found)
            at *= 1.2 if marker in found else 0.85  # towards the moment of the swap
            self.assertEqual({d for d in found if not d.startswith("since-")}, base)
            if marker not in found:
                self.assertEqual(found, base)
            with closing(server.database()) as db:
                self.assertEqual(db.execute("pragma integrity_check").fetchall(), [("ok",)])
        self.assertEqual(seen, {True, False}, "they were killed at one end only")
        server.ctl("audit", "verify")
        server.start()

    def test_what_a_killed_one_leaves(self):
        """The states between two steps that are too near for a kill to hit: the next start clears them up."""
        server = self.serve()
        server.add()
        path = self.backup(server)
        server.terminate()
        database = os.path.join(server.data, "teddy.db")
        for end in ("", "-wal", "-shm", "-journal"):
            put(database + ".restore" + end, b"half a copy")
        os.link(database, database + ".before-20260101T000000Z")
        put(database + ".before-20250101T000000Z", b"of a restore that was")
        server.start()
        self.assertEqual(sorted(n for n in os.listdir(server.data) if n.startswith("teddy.db.")),
                         ["teddy.db.before-20250101T000000Z"])
        server.terminate()
        put(database + ".restore", b"half a copy")
        os.link(database, database + ".before-20260101T000000Z")
        server.ctl("restore", path)
        self.assertFalse(os.path.exists(database + ".restore"))
        self.assertFalse(os.path.exists(database + ".before-20260101T000000Z"))
        self.assertEqual(os.stat(database).st_nlink, 1)
        server.start()


if __name__ == "__main__":
    main()
