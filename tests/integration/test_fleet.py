"""Looking at the toys: which there are, who is online, how they were and when they were here; and that nothing of it outlives a binding."""

import asyncio
import json
import time

import harness
from harness import PATIENCE, Server

REPORT = '{"type":"telemetry","battery":0.42,"rssi":-61,"heap":123456,"uptime_s":1e3,"more":{"a":[1]},"temperature":"warm"}'


def until(read, wanted, what):
    """What read() gives once wanted(it) is true: what is gathered reaches the store within a second or so."""
    end = time.monotonic() + PATIENCE
    while not wanted(got := read()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: {got}")
        time.sleep(0.02)
    return got


class Fleet(harness.Case):
    CONFIG = {"admin_listen": "0", "metrics_listen": "127.0.0.1:0", "telemetry_interval_s": 3600, "claims_per_device_min": 0}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.CONFIG)

    def ask(self, path, status=200):
        got, body = self.server.admin("GET", path)
        self.assertEqual(got, status, body)
        return body

    def ids(self, query):
        """All pages' ids."""
        found, after = [], ""
        while after is not None:
            page = self.ask(f"/devices?{query}" + (f"&after={after}" if after else ""))
            found += [d["device_id"] for d in page["devices"]]
            after = page["next"]
        return found

    def sessions(self, toy):
        return self.ask(f"/devices/{toy.device_id}/sessions")["sessions"]

    def telemetry(self, toy, query=""):
        return self.ask(f"/devices/{toy.device_id}/telemetry{query}")

    async def reported(self, toy):
        """A session in which it says once how it is; until that is kept."""
        async with toy.connect(toy.claim()["access"]) as ws:
            await harness.hello(ws)
            await ws.send(REPORT)
            await asyncio.to_thread(until, lambda: self.telemetry(toy), lambda t: t["at"], "no telemetry")
        return await asyncio.to_thread(until, lambda: self.sessions(toy), lambda s: s, "no past session")


class Lists(Fleet):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.toys = {n: cls.server.add(f"List-{n}") for n in ("A1", "A2", "A3", "B1", "B2")}
        for n in ("A1", "A2", "B1"):
            cls.toys[n].tokens = cls.toys[n].claim(body=cls.toys[n].body(firmware_version=f"7.{n}-rc"))
        cls.server.ctl("device", "disable", "List-A3")
        cls.server.ctl("device", "revoke", "List-A2")

    def test_the_beginning_of_an_id(self):
        self.assertEqual(self.ids("q=List-A"), ["List-A1", "List-A2", "List-A3"])
        self.assertEqual(self.ids("q=List-A&limit=1"), ["List-A1", "List-A2", "List-A3"])
        self.assertEqual(self.ids("q=list-a"), [])
        self.assertEqual(self.ids("q=List-A&after=List-A2"), ["List-A3"])
        self.assertEqual(self.ids("q=List-A2"), ["List-A2"])

    def test_a_part(self):
        self.assertEqual(self.ids("part=ist-b"), ["List-B1", "List-B2"])
        self.assertEqual(self.ids("part=.b1-RC"), ["List-B1"])
        self.assertEqual(self.ids("part=child-1"), [])  # a child's id is not looked through

    def test_states(self):
        for state, wanted in (("claimed", ["A1", "B1"]), ("lapsed", ["A2"]), ("unclaimed", ["B2"]), ("disabled", ["A3"])):
            with self.subTest(state):
                self.assertEqual(self.ids(f"q=List-&state={state}"), [f"List-{n}" for n in wanted])
        self.assertEqual(self.ask("/devices/List-A2")["state"], "lapsed")

    async def test_online(self):
        a, b = self.toys["A1"], self.toys["B1"]
        async with a.connect(a.tokens["access"]) as ws:
            await harness.hello(ws)
            async with b.connect(b.tokens["access"]) as other:
                await harness.hello(other)
                self.assertEqual(self.ids("q=List-&online=true&limit=1"), ["List-A1", "List-B1"])
                self.assertEqual(self.ids("q=List-B&online=true"), ["List-B1"])
                self.assertEqual(self.ids("online=true&state=disabled"), [])
                self.assertEqual(self.ids("q=List-&online=false&limit=2"), ["List-A2", "List-A3", "List-B2"])
                page = self.ask("/devices?q=List-")
                self.assertEqual([d["online"] for d in page["devices"]], [True, False, False, True, False])
                printed = self.server.ctl("device", "list", "--prefix", "List-", "--online").stdout.splitlines()
                self.assertEqual([line.split("\t")[0] for line in printed], ["List-A1", "List-B1"])

    def test_a_token_for_some_devices(self):
        token = self.server.admin_token("operator", "--prefix", "List-A")
        def seen(query):
            return [d["device_id"] for d in self.server.ask_admin("GET", "/devices?" + query, token).json()["devices"]]
        self.assertEqual(seen("limit=9"), ["List-A1", "List-A2", "List-A3"])
        self.assertEqual(seen("q=List"), ["List-A1", "List-A2", "List-A3"])
        self.assertEqual(seen("q=List-A2"), ["List-A2"])
        self.assertEqual(seen("q=List-B"), [])
        self.assertEqual(seen("part=List-B"), [])
        for path in ("/devices/List-B1", "/devices/List-B1/telemetry", "/devices/List-B1/sessions", "/audit?device=List-B1"):
            with self.subTest(path):
                self.problem(self.server.ask_admin("GET", path, token), 403, "out_of_scope")
        self.assertEqual(self.server.ask_admin("GET", "/audit?device=List-A1", token).status_code, 200)

    def test_what_cannot_be_asked(self):
        for query in ("q=a.b", "q=a&q=b", "state=blocked", "state=", "online=yes", "part=%00", "part=" + 65 * "x", "part=%C3%A9"):
            with self.subTest(query):
                self.assertEqual(self.ask("/devices?" + query, 422)["code"], "bad_query")
        for query in ("?from=-1", "?to=x", "?limit=0", "?limit=4097", "?from=1&from=2"):
            with self.subTest(query):
                self.assertEqual(self.ask("/devices/List-A1/telemetry" + query, 422)["code"], "bad_query")
        for query in ("device=List-A1&after=1", "before=1", "device=a.b"):
            with self.subTest(query):
                self.assertEqual(self.ask("/audit?" + query, 422)["code"], "bad_query")
        for words in (("--state", "blocked"), ("--online", "--offline"), ("--prefix", "a.b"), ("--limit", "5")):
            self.assertEqual(self.server.ctl("device", "list", *words, check=False).returncode, 2)

    def test_events_of_one(self):
        toy = self.server.add("Events-1")
        for _ in range(3):
            toy.claim()
        self.server.ctl("device", "disable", "Events-1")
        page = self.ask("/audit?device=Events-1&limit=2")
        self.assertEqual([e["event"] for e in page["events"]], ["claim.accepted", "device.disabled"])
        self.assertTrue(page["more"])
        older = self.ask(f"/audit?device=Events-1&before={page['before']}")
        self.assertEqual([e["event"] for e in older["events"]], ["device.added", "claim.accepted", "claim.accepted"])
        self.assertEqual((older["more"], older["before"]), (False, None))
        self.assertEqual({e["device_id"] for e in older["events"]}, {"Events-1"})
        shown = self.server.ctl("audit", "tail", "--device", "Events-1", "-n", "2").stdout.splitlines()
        self.assertEqual([line.split("\t")[2] for line in shown], ["claim.accepted", "device.disabled"])
        self.server.ctl("device", "remove", "Events-1")  # its list is gone with it, its events are not
        page = self.ask("/audit?device=Events-1&limit=2")
        self.assertEqual([e["event"] for e in page["events"]], ["device.disabled", "device.removed"])
        older = self.ask(f"/audit?device=Events-1&before={page['before']}")
        self.assertEqual([e["event"] for e in older["events"]], ["device.added"] + 3 * ["claim.accepted"])


class Past(Fleet):
    CONFIG = {**Fleet.CONFIG, "claim_policy": "allow"}

    async def test_a_toys_page(self):
        toy = self.server.add()
        shown = self.ask(f"/devices/{toy.device_id}")
        self.assertEqual([shown[m] for m in ("state", "online", "session", "tokens", "telemetry", "last_seen", "messages")],
                         ["unclaimed", False, None, None, None, None, 0])
        async with toy.connect(toy.claim()["access"]) as ws:
            await harness.hello(ws)
            await ws.send("good morning")
            await harness.answer(ws, 1)
            shown = self.ask(f"/devices/{toy.device_id}")
            self.assertEqual((shown["state"], shown["online"], shown["child_id"]), ("claimed", True, toy.child_id))
            session = shown["session"]
            self.assertEqual((session["received"], session["utterances"], session["hello"]), (2, 1, True))
            self.assertGreaterEqual(session["sent"], 2)
            self.assertEqual(sorted(shown["tokens"]), ["access_expires", "issued", "refresh_expires"])
            self.assertIsNotNone(shown["last_seen"])
        until(lambda: self.ask(f"/devices/{toy.device_id}"), lambda d: not d["online"], "still online")

    async def test_what_a_toy_reports_is_kept_now_and_then(self):
        toy = self.server.add()
        self.assertEqual(self.telemetry(toy)["at"], [])
        await self.reported(toy)
        before = self.server.metric('teddy_history_written_total{kind="sessions"}')
        async with toy.connect(toy.claim()["access"]) as ws:  # too soon, in a session of its own too
            await ws.send(REPORT)
            await ws.send(REPORT)
            await ws.send('{"type":"telemetry","mood":3}')
        until(lambda: self.server.metric('teddy_history_written_total{kind="sessions"}'), lambda n: n > before, "no session")
        kept = self.telemetry(toy)
        self.assertEqual(len(kept["at"]), 1)
        self.assertEqual([kept[m] for m in ("battery", "rssi", "heap", "uptime_s", "temperature", "heap_min", "more")],
                         [[0.42], [-61], [123456], [1000], [None], [None], False])
        at = kept["at"][0]
        self.assertEqual(self.telemetry(toy, f"?from={at}&to={at}&limit=1")["at"], [at])
        self.assertEqual(self.telemetry(toy, f"?from={at + 1}")["at"], [])
        self.assertEqual(self.telemetry(toy, f"?to={at - 1}")["rssi"], [])
        self.assertEqual(self.ask(f"/devices/{toy.device_id}")["telemetry"]["rssi"], -61)
        printed = self.server.ctl("device", "telemetry", toy.device_id).stdout.strip().split("\t")
        self.assertEqual(printed[1:4], ["0.42", "-61", "123456"])

    async def test_when_it_was_here(self):
        toy = self.server.add()
        async with toy.connect(toy.claim()["access"]) as ws:
            await harness.hello(ws)
            await ws.send("hello")
            await harness.answer(ws, 1)
        until(lambda: self.sessions(toy), lambda s: len(s) == 1, "no session")
        async with toy.connect(toy.claim()["access"]) as ws:
            toy.claim()
            await harness.closed(ws)
        (last, first) = until(lambda: self.sessions(toy), lambda s: len(s) == 2, "no second session")
        self.assertEqual((first["close"], first["received"]), (1000, 2))
        self.assertGreaterEqual(first["sent"], 2)
        self.assertEqual((last["close"], last["reason"], last["received"]), (1008, "superseded", 0))
        self.assertLessEqual(first["opened"], first["closed"])
        self.assertLessEqual(first["closed"], last["closed"])
        printed = self.server.ctl("device", "sessions", toy.device_id).stdout.splitlines()
        self.assertEqual([line.split("\t")[2:4] for line in printed], [["1008", "superseded"], ["1000", first["reason"]]])

    async def test_it_goes_with_the_binding(self):
        ways = {"release": lambda toy: self.server.ctl("device", "release", toy.device_id),
                "forget": lambda toy: self.server.ctl("child", "forget", toy.child_id),
                "another child": lambda toy: toy.claim(body=toy.body(child_id="another-child"))}
        toys = {name: self.server.add() for name in (*ways, "another")}
        for toy in toys.values():
            toy.child_id = f"kid-of-{toy.device_id}"
        await asyncio.gather(*(self.reported(toy) for toy in toys.values()))
        for name, end in ways.items():
            toy = toys[name]
            exported = json.loads(self.server.ctl("child", "export", toy.child_id).stdout)["history"]
            self.assertEqual([(h["device_id"], h["telemetry"][0]["rssi"], h["sessions"][0]["received"]) for h in exported],
                             [(toy.device_id, -61, 2)])
            async with toy.connect(toy.claim()["access"]) as ws:
                await harness.hello(ws)
                end(toy)
                await harness.closed(ws)
        # What those sessions leave is nobody's: it is looked at behind what another leaves later.
        other = toys.pop("another")
        async with other.connect(other.claim()["access"]) as ws:
            await harness.hello(ws)
        until(lambda: self.sessions(other), lambda s: len(s) == 2, "no session of another")
        self.assertEqual(len(self.telemetry(other)["at"]), 1)
        for name, toy in toys.items():
            with self.subTest(name):
                self.assertEqual((self.sessions(toy), self.telemetry(toy)["at"]), ([], []))

    def test_a_removed_toy_has_none(self):
        toy = self.server.add()
        asyncio.run(self.reported(toy))
        self.server.ctl("device", "remove", toy.device_id)
        for path in ("", "/telemetry", "/sessions"):
            self.assertEqual(self.ask(f"/devices/{toy.device_id}{path}", 404)["code"], "device_not_found")
        self.server.add(toy.device_id)
        self.assertEqual((self.sessions(toy), self.telemetry(toy)["at"]), ([], []))


class Restart(Fleet):
    """What a server that ends has gathered is written before it does, and shown without one."""

    async def test_sessions_that_a_restart_ends(self):
        toys = [self.server.add() for _ in range(harness.rounds(12, 4))]
        socks = [await toy.connect(toy.claim()["access"]) for toy in toys]
        for ws in socks:
            await harness.hello(ws)
        await socks[0].send(REPORT)
        ended = asyncio.gather(*(harness.closed(ws) for ws in socks))
        await asyncio.to_thread(self.server.terminate)
        await ended
        shown = [json.loads(self.server.ctl("--json", "device", "sessions", toy.device_id).stdout)["sessions"] for toy in toys]
        self.assertEqual([[(s["close"], s["reason"], s["received"]) for s in one] for one in shown],
                         [[(1012, "restart", 2)]] + (len(toys) - 1) * [[(1012, "restart", 1)]])
        found = json.loads(self.server.ctl("--json", "device", "telemetry", toys[0].device_id).stdout)
        self.assertEqual(found["rssi"], [-61])
        listed = json.loads(self.server.ctl("--json", "device", "list", "--state", "claimed", "--offline").stdout)["devices"]
        self.assertEqual(len(listed), len(toys))
        self.assertEqual(json.loads(self.server.ctl("--json", "device", "list", "--online").stdout)["devices"], [])


class Off(Fleet):
    CONFIG = {"metrics_listen": "127.0.0.1:0", "telemetry_interval_s": 0}

    async def test_no_telemetry(self):
        toy = self.server.add()
        async with toy.connect(toy.claim()["access"]) as ws:
            await ws.send(REPORT)
        until(lambda: self.sessions(toy), lambda s: s, "no session")
        self.assertEqual(self.telemetry(toy)["at"], [])


if __name__ == "__main__":
    harness.main()
