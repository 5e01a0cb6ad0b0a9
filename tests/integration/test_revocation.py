"""What takes a toy's rights away: its token family, the toy, a key. At once for requests, within a moment for open sessions, for good
over a crash; also against what was under way at that moment."""

import asyncio
import json
import threading
import time

from harness import PATIENCE, Case, RawWs, closing, closed, hello, main, receive, sid_of

FREE = {"claims_per_device_min": 0, "refreshes_per_device_min": 0, "requests_per_address_min": 0}


class Revoked(Case):
    CONFIG = {**FREE, "loops": 2}

    def ways(self, toy, pair):
        """(words for teddyctl, the code of a refused refresh: its status and word, the word of the close)"""
        yield ("family", "revoke", toy.device_id, sid_of(pair["access"])), (401, "token_revoked"), "token_revoked"
        yield ("device", "revoke", toy.device_id), (401, "token_revoked"), "token_revoked"
        yield ("device", "disable", toy.device_id), (403, "device_disabled"), "device_disabled"

    async def test_at_once_and_over_a_crash(self):
        toys = [self.server.add() for _ in range(3)]
        pairs = [toy.claim() for toy in toys]
        bystander = self.server.add()
        other = bystander.claim()
        gone = []
        async with bystander.connect(other["access"]) as stays:
            await hello(stays)
            for i, (toy, pair) in enumerate(zip(toys, pairs)):
                words, refused, word = list(self.ways(toy, pair))[i]
                async with toy.connect(pair["access"]) as ws:
                    await hello(ws)
                    await asyncio.to_thread(self.server.ctl, *words)
                    self.problem(toy.post_refresh(pair["refresh"]), *refused)
                    await self.refused(toy.connect(pair["access"]), 1008, word)
                    code, reason = await closed(ws)
                    self.assertEqual((code, reason), (1008, word))
                gone.append((toy, pair, refused, word))
            await stays.send("still here")
            self.assertEqual((await receive(stays))["type"], "echo")
        last = self.server.add()
        pair = last.claim()
        self.server.ctl("family", "revoke", last.device_id, sid_of(pair["access"]))
        self.server.kill()  # right behind the answer
        gone.append((last, pair, (401, "token_revoked"), "token_revoked"))
        # And while no server runs.
        toy, pair = bystander, other
        self.server.ctl("family", "revoke", toy.device_id, sid_of(pair["access"]))
        gone.append((toy, pair, (401, "token_revoked"), "token_revoked"))
        self.server.start()
        for toy, pair, refused, word in gone:
            self.problem(toy.post_refresh(pair["refresh"]), *refused)
            await self.refused(toy.connect(pair["access"]), 1008, word)
        self.problem(toys[2].post_claim(), 403, "device_disabled")
        for toy in (toys[0], toys[1], last, bystander):  # a family or its tokens are gone: the toy claims anew
            await self.works(toy, toy.claim())

    async def works(self, toy, pair):
        async with toy.connect(pair["access"]) as ws:
            await hello(ws)
        self.assertEqual(toy.post_refresh(pair["refresh"]).status_code, 200)

    async def test_a_family_and_no_later_one(self):
        toy = self.server.add()
        old, new = toy.claim(), toy.claim()
        shown = json.loads(self.server.ctl("--json", "family", "list", toy.device_id).stdout)["families"]
        self.assertEqual([f["sid"] for f in shown], [sid_of(new["access"])])
        self.assertEqual(sid_of(new["access"]), sid_of(new["refresh"]))
        async with toy.connect(new["access"]) as ws:
            await hello(ws)
            for sid in (sid_of(old["access"]), "0" * 32):
                done = self.server.ctl("family", "revoke", toy.device_id, sid, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("refused already", done.stderr)
            # Another toy's path does not reach it.
            status, problem = self.server.admin("POST", f"/devices/{self.server.add().device_id}/families/{sid_of(new['access'])}/revoke")
            self.assertEqual((status, problem["code"]), (404, "family_not_found"))
            await ws.send("still here")
            self.assertEqual((await receive(ws))["type"], "echo")
            rotated = toy.post_refresh(new["refresh"]).json()
            self.assertEqual(sid_of(rotated["access"]), sid_of(new["access"]))
            self.server.ctl("family", "revoke", toy.device_id, sid_of(new["access"]).upper())
            self.assertEqual(await closed(ws), (1008, "token_revoked"))
        self.assertEqual(self.server.ctl("family", "list", toy.device_id).stdout, "")
        for token in (new["refresh"], rotated["refresh"]):
            self.problem(toy.post_refresh(token), 401, "token_revoked")

    async def test_a_key_over_a_crash(self):
        toy = self.server.add()
        pair = toy.claim()
        kid = json.loads(self.server.ctl("key", "list", "--json").stdout)["keys"][-1]["kid"]
        async with toy.connect(pair["access"]) as ws:
            await hello(ws)
            self.assertEqual(self.server.admin("POST", f"/keys/{kid}/retire", b'{"now":true}')[0], 200)
            await self.refused(toy.connect(pair["access"]), 1008, "bad_token")
            self.assertEqual(await closed(ws), (1008, "token_revoked"))
        self.server.kill()
        self.server.start()
        self.problem(toy.post_refresh(pair["refresh"]), 401, "bad_token")
        await self.refused(toy.connect(pair["access"]), 1008, "bad_token")


class UnderWay(Case):
    """What was checked before the answer of a revocation, and is finished behind it."""

    CONFIG = {**FREE, "loops": 2}

    def until(self, requests, waiting):
        """The server has so many requests (this one is one more), of which so many wait for the store's writer; what the server
        writes by itself may wait with them."""
        end = time.monotonic() + PATIENCE
        while True:
            status = self.server.admin("GET", "/status")[1]
            if status["requests"] - 1 == requests and status["store"]["waiting"] >= waiting:
                return status["store"]["waiting"]
            self.assertLess(time.monotonic(), end, status)

    def settled(self):
        """How many jobs wait behind the one that the writer holds: it has taken that one when the number stays, over
        more rounds than a thread that could run is kept waiting on a busy machine."""
        waiting, same = self.until(1, 0), 0
        while same < 30:
            before, waiting = waiting, self.until(1, 0)
            same = same + 1 if waiting == before else 0
        return waiting

    def held(self, *acts):
        """Has the acts, each a request, come into one transaction in this order; their results."""
        results, threads = [None] * len(acts), []

        def begin(act, n):
            def run():
                results[n] = act()
            threads.append(threading.Thread(target=run))
            threads[-1].start()

        filler = self.server.add()
        self.until(0, 0)
        with closing(self.server.database()) as db:
            db.execute("begin immediate")
            first = threading.Thread(target=filler.post_claim)
            first.start()
            others = self.settled()  # the writer has it, and waits with it for the lock
            for n, act in enumerate(acts):
                begin(act, n)
                self.until(2 + n, others + 1 + n)
            db.execute("rollback")
        for thread in [first, *threads]:
            thread.join()
        return results

    def retire(self, kid):
        return lambda: self.server.admin("POST", f"/keys/{kid}/retire", b'{"now":true}')

    def kid(self):
        return next(k["kid"] for k in self.server.admin("GET", "/keys")[1]["keys"] if k["state"] == "signing")

    def refreshed(self):
        """A toy with a pair that was not presented yet: to open a session with it the server writes."""
        toy = self.server.add()
        return toy, toy.post_refresh(toy.claim()["refresh"]).json()

    def upgrade(self, toy, pair):
        def run():
            ws = RawWs(self.server, f"/ws/esp32/{toy.device_id}?token={pair['access']}")
            self.addCleanup(ws.s.close)
            return ws
        return run

    def test_an_upgrade_under_a_key_that_goes(self):
        toy, pair = self.refreshed()
        ws, (status, _) = self.held(self.upgrade(toy, pair), self.retire(self.kid()))
        self.assertEqual(status, 200)
        self.assertEqual(ws.close_frame(), (1008, "token_revoked"))

    def test_a_refresh_under_a_key_that_goes(self):
        toy = self.server.add()
        refresh = toy.claim()["refresh"]
        answer, (status, _) = self.held(lambda: toy.post_refresh(refresh), self.retire(self.kid()))
        self.assertEqual(status, 200)
        if answer.status_code == 200:  # answered before the key went: then it is no good any more
            answer = toy.post_refresh(answer.json()["refresh"])
        self.problem(answer, 401, "bad_token")

    def test_an_upgrade_under_a_family_that_goes(self):
        for verb, word in (("family", "token_revoked"), ("revoke", "token_revoked"), ("disable", "device_disabled"),
                           ("release", "token_revoked")):
            with self.subTest(verb):
                toy, pair = self.refreshed()
                path = f"/families/{sid_of(pair['access'])}/revoke" if verb == "family" else "/" + verb
                ws, (status, _) = self.held(self.upgrade(toy, pair),
                                            lambda: self.server.admin("POST", f"/devices/{toy.device_id}{path}"))
                self.assertEqual(status, 200)
                self.assertEqual(ws.close_frame(), (1008, word))

    def test_a_claim_behind_it_stands(self):
        """A late close does not end the session of a family that began after the revocation."""
        toy, pair = self.refreshed()
        (status, _), answer = self.held(lambda: self.server.admin("POST", f"/devices/{toy.device_id}/revoke"), toy.post_claim)
        self.assertEqual((status, answer.status_code), (200, 200))
        with RawWs(self.server, f"/ws/esp32/{toy.device_id}?token={answer.json()['access']}") as ws:
            ws.text("hi")
            self.assertEqual(ws.receive()[0], 1)

    def test_many_upgrades_at_once(self):
        """Without holding anything: of a key's or a family's sessions none is left."""
        for how in ("key", "family"):
            for _ in range(4):
                toy = self.server.add()
                pair, kid = toy.claim(), self.kid()
                start, sockets = threading.Barrier(9), []

                def connect():
                    start.wait()
                    sockets.append(self.upgrade(toy, pair)())

                threads = [threading.Thread(target=connect) for _ in range(8)]
                for thread in threads:
                    thread.start()
                start.wait()
                if how == "key":
                    self.assertEqual(self.retire(kid)()[0], 200)
                else:
                    self.assertEqual(self.server.admin("POST", f"/devices/{toy.device_id}/revoke")[0], 200)
                for thread in threads:
                    thread.join()
                self.assertEqual(len(sockets), 8)
                for ws in sockets:
                    self.assertIn(ws.close_frame()[0], (1008, 4001))


if __name__ == "__main__":
    main()
