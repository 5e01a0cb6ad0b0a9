"""Rate limits: per device, per client address, and what stays possible when one is exhausted."""

import json
import time
import unittest

from harness import CLAIM, REFRESH, Case, Toy, main


class Limits(Case):
    UNLIMITED = {}

    def limited(self, answer):
        self.problem(answer, 429, "rate_limited")
        self.assertTrue(1 <= int(answer.headers["Retry-After"]) <= 60, answer.headers)


class PerDevice(Limits):
    CONFIG = {"claim_failures_per_address_min": 0, "refreshes_per_device_min": 3}

    def test_accepted_claims_only(self):
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        for _ in range(25):
            self.problem(wrong.post_claim(), 401)
        bodies = [toy.body() for _ in range(20)]
        for body in bodies:
            self.assertEqual(toy.post_claim(body).status_code, 200)
        last = toy.body()
        self.limited(toy.post_claim(last))
        self.problem(toy.post_claim(bodies[0]), 409, "nonce_replayed")  # 6 comes before 7
        self.problem(wrong.post_claim(), 401)
        self.assertEqual(self.server.add().post_claim().status_code, 200)  # others are not concerned

    def test_refreshes(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        for _ in range(3):
            answer = toy.post_refresh(token)
            self.assertEqual(answer.status_code, 200, answer.text)
            token = answer.json()["refresh"]
        self.limited(toy.post_refresh(token))


class PerAddress(Limits):
    """Failing answers: 20 a minute by default."""

    def test_failing_claims(self):
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        source = "127.0.1.1"
        kinds = [lambda: wrong.post_claim(source=source),
                 lambda: self.server.post(CLAIM, {}, source=source),
                 lambda: Toy(self.server, "nobody", "00" * 32).post_claim(source=source),
                 lambda: self.server.post(CLAIM, b"{", source=source)]
        codes = [kinds[i % len(kinds)]().status_code for i in range(20)]
        self.assertEqual(codes, [401, 422, 404, 400] * 5)
        for kind in kinds:
            self.limited(kind())
        # An authentic claim from behind the same address passes, and so do others' failures elsewhere.
        self.assertEqual(toy.post_claim(source=source).status_code, 200)
        self.limited(kinds[0]())
        self.problem(wrong.post_claim(source="127.0.1.2"), 401)

    def test_refusals_by_form_count_too(self):
        toy = self.server.add()
        for path, source, good in ((CLAIM, "127.0.1.3", toy.body), (REFRESH, "127.0.1.4", None)):
            kinds = [lambda: self.server.request("GET", path, source=source),
                     lambda: self.server.post(path, b"x" * 4097, source=source),
                     lambda: self.server.post(path, b"{}", source=source, headers={"Content-Type": "text/plain"}),
                     lambda: self.server.post(path, b"{", source=source)]
            codes = [kinds[i % len(kinds)]().status_code for i in range(20)]
            self.assertEqual(codes, [405, 413, 415, 400] * 5)
            for kind in kinds:
                self.limited(kind())
            self.assertEqual(self.server.request("POST", "/healthz", source=source).status_code, 405)
            if good:
                self.assertEqual(self.server.post(path, good(), source=source).status_code, 200)

    def test_a_limit_ends_when_it_says(self):
        """Retry-After counts down to the end of the minute that the first failure began."""
        source = "127.0.1.5"
        start = time.monotonic()
        for _ in range(20):
            self.server.post(CLAIM, b"{", source=source)
        answer = self.server.post(CLAIM, b"{", source=source)
        passed = time.monotonic() - start
        self.limited(answer)
        self.assertTrue(60 - passed <= int(answer.headers["Retry-After"]) <= 60, (passed, answer.headers))

    def test_failing_refreshes(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        source = "127.0.2.1"
        codes = [toy.post_refresh("x.y.z", source=source).status_code for _ in range(20)]
        self.assertEqual(codes, [401] * 20)
        self.limited(toy.post_refresh("x.y.z", source=source))
        self.assertEqual(toy.post_refresh(token, source=source).status_code, 200)


class Upgrades(Limits):
    CONFIG = {"upgrade_refusals_per_address_min": 3}

    async def test_refused_upgrades(self):
        import websockets
        toy = self.server.add()
        access = toy.claim()["access"]
        for _ in range(3):
            await self.refused(toy.connect("x.y.z", source="127.0.3.1"), 1008, "bad_token")
        with self.assertRaises(websockets.InvalidStatusCode) as refused:
            await toy.connect("x.y.z", source="127.0.3.1")
        self.assertEqual(refused.exception.status_code, 429)
        self.assertTrue(1 <= int(refused.exception.headers["Retry-After"]) <= 60)
        async with toy.connect(access, source="127.0.3.2") as ws:
            await ws.send("hello")
            self.assertEqual(json.loads(await ws.recv())["type"], "echo")


class AllRequests(Limits):
    CONFIG = {"requests_per_address_min": 5}

    def test_the_cap_protects_the_server(self):
        toy = self.server.add()
        codes = [self.server.get("/healthz", source="127.0.4.1").status_code for _ in range(5)]
        self.assertEqual(codes, [200] * 5)
        self.limited(self.server.get("/healthz", source="127.0.4.1"))
        self.limited(toy.post_claim(source="127.0.4.1"))
        self.assertEqual(toy.post_claim(source="127.0.4.2").status_code, 200)


class Off(Limits):
    CONFIG = {"claims_per_device_min": 0, "claim_failures_per_address_min": 0}

    def test_zero_is_no_limit(self):
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        for _ in range(30):
            self.assertEqual(toy.post_claim().status_code, 200)
            self.assertEqual(wrong.post_claim().status_code, 401)


if __name__ == "__main__":
    main()
