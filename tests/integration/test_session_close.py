"""Every close code and reason word of the contract, and what answers a malformed upgrade."""

import asyncio
import json
import re
import select
import threading
import time

import websockets

from harness import CLAIM, PATIENCE, Case, RawWs, Server, closed, hello, main, read_all, receive, status_of


class Policy(Case):
    """1008."""

    async def test_no_token(self):
        await self.refused(self.server.add().connect(), 1008, "no_token")

    async def test_bad_token(self):
        toy = self.server.add()
        await self.refused(toy.connect("garbage"), 1008, "bad_token")
        await self.refused(toy.connect(bearer="garbage"), 1008, "bad_token")
        await self.refused(toy.connect(toy.claim()["refresh"]), 1008, "bad_token")

    async def test_query_and_bearer(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        for how in ({"token": access}, {"bearer": access}):
            async with toy.connect(**how) as ws:
                await ws.send("hello")
                self.assertEqual((await receive(ws))["type"], "echo")
        ws = await toy.connect(access, bearer=access)
        self.assertEqual((await closed(ws))[0], 1008)

    async def test_a_token_twice_in_the_query(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        ws = await toy.connect(access + "&token=" + access)
        self.assertEqual((await closed(ws))[0], 1008)

    async def test_token_revoked(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        async with toy.connect(access) as ws:
            await hello(ws)
            start = time.monotonic()
            await asyncio.to_thread(self.server.ctl, "token", "revoke", toy.device_id)
            code, reason = await closed(ws)
            self.assertEqual((code, reason.split()[0]), (1008, "token_revoked"))
            self.assertLess(time.monotonic() - start, PATIENCE / 2)  # no ping had to find it out
        await self.refused(toy.connect(access), 1008, "token_revoked")

    async def test_wrong_device(self):
        one, other = self.server.add(), self.server.add()
        await self.refused(one.connect(other.claim()["access"]), 1008, "wrong_device")

    async def test_device_disabled(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        async with toy.connect(access) as ws:
            await hello(ws)
            await asyncio.to_thread(self.server.ctl, "device", "disable", toy.device_id)
            code, reason = await closed(ws)
            self.assertEqual((code, reason.split()[0]), (1008, "device_disabled"))
        await self.refused(toy.connect(access), 1008, "device_disabled")
        self.server.ctl("device", "enable", toy.device_id)
        async with toy.connect(access) as ws:
            await hello(ws)

    async def test_device_removed_and_secret_rotated(self):
        for command in (("device", "remove"), ("device", "rotate-secret")):
            with self.subTest(command[1]):
                toy = self.server.add()
                access = toy.claim()["access"]
                async with toy.connect(access) as ws:
                    await hello(ws)
                    await asyncio.to_thread(self.server.ctl, *command, toy.device_id)
                    self.assertEqual((await closed(ws))[0], 1008)
                await self.refused(toy.connect(access), 1008, "token_revoked")

    async def test_replaced(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        async with toy.connect(access) as old:
            await hello(old)
            async with toy.connect(access) as new:
                await hello(new)
                code, reason = await closed(old)
                self.assertEqual((code, reason.split()[0]), (4001, "replaced"))
                await new.send("still here")
                self.assertEqual((await receive(new))["type"], "echo")

    async def test_cloned_devices_are_reported(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        sockets = [await toy.connect(access) for _ in range(12)]
        for ws in sockets[:-1]:
            self.assertEqual((await closed(ws))[0], 4001)
        await asyncio.to_thread(self.server.log.wait, "device_cloned.*" + toy.device_id)
        await sockets[-1].close()

    async def test_closing_from_the_toy(self):
        toy = self.server.add()
        ws = await toy.connect(toy.claim()["access"])
        await hello(ws)
        await ws.close(1000, "bye")
        self.assertEqual(ws.close_code, 1000)


class Races(Case):
    """Upgrades, claims and a disabling of one device at once. Takeover and superseding back each other up, so each is
    also raced without the other."""

    CONFIG = {"claims_per_device_min": 0}

    def race(self, stay, upgrades=0, claims=0, claims_that_connect=0, disablings=0):
        """Runs them all at once, until all but `stay` sessions are closed; the toy, and the access tokens of those."""
        toy = self.server.add()
        first = toy.claim()["access"]
        sockets, start = [], threading.Barrier(upgrades + claims + claims_that_connect + disablings)

        def upgrade(access):
            ws = RawWs(self.server, f"/ws/esp32/{toy.device_id}?token={access}")
            self.addCleanup(ws.s.close)
            sockets.append((ws, access))

        def claim_and_connect():
            answer = toy.post_claim()
            if answer.status_code == 200:
                upgrade(answer.json()["access"])

        def at_once(act):
            start.wait()
            act()

        acts = ([lambda: upgrade(first)] * upgrades + [toy.post_claim] * claims + [claim_and_connect] * claims_that_connect
                + [lambda: self.server.ctl("device", "disable", toy.device_id)] * disablings)
        threads = [threading.Thread(target=at_once, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertGreaterEqual(len(sockets), upgrades)
        end, left = time.monotonic() + PATIENCE, [s for s in sockets if not self.is_closed(s[0])]
        while len(left) > stay and time.monotonic() < end:
            told = select.select([ws.s for ws, _ in left], [], [], end - time.monotonic())[0]
            left = [s for s in left if s[0].s not in told or not self.is_closed(s[0])]
        self.assertEqual(len(left), stay)
        for ws, _ in left:
            ws.s.settimeout(PATIENCE)
            ws.text("still here")
            self.assertEqual(json.loads(ws.receive()[1])["type"], "echo")
        self.assertEqual(self.server.ctl("session", "list").stdout.count(toy.device_id), stay)
        return toy, [access for _, access in left]

    def is_closed(self, ws):
        """By what has come until now."""
        ws.s.settimeout(0.01)
        try:
            self.assertIn(ws.close_frame()[0], (1008, 4001))
        except TimeoutError:
            return False
        return True

    def test_of_many_upgrades_one_stays(self):
        self.race(1, upgrades=12)

    def test_claims_leave_no_session_of_an_older_family(self):
        self.race(0, upgrades=8, claims=4)

    def test_who_stays_is_of_the_newest_family(self):
        toy, left = self.race(1, upgrades=8, claims_that_connect=4)
        with RawWs(self.server, f"/ws/esp32/{toy.device_id}?token={left[0]}") as ws:
            ws.text("of the newest family")
            self.assertEqual(json.loads(ws.receive()[1])["type"], "echo")

    def test_a_disabling_leaves_none(self):
        self.race(0, upgrades=12, disablings=1)


class RateLimited(Case):
    CONFIG = {"messages_per_s": 5, "messages_burst": 5, "processor": "echo"}

    async def test_errors_first_then_1008(self):
        toy = self.server.add()
        ws = await toy.connect(toy.claim()["access"])
        errors = 0
        try:
            for _ in range(200):
                await ws.send('{"type":"ping","t":1}')
        except websockets.ConnectionClosed:
            pass
        try:
            while True:
                message = await receive(ws)
                errors += message["type"] == "error" and message["code"] == "rate_limited"
        except websockets.ConnectionClosed:
            pass
        self.assertGreaterEqual(errors, 1)
        code, reason = await closed(ws)
        self.assertEqual((code, reason.split()[0]), (1008, "rate_limited"))


class Framing(Case):
    """1002, 1003, 1007, 1009."""

    def setUp(self):
        self.toy = self.server.add()
        self.path = f"/ws/esp32/{self.toy.device_id}?token={self.toy.claim()['access']}"

    def provoked(self, code, word, send):
        with RawWs(self.server, self.path) as ws:
            self.assertEqual(ws.status, 101)
            for data in send(ws):
                ws.s.sendall(data)
            got, reason = ws.close_frame()
            self.assertEqual((got, reason.split(" ")[0]), (code, word))
            # After its close frame the server ends the connection by itself, once we answer.
            ws.send(8, code.to_bytes(2, "big"))
            self.assertEqual(read_all(ws.s), b"")

    def test_1002(self):
        cases = {
            "unmasked": lambda ws: [ws.frame(1, b"hi", masked=False)],
            "rsv1": lambda ws: [ws.frame(1, b"hi", rsv=4)],
            "rsv2": lambda ws: [ws.frame(1, b"hi", rsv=2)],
            "rsv3": lambda ws: [ws.frame(1, b"hi", rsv=1)],
            "opcode 3": lambda ws: [ws.frame(3, b"hi")],
            "opcode 7": lambda ws: [ws.frame(7)],
            "opcode 11": lambda ws: [ws.frame(11)],
            "opcode 15": lambda ws: [ws.frame(15)],
            "fragmented ping": lambda ws: [ws.frame(9, b"hi", fin=False)],
            "long ping": lambda ws: [ws.frame(9, b"x" * 126)],
            "long close": lambda ws: [ws.frame(8, b"\x03\xe8" + b"x" * 124)],
            "continuation of nothing": lambda ws: [ws.frame(0, b"hi")],
            "text within a message": lambda ws: [ws.frame(1, b"a", fin=False), ws.frame(1, b"b")],
            "16 bits for 5": lambda ws: [ws.frame(1, b"hello", length=(16, 5))],
            "64 bits for 200": lambda ws: [ws.frame(1, b"x" * 200, length=(64, 200))],
            "64 bits, top bit": lambda ws: [ws.frame(1, b"x", length=(64, 1 << 63))],
            "close of one byte": lambda ws: [ws.frame(8, b"\x03")],
        }
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
            cases[f"close code {code}"] = lambda ws, code=code: [ws.frame(8, code.to_bytes(2, "big"))]
        for name, send in cases.items():
            with self.subTest(name):
                self.provoked(1002, "protocol", send)

    def test_1003(self):
        self.provoked(1003, "unsupported", lambda ws: [ws.frame(2, b"\x00\x01")])
        self.provoked(1003, "unsupported", lambda ws: [ws.frame(2, b"")])
        self.provoked(1003, "unsupported", lambda ws: [ws.frame(2, b"a", fin=False), ws.frame(0, b"b")])

    def test_1007(self):
        bad = {
            "continuation byte": b"\x80",
            "overlong": b"\xc0\xaf",
            "surrogate": b"\xed\xa0\x80",
            "past the end": b"\xf4\x90\x80\x80",
            "cut": "ä".encode()[:1],
            "latin-1": "für".encode("latin-1"),
        }
        for name, payload in bad.items():
            with self.subTest(name):
                self.provoked(1007, "invalid_utf8", lambda ws: [ws.frame(1, payload)])
        # As soon as it cannot become valid any more, though the message is not whole.
        self.provoked(1007, "invalid_utf8", lambda ws: [ws.frame(1, b"ok \xff", fin=False)])
        self.provoked(1007, "invalid_utf8", lambda ws: [ws.frame(8, b"\x03\xe8\xff\xff")])

    def test_a_character_split_over_frames_is_fine(self):
        with RawWs(self.server, self.path) as ws:
            for byte, opcode, fin in zip("ä".encode(), (1, 0), (False, True)):
                ws.send(opcode, bytes([byte]), fin=fin)
                ws.send(9, b"between")
            opcode, payload = ws.receive()
            while opcode == 10:
                opcode, payload = ws.receive()
            self.assertEqual(json.loads(payload)["text"], "ä")

    def test_1009(self):
        self.provoked(1009, "too_big", lambda ws: [ws.frame(1, b"", length=(64, 65537))])
        self.provoked(1009, "too_big", lambda ws: [ws.frame(1, b"", length=(64, 1 << 62))])
        # Fragments count together.
        self.provoked(1009, "too_big", lambda ws: [ws.frame(1, b"x" * 40000, fin=False), ws.frame(0, b"x" * 40000)])

    def test_a_close_is_answered(self):
        with RawWs(self.server, self.path) as ws:
            ws.send(8, b"\x03\xe8bye")
            self.assertEqual(ws.close_frame()[0], 1000)
            self.assertEqual(read_all(ws.s), b"")

    def test_bytes_behind_the_head(self):
        """Frames that arrive in one segment with the upgrade are not lost."""
        with RawWs(self.server, self.path) as ws:
            ws.s.sendall(ws.frame(1, b"one") + ws.frame(1, b"two"))
            texts = []
            while len(texts) < 2:
                message = json.loads(ws.receive()[1])
                if message["type"] == "echo":
                    texts.append(message["text"])
            self.assertEqual(texts, ["one", "two"])
        with self.server.raw() as s:
            frame = RawWs.frame(None, 1, b"early")
            s.sendall((f"GET {self.path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n").encode() + frame)
            got = b""
            while b"early" not in got:
                piece = s.recv(65536)
                self.assertTrue(piece, got)
                got += piece
            self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", got)


class Internal(Case):
    async def test_1011(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        with self.server.broken_store():
            await self.refused(toy.connect(access), 1011, "internal")
        # What it held was released: the device connects as if nothing had been.
        async with toy.connect(access) as ws:
            await hello(ws)
        self.assertNotIn(toy.device_id, self.server.ctl("session", "list").stdout)


class Drain(Case):
    def retry_ms(self, reason):
        found = re.fullmatch(r"[a-z_]+ retry_ms=(\d+)", reason)
        self.assertTrue(found, reason)
        return int(found[1])

    async def test_going_away(self):
        server = Server(retry_min_ms=2000, retry_max_ms=3000)
        try:
            toys = [server.add() for _ in range(6)]
            sockets = [await t.connect(t.claim()["access"]) for t in toys]
            for ws in sockets:
                await hello(ws)
            await asyncio.to_thread(server.ctl, "drain")
            waits = set()
            for ws in sockets:
                code, reason = await closed(ws)
                self.assertEqual((code, reason.split()[0]), (1001, "going_away"))
                waits.add(self.retry_ms(reason))
            self.assertTrue(all(2000 <= w <= 3000 for w in waits), waits)
            self.assertGreater(len(waits), 1, "retry_ms is not jittered")
            # Drained for good, it ends by itself.
            self.assertEqual(await asyncio.to_thread(server.process.wait, PATIENCE), 0)
        finally:
            server.close()

    async def test_who_still_comes_is_told_too(self):
        patient = {"body_timeout_ms": 60000, "drain_timeout_ms": 60000}
        server = Server(retry_min_ms=2000, retry_max_ms=3000, loops=1, **patient)  # one loop reads in the order in which we send
        try:
            slow, late, claiming = server.add(), server.add(), server.add()
            access, claim = late.claim()["access"], json.dumps(claiming.body()).encode()
            with server.raw() as begun, RawWs(server, f"/ws/esp32/{slow.device_id}?token={slow.claim()['access']}") as lingering:
                begun.sendall((f"POST {CLAIM} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                               f"Content-Length: {len(claim)}\r\n\r\n").encode() + claim[:-1])
                lingering.text("hello")
                lingering.receive()
                await asyncio.to_thread(server.ctl, "drain")
                self.assertEqual(lingering.close_frame()[0], 1001)  # and does not answer it, while the claim keeps the drain going
                reason = await self.refused(late.connect(access), 1001, "going_away")
                self.assertTrue(2000 <= self.retry_ms(reason) <= 3000)
                self.problem(await asyncio.to_thread(server.get, "/readyz"), 503, "draining")
                self.assertEqual((await asyncio.to_thread(server.get, "/healthz")).status_code, 200)
                begun.sendall(claim[-1:])
                self.assertEqual(status_of(read_all(begun)), 200)
            self.assertEqual(await asyncio.to_thread(server.process.wait, PATIENCE), 0)
        finally:
            server.close()

    async def test_restart(self):
        server = Server(retry_min_ms=1000, retry_max_ms=1500)
        try:
            toy = server.add()
            access = toy.claim()["access"]
            ws = await toy.connect(access)
            await hello(ws)
            raw = RawWs(server, f"/ws/esp32/{server.add().device_id}")  # refused: one in closing meanwhile
            await asyncio.to_thread(server.terminate)
            code, reason = await closed(ws)
            self.assertEqual((code, reason.split()[0]), (1012, "restart"))
            self.assertTrue(1000 <= self.retry_ms(reason) <= 1500)
            raw.s.close()
            server.start()
            async with toy.connect(access) as ws:
                await hello(ws)
        finally:
            server.close()


class Overload(Case):
    CONFIG = {"connections_max": 16, "head_timeout_ms": 60000}

    async def test_1013(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        held = [self.server.raw() for _ in range(16)]
        try:
            reason = await self.refused(toy.connect(access), 1013, "overload")
            self.assertRegex(reason, r"^overload retry_ms=\d+$")
        finally:
            for s in held:
                s.close()
        end = time.monotonic() + PATIENCE
        while True:  # it notices the closed ones by itself
            ws = await toy.connect(access)
            try:
                await hello(ws)
                break
            except websockets.ConnectionClosed as e:
                self.assertEqual(e.rcvd.code, 1013)
                self.assertLess(time.monotonic(), end)
        await ws.close()


class MalformedUpgrade(Case):
    GOOD = {"Host": "a", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}

    def upgrade(self, method="GET", path="/ws/esp32/toy?token=x", **change):
        fields = {**self.GOOD, **{k.replace("_", "-"): v for k, v in change.items()}}
        lines = [f"{method} {path} HTTP/1.1"] + [f"{k}: {v}" for k, v in fields.items() if v is not None]
        with self.server.raw() as s:
            s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = b""
            while b"\r\n\r\n" not in head:
                piece = s.recv(65536)
                self.assertTrue(piece, head)
                head += piece
        return status_of(head), head.decode("latin-1").lower()

    def test_the_control(self):
        self.assertEqual(self.upgrade()[0], 101)
        self.assertEqual(self.upgrade(Upgrade="WebSocket", Connection="keep-alive, upgrade")[0], 101)

    def test_400(self):
        for change in ({"Sec_WebSocket_Key": None}, {"Sec_WebSocket_Key": ""}, {"Sec_WebSocket_Key": "short"},
                       {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=!"}, {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ"},
                       {"Connection": "keep-alive"}):
            with self.subTest(change):
                self.assertEqual(self.upgrade(**change)[0], 400)

    def test_405(self):
        status, head = self.upgrade(method="POST")
        self.assertEqual(status, 405)
        self.assertIn("allow: get", head)

    def test_426(self):
        for change in ({"Sec_WebSocket_Version": "8"}, {"Sec_WebSocket_Version": "14"}):
            with self.subTest(change):
                status, head = self.upgrade(**change)
                self.assertEqual(status, 426)
                self.assertIn("sec-websocket-version: 13\r\n", head)
        status, head = self.upgrade(Upgrade=None)
        self.assertIn(status, (400, 426))

    def test_404(self):
        for path in ("/ws/esp32", "/ws/esp32/", "/ws/esp32/a/b", "/ws/other/a", "/ws/echo"):
            with self.subTest(path):
                self.assertEqual(self.upgrade(path=path)[0], 404)

    def test_names_that_no_device_has(self):
        """A well-formed upgrade gets its verdict as a close code, whatever its path says."""
        for name in ("nobody", "a.b", "%41", "a" * 100):
            with self.subTest(name):
                self.assertEqual(self.upgrade(path=f"/ws/esp32/{name}")[0], 101)


class EchoRoute(Case):
    CONFIG = {"echo_route": "on", "message_max": 1048576, "output_max": 4194304}

    async def test_text_and_binary_come_back(self):
        async with websockets.connect(self.server.ws_url + "/ws/echo", ssl=self.server.tls(), max_size=None,
                                      ping_interval=None, open_timeout=PATIENCE) as ws:
            for message in ("hello", "", "ä€😀", b"", b"\x00\xff" * 100, b"x" * 1048576, "y" * 70000):
                await ws.send(message)
                self.assertEqual(await asyncio.wait_for(ws.recv(), PATIENCE), message)
            await ws.send(b"x" * 1048577)
            self.assertEqual((await closed(ws))[0], 1009)


if __name__ == "__main__":
    main()
