"""A session over time: pings, silence, expiry with and without a refresh in it, the legacy toy."""

import asyncio
import json
import time

import websockets

from harness import PATIENCE, Case, RawWs, closed, hello, main, receive, receive_type


class Heartbeat(Case):
    CONFIG = {"ping_ms": 300, "silence_ms": 1500}

    def path(self, toy):
        return f"/ws/esp32/{toy.device_id}?token={toy.claim()['access']}"

    def test_a_silent_peer_is_dropped(self):
        toy = self.server.add()
        with RawWs(self.server, self.path(toy)) as ws:
            ws.s.settimeout(PATIENCE)
            start, pings = time.monotonic(), 0
            try:
                while True:
                    opcode, _ = ws.receive()
                    pings += opcode == 9
                    if opcode == 8:
                        break
            except (EOFError, OSError):
                pass
            self.assertGreaterEqual(pings, 2)
            self.assertTrue(1.2 <= time.monotonic() - start <= 10, time.monotonic() - start)

    def test_who_answers_stays(self):
        toy = self.server.add()
        with RawWs(self.server, self.path(toy)) as ws:
            start = time.monotonic()
            while time.monotonic() - start < 3.5:
                opcode, payload = ws.receive()
                self.assertEqual(opcode, 9)
                ws.send(10, payload)
            ws.text("still here")
            opcode, payload = ws.receive()
            while opcode == 9:
                opcode, payload = ws.receive()
            self.assertEqual(json.loads(payload)["type"], "echo")

    async def test_welcome_tells_the_heartbeat(self):
        toy = self.server.add()
        async with toy.connect(toy.claim()["access"]) as ws:
            self.assertGreaterEqual((await hello(ws))["heartbeat_s"], 0)


class Expiry(Case):
    CONFIG = {"access_ttl_s": 10, "expiring_notice_s": 7}

    async def test_refresh_within_the_session(self):
        toy, other = self.server.add(), self.server.add()
        foreign = other.claim()["refresh"]
        pair = toy.claim()
        start = time.monotonic()
        async with toy.connect(pair["access"]) as ws:
            await hello(ws)
            expiring = await receive_type(ws, "token_expiring")
            self.assertTrue(1 <= expiring["expires_in"] <= 8, expiring)
            self.assertLess(time.monotonic() - start, 9)
            # Somebody else's token does not do, nor does one that is none; the session stays.
            for bad in (foreign, pair["access"], "x.y.z"):
                await ws.send(json.dumps({"type": "refresh", "refresh": bad}))
                self.assertIn("code", await receive_type(ws, "error"))
            await ws.send(json.dumps({"type": "refresh", "refresh": pair["refresh"]}))
            tokens = await receive_type(ws, "tokens")
            self.assertEqual(set(tokens), {"type", "access", "refresh", "expires_in"})
            self.assertIn(tokens["expires_in"], range(5, 11))  # seconds may have passed
            # Beyond the first token's end.
            await asyncio.sleep(max(0, 10.5 - (time.monotonic() - start)))
            await ws.send("still here")
            self.assertEqual((await receive_type(ws, "echo"))["text"], "still here")
            # And without another refresh it ends in time.
            code, reason = await closed(ws)
            self.assertEqual((code, reason.split()[0]), (1008, "token_expired"))
            self.assertLess(time.monotonic() - start, 25)
        await self.refused(toy.connect(pair["access"]), 1008, "token_expired")
        self.assertEqual(toy.post_refresh(tokens["refresh"]).status_code, 200)
        self.assertEqual(other.post_refresh(foreign).status_code, 200, "the foreign token was not touched")

    async def test_a_legacy_toy_keeps_its_session(self):
        toy = self.server.add()
        async with toy.connect(toy.claim()["access"]) as ws:
            end = time.monotonic() + 12
            kinds = set()
            await ws.send("first")
            while time.monotonic() < end:
                try:
                    kinds.add(json.loads(await asyncio.wait_for(ws.recv(), end - time.monotonic()))["type"])
                except asyncio.TimeoutError:
                    break
            await ws.send("still here")
            self.assertEqual((await receive_type(ws, "echo"))["text"], "still here")
            self.assertLessEqual(kinds, {"echo", "reply"})


class Legacy(Case):
    CONFIG = {"legacy_session_max_s": 2}

    async def test_its_longest_session(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        start = time.monotonic()
        legacy = await toy.connect(access)
        code, reason = await closed(legacy)
        self.assertEqual(code, 1008, reason)
        self.assertTrue(1.9 <= time.monotonic() - start < 10)
        async with toy.connect(access) as ws:
            await hello(ws)
            await asyncio.sleep(2.5)
            await ws.send("still here")
            await receive_type(ws, "echo")


if __name__ == "__main__":
    main()
