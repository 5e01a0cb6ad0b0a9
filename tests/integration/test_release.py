"""A toy that comes back: what a release takes away and what stays, over every table and in the files; the policy of claims that would
move a bound toy; kills in the middle."""

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import threading
import time

from harness import PATIENCE, Case, Server, Toy, closed, closing, hello, main, program, receive_type, sid_of

FREE = {"claims_per_device_min": 0, "refreshes_per_device_min": 0, "requests_per_address_min": 0}

# What of a toy's own row outlives a release. All else is as in the row of a toy that was just registered.
STAYS = {"row", "device_id", "enabled", "created_s",
         "processor",  # the operator's choice for the toy, whoever has it
         "fingerprint", "sealed", "secret_rev",  # its secret is burned into it
         "recent",  # what makes an old claim of it a replay
         "downlink_epoch", "downlink_n"}  # it takes no message below the last id that it was given
# What a release does to each table. A new table needs a line here, and perhaps one in store_device_release.
TABLES = {
    "device": "reset",
    "claim_key": "stays",  # what makes an old claim of it a replay
    "downlink": "gone",
    "telemetry": "gone", "past_session": "gone",
    "profile": "gone", "turn": "gone", "played": "gone", "blocked": "gone", "alert": "gone", "blocked_words": "gone",
    "limits": "stays",  # the child's, with whichever toy, until it is forgotten
    # They have nothing of a toy or of a child.
    "server": "stays", "admin_token": "stays", "batch": "stays", "seal_key": "stays",
    # Events stay, and with them the key of a child's pseudonym, until the child is forgotten.
    "child": "stays", "audit": "trail", "audit_anchor": "trail", "audit_head": "trail",
}


def add(server, device_id=None):
    """A toy, registered in less time than teddyctl takes."""
    body = json.dumps({"device_id": device_id or "toy-" + secrets.token_hex(6)}).encode()
    status, made = server.admin("POST", "/devices", body)
    assert status == 201, made
    return Toy(server, made["device_id"], made["oob_secret"])


def send(server, toy, text):
    status, made = server.admin("POST", f"/devices/{toy.device_id}/messages", json.dumps({"text": text}).encode())
    assert status == 201, made


def rows_of(db, table):
    cursor = db.execute(f'select * from "{table}"')
    return [dict(zip([c[0] for c in cursor.description], row)) for row in cursor]


class Released(Case):
    CONFIG = {**FREE, "blocked_words": "true"}  # else they leave a second behind the start

    def life(self, child="the-first-child"):
        """A toy with all that one can have here; its id, its claim that could be played again, its tokens."""
        toy = self.server.add()
        toy.child_id = child
        claim = toy.body(timestamp="2026-01-02T03:04:05Z", firmware_version="9.8.7-of-the-child")
        pair = toy.claim(body=claim)
        pair = toy.post_refresh(pair["refresh"]).json()
        for n in range(3):
            send(self.server, toy, f"words for the child {n}")
        now = int(time.time())  # what is older than it is kept may leave at any time
        day = now // 86400
        with closing(self.server.database()) as db:  # what conversations leave
            (row,) = db.execute("select row from device where device_id = ?", (toy.device_id,)).fetchone()
            db.execute("insert into profile values (?, ?, 'Mia', 'en', 5, 1, 1, 1)", (row, child))
            db.execute("insert or replace into limits values (?, '', 0, 0, 60, ?)", (child, now))
            db.execute("insert into blocked_words values (?, ?, 1, ?, 'violence', 'words of its')", (row, child, now))
            db.execute("insert into turn values (?, ?, 1, ?, 'heard', 'said')", (row, child, now))
            db.execute("insert into played values (?, ?, ?, 60)", (row, child, day))
            db.execute("insert into blocked values (?, ?, ?, 'violence', 2)", (row, child, day))
            db.execute("insert into alert (device_row, child_id, category, words, at_s, due_s, tries) values (?, ?, 'self_harm', 'w', ?, ?, 0)",
                       (row, child, now, now))
            db.execute("insert into telemetry (device_row, n, at_s, rssi) values (?, 1, ?, -61)", (row, now))
            db.execute("insert into past_session values (?, 1, 1, ?, 1000, 'peer_left', 1, 1)", (row, now))
            db.commit()
        return toy, claim, pair

    def snapshot(self):
        with closing(self.server.database()) as db:
            tables = {table: rows_of(db, table) for table in self.server.tables()}
        for row in tables["device"]:
            del row["event"]  # the toy's last event in the audit trail, which a release is, too
        # Those of life; what the other tests' sessions leave is written when it has gathered.
        tables["past_session"] = [row for row in tables["past_session"] if row["opened_s"] == 1]
        return tables

    async def said_something(self, toy, pair):
        """An open session in which the toy has said something with an id, and has acked a message."""
        ws = await toy.connect(pair["access"])
        self.assertFalse((await hello(ws))["resumed"])
        first = await receive_type(ws, "message")
        await ws.send(json.dumps({"type": "ack", "id": first["id"]}))
        await ws.send(json.dumps({"type": "text", "text": "hi", "id": "u-1"}))
        await receive_type(ws, "echo")
        return ws, first["id"]

    async def test_every_table(self):
        toy, claim, pair = self.life()
        sibling, _, _ = self.life()  # of the same child: nothing happens to it
        ws, last = await self.said_something(toy, pair)
        before = self.snapshot()
        self.assertEqual(set(before) - set(TABLES), set(), "a table whose rows a release may have to erase")
        await asyncio.to_thread(self.server.ctl, "device", "release", toy.device_id)
        self.assertEqual(await closed(ws), (1008, "token_revoked"))
        after = self.snapshot()
        fresh = self.server.add()
        fresh_row = next(r for r in self.snapshot()["device"] if r["device_id"] == fresh.device_id)
        row = next(r for r in before["device"] if r["device_id"] == toy.device_id)
        self.assertEqual([c for c in row if c not in STAYS and row[c] == fresh_row[c]], [], "a column that this toy never used")
        for table in before:
            what = TABLES[table]
            mine = [r for r in after[table] if r.get("device_row") == row["row"]]
            others = [r for r in after[table] if "device_row" in r and r["device_row"] != row["row"]]
            with self.subTest(table):
                if what == "stays":
                    self.assertEqual(after[table], before[table])
                elif what == "gone":
                    self.assertNotEqual([r for r in before[table] if r["device_row"] == row["row"]], [])
                    self.assertEqual(mine, [])
                    self.assertEqual(others, [r for r in before[table] if r["device_row"] != row["row"]])
                elif what == "reset":
                    now = next(r for r in after["device"] if r["device_id"] == toy.device_id)
                    changed = {c: (now[c], fresh_row[c]) for c in now if c not in STAYS}
                    self.assertEqual({c: a for c, (a, _) in changed.items()}, {c: b for c, (_, b) in changed.items()})
                    self.assertEqual({c: now[c] for c in STAYS}, {c: row[c] for c in STAYS})
                    self.assertEqual([r for r in after["device"] if r["device_id"] != toy.device_id],
                                     [r for r in before["device"] if r["device_id"] != toy.device_id])
        self.assertNotEqual(row["downlink_n"], 0)
        await self.gone_for_toys_too(toy, claim, pair, last)
        self.assertEqual(len(json.loads(self.server.ctl("--json", "message", "list", sibling.device_id).stdout)["messages"]), 3)

    async def gone_for_toys_too(self, toy, claim, pair, last):
        shown = json.loads(self.server.ctl("--json", "device", "show", toy.device_id).stdout)
        self.assertEqual([shown[m] for m in ("child_id", "firmware_version", "claimed", "seen")], [None] * 4)
        self.problem(toy.post_refresh(pair["refresh"]), 401, "token_revoked")
        await self.refused(toy.connect(pair["access"]), 1008, "token_revoked")
        self.problem(toy.post_claim(claim), 409, "nonce_replayed")
        # Its memory of what was said is gone, even for the same child; ids of messages go on above the last.
        async with toy.connect(toy.claim()["access"]) as ws:
            self.assertFalse((await hello(ws, last=last))["resumed"])
            new = json.loads(await asyncio.to_thread(lambda: self.server.ctl("send", toy.device_id, "for whoever has it now").stdout))["id"]
            self.assertEqual((await receive_type(ws, "message"))["id"], new)

    def test_nothing_is_left_in_the_files(self):
        mark, child = "mark-" + secrets.token_hex(8), "child-" + secrets.token_hex(8)
        toys = []
        for n in range(120):  # so that rows move between pages
            toy = add(self.server, f"{secrets.token_hex(4)}-{n}")
            toy.child_id = f"{child}-{n}-{'x' * (n % 30)}"
            toy.claim(body=toy.body(timestamp=mark + "z" * (n % 9), firmware_version=mark))
            if n % 10 == 0:
                send(self.server, toy, mark + "y" * (8 * n))
            toys.append(toy)
        self.assertGreater(min(self.found(mark), self.found(child)), 0)
        for toy in toys:
            self.assertEqual(self.server.admin("POST", f"/devices/{toy.device_id}/release")[0], 200)
        self.assertEqual(self.found(mark), 0)  # at once: each copies the log back and cuts it off
        keys = 0
        if "child" in self.server.tables():  # where a child's pseudonym has its key, and nowhere else
            with closing(self.server.database()) as db:
                keys = db.execute("select count(*) from child where child_id like ?", (child + "%",)).fetchone()[0]
        self.assertEqual(self.found(child), keys)

    def found(self, mark):
        found = 0
        for name in os.listdir(self.server.data):
            path = os.path.join(self.server.data, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    found += f.read().count(mark.encode())
        return found

    async def test_with_a_new_secret(self):
        toy, claim, pair = self.life()
        ws = await toy.connect(pair["access"])
        await hello(ws)
        done = await asyncio.to_thread(self.server.ctl, "device", "release", toy.device_id, "--rotate")
        new = Toy(self.server, toy.device_id, json.loads(done.stdout)["oob_secret"], "the-next-child")
        self.assertEqual(await closed(ws), (1008, "token_revoked"))
        self.problem(toy.post_claim(), 401, "invalid_signature")
        self.problem(toy.post_claim(claim), 401, "invalid_signature")
        self.assertIsNone(json.loads(self.server.ctl("--json", "device", "show", toy.device_id).stdout)["child_id"])
        self.assertNotIn(new.secret, self.server.ctl("--json", "device", "show", toy.device_id).stdout + self.server.all_logs())
        self.problem(toy.post_refresh(pair["refresh"]), 401, "token_revoked")
        new.claim()
        self.assertEqual(json.loads(self.server.ctl("--json", "message", "list", toy.device_id).stdout)["messages"], [])


class Policy(Case):
    """A claim that would move a bound toy to another child."""

    CONFIG = FREE

    async def test_require_release(self):
        toy = self.server.add()
        pair = toy.claim()
        self.server.ctl("send", toy.device_id, "for the first child")
        async with toy.connect(pair["access"]) as ws:
            await hello(ws)
            self.problem(toy.post_claim(toy.body(child_id="another")), 403, "release_required")
            self.assertEqual(toy.post_refresh(pair["refresh"]).status_code, 200)  # nothing was changed by it
            again = toy.claim()  # the same toy for the same child, as after a reset
            self.assertEqual(await closed(ws), (1008, "superseded"))
        self.assertEqual(len(self.messages(toy)), 1)
        self.problem(toy.post_refresh(pair["refresh"]), 401, "token_revoked")
        # Second hand: who bought it cannot use it before it is released, and then can.
        self.server.ctl("device", "release", toy.device_id)
        self.problem(toy.post_refresh(again["refresh"]), 401, "token_revoked")
        toy.child_id = "another"
        async with toy.connect(toy.claim()["access"]) as ws:
            await hello(ws)
        self.problem(toy.post_claim(toy.body(child_id="child-1")), 403, "release_required")

    def messages(self, toy):
        return json.loads(self.server.ctl("--json", "message", "list", toy.device_id).stdout)["messages"]

    async def test_allow(self):
        server = Server(claim_policy="allow", **FREE)
        try:
            toy = server.add()
            pair = toy.claim()
            server.ctl("send", toy.device_id, "for the first child")
            async with toy.connect(pair["access"]) as ws:
                await hello(ws)
                toy.child_id = "another"
                moved = toy.claim()
                self.assertEqual(await closed(ws), (1008, "superseded"))
            self.problem(toy.post_refresh(pair["refresh"]), 401, "token_revoked")
            await self.refused(toy.connect(pair["access"]), 1008, "token_revoked")
            self.assertEqual(json.loads(server.ctl("--json", "message", "list", toy.device_id).stdout)["messages"], [])
            async with toy.connect(moved["access"]) as ws:
                self.assertFalse((await hello(ws))["resumed"])
            self.assertEqual(toy.post_claim().status_code, 200)
        finally:
            server.close()


class Killed(Case):
    """The old state whole, or the new one: of the server, and of teddyctl that works alone."""

    CONFIG = {**FREE, "loops": 1}
    ROUNDS = 8

    def owned(self):
        """A toy with a child, tokens and a message."""
        toy = add(self.server)
        pair = toy.claim()
        send(self.server, toy, "hi")
        return toy, pair

    def check(self, toy, pair, answered):
        """Whether the toy is released; answered: what was printed, None when nothing was."""
        shown = self.server.admin("GET", f"/devices/{toy.device_id}")[1]
        waits = self.server.admin("GET", f"/devices/{toy.device_id}/messages")[1]["messages"]
        families = self.server.admin("GET", f"/devices/{toy.device_id}/families")[1]["families"]
        bound = (shown["child_id"] is not None, len(waits) == 1, shown["claimed"] is not None, len(families) == 1)
        self.assertIn(bound, ((True,) * 4, (False,) * 4))
        released = not bound[0]
        self.assertTrue(released or answered is None, "an answered release is undone")
        refresh = toy.post_refresh(pair["refresh"])
        self.assertEqual(refresh.status_code, 401 if released else 200, refresh.text)
        rotated = shown["secret_rev"] == 2
        self.assertTrue(released or not rotated)
        toy.child_id = "the-next" if released else toy.child_id
        self.assertEqual(toy.post_claim().status_code, 401 if rotated else 200)
        if answered and "oob_secret" in answered:
            self.assertTrue(rotated)
            self.assertEqual(Toy(self.server, toy.device_id, answered["oob_secret"], "the-next").post_claim().status_code, 200)
        return released

    def test_a_server_killed_at_it(self):
        ends = set()
        for _ in range(self.ROUNDS):
            toys = [self.owned() for _ in range(4)]
            answers, begun = [None] * len(toys), threading.Semaphore(0)

            def work():
                for n, (toy, _) in enumerate(toys):
                    begun.release()
                    try:
                        status, answer = self.server.admin("POST", f"/devices/{toy.device_id}/release{random.choice(('', '-rotate'))}")
                        self.assertEqual(status, 200)
                        answers[n] = answer
                    except (OSError, ValueError, AssertionError, IndexError):
                        return

            worker = threading.Thread(target=work)
            worker.start()
            for _ in range(random.randrange(1, len(toys))):
                self.assertTrue(begun.acquire(timeout=PATIENCE))
            time.sleep(random.random() / 200)
            self.server.kill()
            worker.join()
            self.server.start()
            for (toy, pair), answered in zip(toys, answers):
                ends.add(self.check(toy, pair, answered))
        self.assertEqual(ends, {True, False})

    def test_teddyctl_killed_at_it(self):
        toys = [self.owned() for _ in range(self.ROUNDS)]
        self.server.terminate()
        answers = []
        for toy, _ in toys:
            ctl = subprocess.Popen([program("teddyctl"), "--data", self.server.data, "device", "release", toy.device_id, "--rotate"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                ctl.wait(random.random() / 30)
            except subprocess.TimeoutExpired:
                ctl.send_signal(signal.SIGKILL)
            printed = ctl.communicate()[0]
            answers.append(json.loads(printed) if printed.endswith("}\n") else None)
        self.server.start()
        for (toy, pair), answered in zip(toys, answers):
            self.check(toy, pair, answered)


if __name__ == "__main__":
    main()
