"""The audit trail over the real interfaces: what becomes an event, and what verify finds in a database that somebody
changed. The chain is recomputed here from what docs/operations.md says about it, by none of the project's code."""

import hashlib
import hmac
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from harness import PATIENCE, Case, Output, Server, closed, closing, hello, main, program, receive_type

ADMIN = rf"^uid:{os.getuid()}$"


# ---- the verifier of docs/operations.md ----

def event_hash(before, e):
    fields = [e["event"].encode(), e["device_id"].encode(), bytes.fromhex(e["child"]), e["actor"].encode(), e["detail"].encode()]
    text = before + e["n"].to_bytes(8, "big") + e["at_ms"].to_bytes(8, "big")
    return hashlib.sha256(text + b"".join(len(f).to_bytes(2, "big") + f for f in fields)).digest()


def head_text(head, kind=b"head"):
    return (b"teddy audit " + kind + b"\n" + head["n"].to_bytes(8, "big") + head["at_ms"].to_bytes(8, "big")
            + bytes.fromhex(head["hash"]))


def check_head(head, key):
    key.verify(bytes.fromhex(head["signature"]), head_text(head))


def check_export(path, key):
    """The events of an export, once its chain and its head have been verified."""
    with open(path) as f:
        first, *events, last = [json.loads(line) for line in f]
    assert first["teddy_audit"] == 1, first
    before = bytes.fromhex(first["before"])
    for n, e in enumerate(events, first["from"]):
        assert e["n"] == n, (n, e)
        before = event_hash(before, e)
        assert before.hex() == e["hash"], e
    head = last["head"]
    assert (head["n"], head["hash"]) == (events[-1]["n"], before.hex()), head
    check_head(head, key)
    return events


def is_count(e):
    return e["event"] in ("admin.read", "limit.bites") or e["event"].endswith(".refused")


def public_key(server):
    return load_pem_public_key(server.ctl("audit", "key").stdout.encode())


def export(server):
    path = os.path.join(server.data, "export.jsonl")
    server.ctl("audit", "export", path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    try:
        return check_export(path, public_key(server))
    finally:
        os.unlink(path)


def pseudonym(server, child_id):
    with closing(server.database()) as db:
        (key,), = db.execute("select key from child where child_id = ?", (child_id,)).fetchall()
    return hmac.new(key, child_id.encode(), hashlib.sha256).digest()[:16].hex()


def append(server, count):
    """Events as the server would have added them at this moment, while there is none."""
    with closing(server.database()) as db:
        (n, at_ms, before), = db.execute("select n, at_ms, hash from audit order by n desc limit 1").fetchall()
        db.execute("begin")
        for n in range(n + 1, n + 1 + count):
            event = {"n": n, "at_ms": at_ms, "event": "device.added", "device_id": f"toy-{n}", "child": "", "actor": "toy", "detail": ""}
            before = event_hash(before, event)
            db.execute("insert into audit values (?, ?, ?, ?, null, ?, ?, ?, 0)",
                       (n, at_ms, event["event"], event["device_id"], event["actor"], "", before))
        db.execute("commit")


class Events(unittest.IsolatedAsyncioTestCase):
    """Each kind of action, and what becomes of it."""

    maxDiff = None

    def setUp(self):
        self.server = Server(**Case.UNLIMITED)
        self.addCleanup(self.server.close)

    def new_events(self):
        """What has been written since the last call."""
        events = export(self.server)
        new, self.seen = events[getattr(self, "seen", 0):], len(events)
        return new

    def assert_events(self, *expected):
        """(event, device_id, child, actor's pattern, detail) of all that is new."""
        new = [e for e in self.new_events() if not is_count(e)]  # a minute may be over at any time
        self.assertEqual([e["event"] for e in new], [x[0] for x in expected], new)
        for e, (_, device_id, child, actor, detail) in zip(new, expected):
            self.assertEqual((e["device_id"], e["child"]), (device_id, child), e)
            self.assertRegex(e["actor"], actor)
            self.assertEqual(json.loads(e["detail"]) if e["detail"] else None, detail, e)
            self.assertLess(abs(e["at_ms"] / 1000 - time.time()), PATIENCE)

    async def test_of_a_toy(self):
        server = self.server
        toy = server.add("toy-1")
        self.assertEqual([e["event"] for e in self.new_events()], ["server.started", "key.added", "device.added"])
        pair = toy.claim()
        child = pseudonym(server, "child-1")
        self.assert_events(("claim.accepted", "toy-1", child, "^toy$", None))
        first = toy.post_refresh(pair["refresh"])
        self.assertEqual(first.status_code, 200)
        self.assertEqual(toy.post_refresh(pair["refresh"]).json()["refresh"], first.json()["refresh"])
        self.assert_events(("token.refreshed", "toy-1", child, "^toy$", None),
                           ("token.refreshed", "toy-1", child, "^toy$", {"again": True}))
        second = toy.post_refresh(first.json()["refresh"])
        self.assertEqual(second.status_code, 200)
        self.assertEqual(toy.post_refresh(pair["refresh"]).status_code, 401)
        self.assert_events(("token.refreshed", "toy-1", child, "^toy$", None),
                           ("token.revoked", "toy-1", child, "^toy$", {"reason": "token_reused"}))
        toy.claim()
        other = server.add("toy-2")
        other.claim()
        self.assert_events(("claim.accepted", "toy-1", child, "^toy$", None), ("device.added", "toy-2", "", ADMIN, None),
                           ("claim.accepted", "toy-2", child, "^toy$", None))  # the same child, the same pseudonym

    def run_admin(self, device_id):
        """All that changes something, and what it must have left."""
        ctl = self.server.ctl
        child = pseudonym(self.server, "child-1")
        path = os.path.join(self.server.data, "toys.csv")
        with open(path, "w") as f:
            f.write("".join(f"imported-{n},{secrets.token_hex(32)}\n" for n in range(600)))
        self.new_events()
        words = "the words of a message"
        for command in (["device", "disable"], ["device", "enable"], ["send", words], ["message", "clear"],
                        ["token", "revoke"], ["device", "release"], ["device", "rotate-secret"], ["device", "remove"]):
            ctl(*command[:1], device_id, *command[1:]) if command[0] == "send" else ctl(*command, device_id)
        ctl("import", path)
        os.unlink(path)
        self.assert_events(
            ("device.disabled", device_id, child, ADMIN, None), ("device.enabled", device_id, child, ADMIN, None),
            ("message.queued", device_id, child, ADMIN, None), ("message.withdrawn", device_id, child, ADMIN, {"messages": 1}),
            ("token.revoked", device_id, child, ADMIN, None), ("device.released", device_id, child, ADMIN, None),
            ("device.secret_rotated", device_id, "", ADMIN, None), ("device.removed", device_id, "", ADMIN, None),
            ("device.imported", "", "", ADMIN, {"devices": 600}))
        with closing(self.server.database()) as db:
            self.assertNotIn(words, str(db.execute("select * from audit").fetchall()))

    async def test_of_administration(self):
        self.server.add("toy-1").claim()
        self.run_admin("toy-1")
        for command in (["device", "list"], ["device", "show", "imported-1"], ["message", "list", "imported-1"],
                        ["session", "list"], ["status"], ["routes"], ["audit", "tail"], ["audit", "verify"], ["audit", "head"]):
            self.server.ctl(*command)
        self.server.ctl("device", "remove", "nobody", check=False)
        self.server.ctl("drain")
        self.assertEqual(self.server.process.wait(PATIENCE), 0)
        new = self.new_events()
        counts = [e for e in new if is_count(e)]
        drained, stopped = [e for e in new if not is_count(e)]
        self.assertEqual([drained["event"], stopped["event"]], ["server.drained", "server.stopped"])
        self.assertRegex(drained["actor"], ADMIN)
        got = {}
        for e in counts:
            self.assertRegex(e["actor"], ADMIN)
            detail = json.loads(e["detail"])
            self.assertEqual(detail["block"], "local")
            key = e["event"], detail["reason"]
            got[key] = got.get(key, 0) + detail["count"]
        self.assertEqual(got, {("admin.refused", "device_not_found"): 1, **{("admin.read", f"admin_{name}"): 1 for name in (
            "device_list", "device_show", "device_messages", "session_list", "status", "route_list")}})

    def run_keys(self):
        """Keys, tokens and batches: what each leaves, which is never the key or the token."""
        ctl = self.server.ctl
        self.new_events()
        token = ctl("admin-token", "create", "--role", "operator", "--prefix", "toy-", "--name", 'a "name"').stdout.strip()
        name = token.split("_")[1]
        ctl("admin-token", "revoke", name)
        with tempfile.TemporaryDirectory(prefix="teddy-it-batch-") as place:
            ctl("batch", "create", "--count", "3", "--prefix", "made-", "--out", os.path.join(place, "batch"))
            with open(os.path.join(place, "batch", "manifest.json")) as f:
                manifest = json.load(f)
        ctl("master-key", "rotate")
        sealed = json.loads(ctl("--json", "master-key", "status").stdout)["sealed_under"]
        first = next(k["kid"] for k in json.loads(ctl("--json", "key", "list").stdout)["keys"] if k["state"] == "signing")
        second = json.loads(ctl("--json", "key", "add").stdout)["kid"]
        third = json.loads(ctl("--json", "key", "retire", second).stdout)["successor"]
        ctl("key", "retire", first, "--now")
        ctl("key", "retire", "unknown", check=False)
        key = {"alg": "HS256"}
        self.assert_events(
            ("admin_token.created", "", "", ADMIN, {"token": name, "role": "operator", "prefix": "toy-"}),
            ("admin_token.revoked", "", "", ADMIN, {"token": name}),
            ("batch.created", "", "", ADMIN, {"batch": unittest.mock.ANY, "prefix": "made-", "first": 1, "count": 3}),
            ("master_key.rotated", "", "", ADMIN, {"key": sealed}),
            ("key.added", "", "", ADMIN, {"kid": second, **key}), ("key.retired", "", "", ADMIN, {"kid": first, **key}),
            ("key.retired", "", "", ADMIN, {"kid": second, **key, "successor": third}),
            ("key.added", "", "", ADMIN, {"kid": third, **key}),
            ("key.removed", "", "", ADMIN, {"kid": first, **key, "successor": third}))
        with closing(self.server.database()) as db:
            text = str(db.execute("select * from audit").fetchall())
        for secret in (token, *(row.split(",")[-1] for row in manifest.get("devices", []))):
            self.assertNotIn(secret, text)

    async def test_of_keys_tokens_and_batches(self):
        self.run_keys()

    async def test_of_keys_tokens_and_batches_without_a_server(self):
        self.server.terminate()
        self.run_keys()

    async def test_of_a_key_that_time_brings(self):
        """Whatever changes by itself is the server's doing."""
        server = self.server
        made = json.loads(server.ctl("--json", "key", "add", "--alg", "ES256").stdout)
        self.assertEqual(made["state"], "pending")
        server.terminate()
        path = os.path.join(server.data, "jwt-keys.json")
        with open(path) as f:
            keys = json.load(f)
        for key in keys["keys"]:
            if key["kid"] == made["kid"]:
                key["signs_at"] = int(time.time()) - 1
        with open(path, "w") as f:
            json.dump(keys, f)
        self.new_events()
        server.start()
        new = self.new_events()
        self.assertEqual([(e["event"], e["actor"]) for e in new],
                         [("server.started", "server"), ("key.retired", "server"), ("key.signs", "server")])
        self.assertEqual(json.loads(new[2]["detail"])["kid"], made["kid"])

    async def test_a_limit_that_bites(self):
        """Once a key and window, however often it bites."""
        server = Server(claim_failures_per_address_min=3, claims_per_device_min=1)
        self.addCleanup(server.close)
        toy = server.add("toy-1")
        for source in ("127.0.1.5", "127.0.1.6", "127.0.2.5"):
            for _ in range(8):
                toy.post_claim({**toy.body(), "hmac_hex": "00" * 32}, source=source)
        self.assertEqual(toy.post_claim().status_code, 200)
        self.assertEqual([toy.post_claim().status_code for _ in range(3)], [429] * 3)
        server.terminate()
        got = {}
        for e in export(server):
            detail = json.loads(e["detail"] or "{}")
            if e["event"] == "limit.bites":
                key = detail["reason"], detail["block"]
                got[key] = got.get(key, 0) + detail["count"]
        self.assertEqual(got, {("claim_failures_per_address", "127.0.1.0/24"): 2, ("claim_failures_per_address", "127.0.2.0/24"): 1,
                               ("claims_per_device", "all"): 1, ("device_attacks", "all"): 1})

    async def test_of_administration_without_a_server(self):
        self.server.add("toy-1").claim()
        self.server.terminate()
        self.run_admin("toy-1")

    async def test_of_refusals(self):
        """Each way to be refused, by reason and block; an address is nowhere."""
        server = self.server
        toy = server.add("toy-1")
        pair = toy.claim()
        for source in ("127.0.1.5", "127.0.1.6", "127.0.1.6", "127.0.2.5"):
            self.assertEqual(toy.post_claim({**toy.body(), "hmac_hex": "00" * 32}, source=source).status_code, 401)
        used = toy.body()
        self.assertEqual(toy.post_claim(used).status_code, 200)
        pair = toy.claim()
        self.assertEqual(toy.post_claim(used).status_code, 409)
        self.assertEqual(toy.post_claim(toy.body(child_id="another")).status_code, 403)
        self.assertEqual(server.post("/api/v1/pair/claim", {"device_id": "toy-1"}).status_code, 422)
        self.assertEqual(toy.post_refresh("nonsense").status_code, 401)
        async with toy.connect(pair["access"] + "x") as ws:
            await closed(ws)
        async with toy.connect(pair["access"]) as ws:
            await hello(ws)
            await ws.send(json.dumps({"type": "refresh", "refresh": "nonsense"}))
            await receive_type(ws, "error")
        server.admin("POST", "/devices/nobody/enable")
        server.terminate()
        got = {}
        for e in self.new_events():
            if e["event"].endswith(".refused"):
                actor = ADMIN if e["event"] == "admin.refused" else "^server$"
                self.assertEqual((e["device_id"], e["child"]), ("", ""))
                self.assertRegex(e["actor"], actor)
                detail = json.loads(e["detail"])
                self.assertRegex(detail["minute"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$")
                key = e["event"], detail["reason"], detail["block"]
                got[key] = got.get(key, 0) + detail["count"]
        here = "127.0.0.0/24"
        self.assertEqual(got, {
            ("claim.refused", "invalid_signature", "127.0.1.0/24"): 3, ("claim.refused", "invalid_signature", "127.0.2.0/24"): 1,
            ("claim.refused", "nonce_replayed", here): 1, ("claim.refused", "release_required", here): 1,
            ("claim.refused", "invalid_members", here): 1, ("token.refused", "bad_token", here): 1,
            ("token.refused", "bad_token", "session"): 1, ("session.refused", "bad_token", here): 1,
            ("admin.refused", "device_not_found", "local"): 1})
        with closing(server.database()) as db:
            self.assertNotRegex(str(db.execute("select * from audit").fetchall()), r"127\.0\.[12]\.[56]")

    async def test_a_flood_of_refusals_is_bounded(self):
        server = self.server
        blocks = [(n, m) for n in range(1, 5) for m in range(60)]  # 240 blocks

        def flood(part):
            for n, m in part:
                server.post("/api/v1/pair/claim", "{", source=f"127.{n}.{m}.1")

        threads = [threading.Thread(target=flood, args=(blocks[i::8],)) for i in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        server.terminate()
        details = [json.loads(e["detail"]) for e in self.new_events() if e["event"] == "claim.refused"]
        self.assertEqual(sum(d["count"] for d in details), len(blocks))
        minutes = {d["minute"] for d in details}
        self.assertLessEqual(len(details), 65 * len(minutes))
        self.assertIn("other", {d["block"] for d in details})

    async def test_a_forgotten_child_is_gone(self):
        """The chain stays whole, and nothing leads from an event to the child."""
        server = self.server
        child = "child-" + secrets.token_hex(8)
        toys = [server.add() for _ in range(3)]
        for toy in toys:
            toy.child_id = child
            toy.claim()
        name = pseudonym(server, child)
        with closing(server.database()) as db:
            (key,), = db.execute("select key from child where child_id = ?", (child,)).fetchall()
        self.new_events()
        nothing = dict.fromkeys(("downlink", "telemetry", "past_session", "device", "child", "profile", "turn", "played", "blocked", "alert",
                                 "limits", "blocked_words"), 0)
        server.ctl("child", "forget", child)
        self.assert_events(("child.forgotten", "", name, ADMIN, {**nothing, "device": 3, "child": 1}))
        server.ctl("child", "forget", child)  # once more: there is no name any more
        self.assert_events(("child.forgotten", "", "", ADMIN, nothing))
        self.assertNotIn(child, server.log.text())
        server.terminate()
        server.ctl("audit", "verify")
        for file in os.listdir(server.data):
            with open(os.path.join(server.data, file), "rb") as f:
                held = f.read()
            self.assertNotIn(child.encode(), held, file)
            self.assertNotIn(key, held, file)
        server.start()
        toys[0].claim()
        self.assertNotEqual(pseudonym(server, child), name)  # whoever comes back is somebody else

    async def test_it_can_be_watched_as_json(self):
        self.server.add("toy-1")
        lines = [json.loads(line) for line in self.server.ctl("--json", "audit", "tail").stdout.splitlines()]
        self.assertEqual([e["event"] for e in lines], ["server.started", "key.added", "device.added"])
        before = bytes(32)
        for e in lines:
            before = event_hash(before, e)
            self.assertEqual(e["hash"], before.hex())
        self.assertEqual(len(self.server.ctl("audit", "tail", "-n", "1").stdout.splitlines()), 1)
        self.assertEqual(self.server.ctl("audit", "tail", "-n", "x", check=False).returncode, 2)
        self.assertEqual(self.server.ctl("device", "list", "-n", "1", check=False).returncode, 2)


class Tampering(unittest.TestCase):
    """A trail of 40 events, and what is done to it. verify names the place."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        toys = [cls.server.add(f"toy-{n}") for n in range(6)]
        for n in range(20):
            toys[n % 6].claim()
        cls.server.restart()  # a head
        for toy in toys:
            toy.claim()
        cls.head = cls.server.ctl("audit", "head").stdout
        cls.server.terminate()
        with closing(cls.server.database()) as db:
            cls.last, = db.execute("select max(n) from audit").fetchone()
            cls.add_head(db, 15)
            cls.heads = [n for n, in db.execute("select n from audit_head order by n")]
        cls.kept = tempfile.mkdtemp(prefix="teddy-it-kept-")
        cls.addClassCleanup(shutil.rmtree, cls.kept)
        shutil.copytree(cls.server.data, cls.kept, dirs_exist_ok=True)

    @classmethod
    def add_head(cls, db, n):
        """One of an hour ago: of each hour only the newest stays."""
        with open(os.path.join(cls.server.data, "audit-key.pem"), "rb") as f:
            key = load_pem_private_key(f.read(), None)
        at_ms, digest = db.execute("select at_ms - 3600000, hash from audit where n = ?", (n,)).fetchone()
        db.execute("insert into audit_head values (?, ?, ?, ?)",
                   (n, at_ms, digest, key.sign(head_text({"n": n, "at_ms": at_ms, "hash": digest.hex()}))))

    def setUp(self):
        shutil.rmtree(self.server.data)
        shutil.copytree(self.kept, self.server.data)
        self.elsewhere = os.path.join(self.server.data, "elsewhere.json")
        with open(self.elsewhere, "w") as f:
            f.write(self.head)

    def tamper(self, *changes):
        with closing(self.server.database()) as db:
            db.execute("pragma synchronous=off")
            db.execute("drop trigger audit_update")
            db.execute("drop trigger audit_delete")
            for change in changes:
                change(db) if callable(change) else db.execute(change)

    def verify(self, *options):
        done = self.server.ctl("--json", "audit", "verify", *options, check=False)
        verdict = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if verdict["whole"] else 1)
        return verdict

    def assert_whole(self, *options):
        verdict = self.verify(*options)
        self.assertTrue(verdict["whole"], verdict)
        return verdict

    def assert_fault(self, fault, *options):
        verdict = self.verify(*options)
        self.assertFalse(verdict["whole"], verdict)
        self.assertIn(fault, verdict["fault"])

    def rewrite(self, db, start=1, sign=None):
        """What somebody does who knows how the chain is made: every hash anew."""
        row = db.execute("select hash from audit where n = ?", (start - 1,)).fetchone()
        before = row[0] if row else bytes(32)
        for n, at_ms, event, device_id, child, actor, detail in db.execute(
                "select n, at_ms, event, device_id, child, actor, detail from audit where n >= ? order by n", (start,)).fetchall():
            before = event_hash(before, {"n": n, "at_ms": at_ms, "event": event, "device_id": device_id,
                                         "child": (child or b"").hex(), "actor": actor, "detail": detail})
            db.execute("update audit set hash = ? where n = ?", (before, n))

    def test_append_only(self):
        """By accident nothing is changed; who means harm is found out below."""
        with closing(self.server.database()) as db:
            for change in ("update audit set actor = 'x' where n = 3", "delete from audit where n = 3", f"delete from audit where n = {self.last}"):
                with self.assertRaisesRegex(sqlite3.IntegrityError, "append-only"):
                    db.execute(change)

    def test_untouched(self):
        verdict = self.assert_whole("--head", self.elsewhere)
        self.assertEqual((verdict["events"], verdict["last"], verdict["unsigned"]), (self.last, self.last, 0))
        self.assertEqual(self.server.ctl("audit", "verify").stdout, f"{self.last} events up to {self.last}, {len(self.heads)} signed heads: whole\n")

    def test_verify_in_words(self):
        self.tamper("delete from audit where n = 12")
        done = self.server.ctl("audit", "verify", check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", "teddyctl: audit: event 12 is missing\n"))

    def test_any_column_edited(self):
        for n, column, value in (
                (9, "event", "'claim.refused'"), (20, "at_ms", "at_ms + 1"), (1, "at_ms", "at_ms + 1"), (9, "device_id", "'toy-9'"),
                (self.last - 1, "device_id", "''"), (9, "child", "zeroblob(16)"), (20, "child", "NULL"), (self.last - 1, "child", "zeroblob(15)"),
                (20, "actor", "'toy' || char(0) || 'x'"), (9, "detail", "'{}'"), (20, "detail", "hex(zeroblob(100000))"),
                (9, "hash", "zeroblob(32)"), (self.last - 1, "hash", "zeroblob(0)"), (self.last, "actor", "'x'")):
            with self.subTest(column=column, value=value, n=n):
                self.setUp()
                self.tamper(f"update audit set {column} = {value} where n = {n}")
                self.assert_fault(f"event {n} is not what was written there: it was edited")
        # The ends of two fields: as one text they would be the same.
        self.setUp()
        self.tamper("update audit set event = event || substr(device_id, 1, 1), device_id = substr(device_id, 2) where n = 9")
        self.assert_fault("event 9 is not what was written there")

    def test_cut(self):
        for where, fault in (("n = 1", "event 1 is missing: the beginning is cut off"),
                             ("n < 8", "events 1 to 7 are missing: the beginning is cut off"), ("n = 12", "event 12 is missing"),
                             ("n between 12 and 15", "events 12 to 15 are missing"),
                             (f"n = {self.last}", f"the tail is cut off behind event {self.last - 1}: the head of event {self.last}"),
                             ("n > 10", "the tail is cut off behind event 10"), ("1", "the tail is cut off behind event 0")):
            with self.subTest(where=where):
                self.setUp()
                self.tamper(f"delete from audit where {where}")
                self.assert_fault(fault)

    def test_a_gap_that_was_closed(self):
        self.tamper("delete from audit where n = 12", "update audit set n = n - 1000 where n > 12", "update audit set n = n + 999 where n < 0")
        self.assert_fault("event 12 is not what was written there")

    def test_inserted(self):
        self.tamper("insert into audit select -5, at_ms, event, device_id, child, actor, detail, hash, 0 from audit where n = 5")
        self.assert_fault("event -5 stands behind event 0")

    def test_reordered(self):
        everything = "at_ms, event, device_id, child, actor, detail, hash"
        content = everything.removesuffix(", hash")
        for columns, a, b in ((everything, 11, 12), (content, 11, 12), (everything, 9, 25), (content, 9, 25)):
            with self.subTest(columns=columns, a=a, b=b):
                self.setUp()
                self.tamper(lambda db: [
                    db.execute(f"update audit set ({columns}) = ({', '.join('?' * len(row))}) where n = ?", (*row, n))
                    for n, row in ((a, db.execute(f"select {columns} from audit where n = {b}").fetchone()),
                                   (b, db.execute(f"select {columns} from audit where n = {a}").fetchone()))])
                self.assert_fault(f"event {a} is not what was written there: it was reordered, and stands as event {b}")

    def test_hashes_swapped(self):
        self.tamper(lambda db: [db.execute("update audit set hash = ? where n = ?", (h, n)) for n, (h,) in (
            (11, db.execute("select hash from audit where n = 12").fetchone()), (12, db.execute("select hash from audit where n = 11").fetchone()))])
        self.assert_fault("event 11 is not what was written there")

    def test_a_chain_made_anew(self):
        """Without the key: the first head behind the change gives it away."""
        first = min(n for n in self.heads if n >= 9)
        self.tamper("update audit set device_id = 'toy-9' where n = 9", lambda db: self.rewrite(db, 9))
        self.assert_fault(f"the head of event {first} does not match")
        self.setUp()
        self.tamper("insert into audit_head select 20, at_ms, (select hash from audit where n = 20), signature from audit_head limit 1",
                    "delete from audit where n > 20", "delete from audit_head where n > 20")
        self.assert_fault("the head of event 20")

    def test_a_chain_made_anew_without_its_heads(self):
        """Who can write the database, and has no key, can take the heads away. That they are not there shows it."""
        self.tamper("update audit set device_id = 'toy-9' where n = 9", self.rewrite, "delete from audit_head")
        fault = f"events 1 to {self.last} have no signed head behind them"
        self.assert_fault(fault)
        self.server.start()
        self.server.log.wait("event=audit_broken")  # said before the end is signed anew
        self.server.terminate()
        # One that is left does not cover for the others: the events behind it are too old to wait for theirs.
        self.setUp()
        n = self.heads[0]
        self.tamper(f"update audit set at_ms = at_ms + 601000 where n > {n + 1}", lambda db: self.rewrite(db, n + 1),
                    f"delete from audit_head where n > {n}")
        self.assert_fault(f"events {n + 1} to {self.last} have no signed head behind them")
        self.server.start()
        self.server.log.wait("event=audit_broken")
        self.server.terminate()

    def test_killed_before_the_minute_was_over(self):
        """What no head is behind yet is no fault, but said."""
        n = self.heads[0]
        self.tamper(f"update audit set at_ms = (select at_ms from audit where n = {n}) where n > {n}",
                    lambda db: self.rewrite(db, n + 1), f"delete from audit_head where n > {n}")
        self.assertEqual(self.assert_whole()["unsigned"], self.last - n)
        self.assertIn(f"\n{self.last - n} of them are newer than the last head", self.server.ctl("audit", "verify").stdout)

    def test_numbers_that_nothing_can_follow(self):
        for change in (f"update audit set n = {2**63 - 1} where n = {self.last}", f"update audit_head set n = {2**63 - 1} where n = {self.heads[-1]}",
                       f"update audit_head set n = {-2**63} where n = {self.heads[-1]}"):
            with self.subTest(change=change):
                self.setUp()
                self.tamper(change)
                for command in (["verify"], ["head"], ["tail"]):
                    done = self.server.ctl("audit", *command, check=False)
                    self.assertIn(done.returncode, (0, 1), done.stderr)
                self.assertEqual(self.server.ctl("audit", "verify", check=False).returncode, 1)

    def test_a_forged_head(self):
        self.tamper("update audit_head set signature = zeroblob(64) where n = (select min(n) from audit_head)")
        self.assert_fault(f"the head of event {self.heads[0]} ")
        self.setUp()
        self.tamper("update audit_head set at_ms = at_ms + 60000 where n = (select max(n) from audit_head)")
        self.assert_fault(f"the head of event {self.heads[-1]} ")

    def test_a_forged_beginning(self):
        """A signed head does not pass for the sign that older events were removed."""
        n = self.heads[0]
        self.tamper(f"insert into audit_anchor select 0, n, at_ms, hash, signature from audit_head where n = {n}",
                    f"delete from audit where n <= {n}", f"delete from audit_head where n <= {n}")
        self.assert_fault(f"the events begin behind event {n}, and that is not signed by this key")

    def test_a_cut_tail_shows_by_a_head_kept_elsewhere(self):
        n = json.loads(self.head)["n"]
        self.tamper(f"delete from audit where n >= {n}", f"delete from audit_head where n >= {n}")
        self.assert_whole()  # nothing here can tell
        self.assert_fault(f"the tail is cut off behind event {n - 1}: the head of event {n} was signed", "--head", self.elsewhere)
        # It has grown again, by a server that knows of nothing.
        self.server.start()
        self.server.ctl("device", "disable", "toy-1")
        self.server.ctl("device", "enable", "toy-1")
        self.server.terminate()
        self.assert_whole()
        self.assert_fault(f"the head of event {n} does not match", "--head", self.elsewhere)

    def test_a_new_key(self):
        """Who has the data directory can sign anew. Not what is elsewhere."""
        public = os.path.join(self.server.data, "public.pem")
        with open(public, "w") as f:
            f.write(self.server.ctl("audit", "key").stdout)
        os.unlink(os.path.join(self.server.data, "audit-key.pem"))
        self.tamper("update audit set device_id = 'toy-9' where n = 9", self.rewrite, "delete from audit_head")
        self.server.ctl("device", "disable", "toy-1")  # signs
        self.assert_whole()
        self.assert_fault("is not signed by this key", "--head", self.elsewhere)
        self.assert_fault("does not match", "--head", self.elsewhere, "--key", public)

    def test_exports(self):
        path = os.path.join(self.server.data, "export.jsonl")
        public = os.path.join(self.server.data, "public.pem")
        with open(public, "w") as f:
            f.write(self.server.ctl("audit", "key").stdout)
        self.server.ctl("audit", "export", path)
        events = check_export(path, public_key(self.server))
        self.assertEqual([e["n"] for e in events], list(range(1, self.last + 1)))
        with open(path) as f:
            lines = f.readlines()

        def check(fault, changed, *options):
            with self.subTest(fault=fault), open(path, "w") as f:
                f.writelines(changed)
                f.flush()
                options = ["--from-export", path, "--key", public, *options]
                self.assert_fault(fault, *options) if fault else self.assert_whole(*options)

        check(None, lines)
        check(None, lines, "--head", self.elsewhere)
        check("event 9 is not what was written", lines[:9] + [lines[9].replace('"toy-', '"toy-9')] + lines[10:])
        check("event 9 is missing", lines[:9] + lines[10:])
        check("event 1 is missing: the beginning is cut off", lines[:1] + lines[2:])
        check("event 10 stands behind event", lines[:9] + [lines[9], lines[10], lines[10]] + lines[11:])
        check("there is no signed head behind event", lines[:-1])
        check("the tail is cut off behind event", lines[:-2] + lines[-1:])
        check("is not signed by this key", lines[:-1] + [lines[-1].replace('"at_ms":1', '"at_ms":2')])
        self.server.ctl("audit", "export", "--from", "21", path)
        self.assertEqual([e["n"] for e in check_export(path, public_key(self.server))], list(range(21, self.last + 1)))
        with open(path) as f:
            check(None, f.readlines(), "--head", self.elsewhere)

    def test_the_server_says_so_at_its_start(self):
        self.server.start()
        self.assertNotIn("event=audit_broken", self.server.log.text())
        self.server.terminate()
        self.tamper("delete from audit where n > 10")
        self.server.start()
        self.server.log.wait("event=audit_broken")
        self.server.terminate()


class Api(unittest.TestCase):
    """What a console shows comes over HTTPS."""

    def setUp(self):
        self.server = Server(admin_listen="0")
        self.addCleanup(self.server.close)
        self.operator = self.server.admin_token("operator")

    def get(self, path, status=200, token=None, **params):
        answer = self.server.ask_admin("GET", "/audit" + path, token or self.operator, params=params)
        self.assertEqual(answer.status_code, status, answer.text)
        return answer.json()

    def tamper(self, change):
        with closing(self.server.database()) as db:
            db.execute("drop trigger if exists audit_update")
            db.execute(change)

    def test_pages(self):
        for n in range(30):
            self.server.admin("POST", "/devices", json.dumps({"device_id": f"{'ab'[n % 2]}-{n}"}).encode())
        every = self.get("", after=0)
        self.assertEqual((every["next"], every["more"], len(every["events"])), (every["last"], False, every["last"]))
        before = bytes(32)
        for e in every["events"]:
            before = event_hash(before, e)
            self.assertEqual(e["hash"], before.hex())
        got, after = [], 0
        while True:
            page = self.get("", after=after, limit=7)
            got += page["events"]
            after = page["next"]
            if not page["more"]:
                break
        self.assertEqual(got[:len(every["events"])], every["events"])  # a minute may be over meanwhile
        tail = self.get("", limit=5)
        every = self.get("", after=0)["events"]
        self.assertEqual(tail["events"], every[tail["last"] - 5:tail["last"]])
        self.assertEqual((tail["next"], tail["more"]), (tail["last"], False))
        self.assertEqual(self.get("", after=10**9)["events"], [])
        for bad in ("x", "-1", "", ["1", "2"], str(2**64)):
            self.assertEqual(self.get("", 422, after=bad)["code"], "bad_query")

    def test_who_may(self):
        self.server.add("a-1").claim()
        self.server.add("b-1").claim()
        some = self.server.admin_token("operator", "--prefix", "a-")
        page = self.get("", token=some)
        self.assertEqual([(e["event"], e["device_id"]) for e in page["events"]], [("device.added", "a-1"), ("claim.accepted", "a-1")])
        self.assertEqual(self.get("", token=some, after=0, limit=1)["events"], page["events"][:1])
        self.assertEqual(self.get("", token=some, limit=1)["events"], page["events"][1:])
        for path in ("/head", "/verify"):
            self.assertEqual(self.get(path, 403, token=some)["code"], "out_of_scope")
        viewer = self.server.admin_token("viewer")
        for path in ("", "/head", "/verify"):
            self.assertEqual(self.get(path, 403, token=viewer)["code"], "role_too_low")
            self.assertEqual(self.get(path, 401, token=viewer + "x")["code"], "bad_admin_token")
        self.server.terminate()
        refused = {}
        for e in export(self.server):
            if e["event"] == "admin.refused":
                key = e["actor"], json.loads(e["detail"])["reason"]
                refused[key] = refused.get(key, 0) + json.loads(e["detail"])["count"]
        self.assertEqual(refused, {(f"token:{some.split('_')[1]}", "out_of_scope"): 2,
                                   (f"token:{viewer.split('_')[1]}", "role_too_low"): 3, ("server", "bad_admin_token"): 3})

    def test_head_and_verdict(self):
        self.server.terminate()
        append(self.server, 4100)  # more than one piece of the verification
        self.server.start()
        head = self.get("/head")
        check_head(head, public_key(self.server))
        self.assertEqual(head["hash"], export(self.server)[head["n"] - 1]["hash"])
        verdict = self.get("/verify")
        self.assertGreaterEqual(verdict.pop("heads"), 1)
        self.assertGreaterEqual(verdict["last"], head["n"])
        # What a minute has counted may come, with its head, when the heads have been read.
        self.assertLessEqual(verdict.pop("unsigned"), verdict["last"] - head["n"])
        self.assertEqual(verdict, {"whole": True, "events": verdict["last"], "last": verdict["last"]})
        self.tamper("update audit set device_id = 'other' where n = 4")
        self.assertEqual(self.get("/verify"),
                         {"whole": False, "event": 4, "fault": "event 4 is not what was written there: it was edited"})
        self.tamper("update audit set hash = zeroblob(3) where n = 4")
        self.assertEqual(self.get("", 500, after=0)["code"], "audit_unreadable")


class Keeping(unittest.TestCase):
    def test_the_oldest_leave_and_the_rest_is_whole(self):
        server = Server(audit_events_max=1000)
        self.addCleanup(server.close)
        server.terminate()
        append(server, 1200)
        server.start()
        events = export(server)
        self.assertLess(len(events), 1010)
        self.assertGreater(events[0]["n"], 100)
        server.ctl("audit", "verify")
        with closing(server.database()) as db:
            anchor = dict(zip(("n", "at_ms", "hash", "signature"),
                              db.execute("select n, at_ms, lower(hex(hash)), signature from audit_anchor").fetchone()))
            public_key(server).verify(anchor["signature"], head_text(anchor, b"anchor"))
            with self.assertRaises(InvalidSignature):
                public_key(server).verify(anchor["signature"], head_text(anchor))
            db.execute("delete from audit_anchor")
        done = server.ctl("audit", "verify", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the beginning is cut off", done.stderr)

    def test_what_cannot_leave_is_not_tried_without_a_pause(self):
        """A store that fails is asked again a minute later."""
        server = Server(audit_events_max=1000)
        self.addCleanup(server.close)
        server.terminate()
        append(server, 6000)  # they leave 2,000 at a time
        with closing(server.database()) as db:
            db.execute("create trigger stuck before insert on audit_anchor when new.n > 3000 begin select raise(abort, 'stuck'); end")
        server.start()
        server.log.wait("event=audit_failed")
        for _ in range(50):
            self.assertEqual(server.admin("GET", "/status")[0], 200)
            self.assertEqual(server.admin("POST", "/devices", b'{"device_id":"toy-%d"}' % _)[0], 201)
        self.assertLessEqual(server.log.text().count("event=audit_failed"), 3)  # a minute may be over meanwhile
        with closing(server.database()) as db:
            db.execute("drop trigger stuck")

    def test_killed_again_and_again(self):
        """Whenever the power is cut: the chain is whole, and what was answered is in it."""
        server = Server(**Case.UNLIMITED, claims_per_device_min=0)
        self.addCleanup(server.close)
        toys = [server.add() for _ in range(4)]
        answered = [0] * len(toys)

        def claims(i):
            try:
                while toys[i].post_claim().status_code == 200:
                    answered[i] += 1
            except requests.RequestException:
                pass

        for life in range(3):
            before = sum(answered)
            threads = [threading.Thread(target=claims, args=(i,)) for i in range(len(toys))]
            [t.start() for t in threads]
            end = time.monotonic() + PATIENCE
            while sum(answered) < before + 8 + 3 * life and time.monotonic() < end:
                server.ctl("device", "enable", toys[0].device_id)
            server.kill()
            [t.join() for t in threads]
            self.assertGreater(sum(answered), before)
            server.ctl("audit", "verify")
            server.start()
            claimed = {}
            for e in export(server):
                claimed[e["device_id"]] = claimed.get(e["device_id"], 0) + (e["event"] == "claim.accepted")
            for toy, n in zip(toys, answered):
                self.assertGreaterEqual(claimed[toy.device_id], n)
                self.assertLessEqual(claimed[toy.device_id], n + life + 1)  # one may have gone unanswered each time


if __name__ == "__main__":
    main()
