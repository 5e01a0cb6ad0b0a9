"""A session over time: pings, silence, expiry with and without a refresh in it, the legacy toy."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

from harness import PATIENCE, Case, RawWs, closed, hello, main, receive, receive_type


class Heartbeat(Case):
    SILENCE = 4  # seconds; a machine may be busy for a while
    CONFIG = {"ping_ms": 300, "silence_ms": 1000 * SILENCE}

    def path(self, toy):
        return f"/ws/esp32/{toy.device_id}?token={toy.claim()['access']}"

    def pings_until_dropped(self, ws):
        """Answers none of them."""
        pings = 0
        try:
            while (opcode := ws.receive()[0]) != 8:
                pings += opcode == 9
        except (EOFError, OSError):
            pass
        return pings

    def test_a_silent_peer_is_dropped_and_who_answers_stays(self):
        paths = [self.path(self.server.add()) for _ in range(2)]
        start = time.monotonic()
        with RawWs(self.server, paths[0]) as ws, RawWs(self.server, paths[1]) as silent, ThreadPoolExecutor() as pool:
            pings = pool.submit(self.pings_until_dropped, silent)
            while not pings.done():
                opcode, payload = ws.receive()
                self.assertEqual(opcode, 9)
                ws.send(10, payload)
            self.assertGreaterEqual(pings.result(), 2)
            self.assertTrue(self.SILENCE <= time.monotonic() - start <= 20, time.monotonic() - start)
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
    CONFIG = {"legacy_session_max_s": 4}

    async def test_its_longest_session(self):
        known, toy = self.server.add(), self.server.add()
        access = toy.claim()["access"]
        async with known.connect(known.claim()["access"]) as ws:
            await hello(ws)
            start = time.monotonic()
            legacy = await toy.connect(access)
            code, reason = await closed(legacy)
            self.assertEqual(code, 1008, reason)
            self.assertTrue(4 <= time.monotonic() - start < 20)
            await ws.send("still here")  # who says hello has no such end
            await receive_type(ws, "echo")


if __name__ == "__main__":
    main()
