"""Limits: per device, per client address and over all, what stays possible when one is used up, and floods.

What is used up fills again evenly: limits of these tests are low enough that nothing of it comes back while they run."""

import ipaddress
import json
import re
import socket
import time
import unittest

from harness import CLAIM, PATIENCE, REFRESH, SANITIZED, Case, Toy, closing, main, rounds


class Limits(Case):
    UNLIMITED = {}

    def limited(self, answer):
        self.problem(answer, 429, "rate_limited")
        self.assertTrue(1 <= int(answer.headers["Retry-After"]) <= 60, answer.headers)


class PerDevice(Limits):
    CONFIG = {"claim_failures_per_address_min": 0, "claims_per_device_min": 3, "refreshes_per_device_min": 3}

    def test_accepted_claims_only(self):
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        for _ in range(25):
            self.problem(wrong.post_claim(), 401)
        bodies = [toy.body() for _ in range(3)]
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
    CONFIG = {"claim_failures_per_address_min": 4, "refresh_failures_per_address_min": 4,
              "metrics_listen": "127.0.0.1:0"}

    def test_failing_claims(self):
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        source = "127.0.1.1"
        kinds = [lambda: wrong.post_claim(source=source),
                 lambda: self.server.post(CLAIM, {}, source=source),
                 lambda: Toy(self.server, "nobody", "00" * 32).post_claim(source=source),
                 lambda: self.server.post(CLAIM, b"{", source=source)]
        codes = [kind().status_code for kind in kinds]
        self.assertEqual(codes, [401, 422, 404, 400])
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
            codes = [kind().status_code for kind in kinds]
            self.assertEqual(codes, [405, 413, 415, 400])
            for kind in kinds:
                self.limited(kind())
            self.assertEqual(self.server.request("POST", "/healthz", source=source).status_code, 405)
            if good:
                self.assertEqual(self.server.post(path, good(), source=source).status_code, 200)

    def test_it_is_counted_and_told_once(self):
        name = 'teddy_limited_total{limit="claim_failures_per_address"}'
        before = self.server.metric(name)
        codes = [self.server.post(CLAIM, b"{", source="127.0.1.6").status_code for _ in range(9)]
        self.assertEqual(codes, [400] * 4 + [429] * 5)
        self.assertEqual(self.server.metric(name), before + 5)
        self.server.log.wait(r"event=limit_bites limit=claim_failures_per_address key=127\.0\.1\.6 retry_after_s=\d+$")
        self.assertEqual(self.server.log.text().count("key=127.0.1.6 "), 1)

    def test_the_writer_sees_no_more_of_it(self):
        """What would fail is found out beside the writer, who may be busy."""
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        body = toy.body()
        self.assertEqual(toy.post_claim(body).status_code, 200)
        for _ in range(4):
            self.server.post(CLAIM, b"{", source="127.0.1.7")
        with closing(self.server.database()) as db:
            db.execute("begin immediate")
            self.limited(wrong.post_claim(source="127.0.1.7"))
            self.limited(toy.post_claim(body, source="127.0.1.7"))  # a replay
            self.problem(toy.post_claim(source="127.0.1.7"), 503)
            db.execute("rollback")
        self.assertEqual(toy.post_claim(source="127.0.1.7").status_code, 200)

    def test_failing_refreshes(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        source = "127.0.2.1"
        codes = [toy.post_refresh("x.y.z", source=source).status_code for _ in range(4)]
        self.assertEqual(codes, [401] * 4)
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


class OverAll(Limits):
    CONFIG = {"claim_failures_min": 4, "metrics_listen": "127.0.0.1:0"}

    def test_failing_claims_of_all_addresses(self):
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        nobody = Toy(self.server, "nobody", "00" * 32)
        for i in range(4):
            self.problem(wrong.post_claim(source=f"127.0.6.{i + 1}"), 401)
        self.limited(wrong.post_claim(source="127.0.6.5"))
        self.limited(nobody.post_claim(source="127.0.6.6"))
        self.assertEqual(toy.post_claim(source="127.0.6.7").status_code, 200)
        with closing(self.server.database()) as db:
            db.execute("begin immediate")
            self.limited(wrong.post_claim(source="127.0.6.8"))  # without the writer
            db.execute("rollback")
        self.assertEqual(toy.post_claim(source="127.0.6.1").status_code, 200)
        self.assertEqual(self.server.metric('teddy_limited_total{limit="claim_failures"}'), 3)
        self.server.log.wait(r"event=limit_bites limit=claim_failures key=\S* retry_after_s=\d+$")
        # Refreshes have nothing to do with it.
        self.problem(toy.post_refresh("x.y.z", source="127.0.6.9"), 401)


class Weights(Limits):
    CONFIG = {"requests_per_address_min": 30}

    def until_limited(self, ask):
        for n in range(600):
            answer = ask()
            if answer.status_code == 429:
                self.limited(answer)
                return n
        raise AssertionError("never limited")

    def test_a_failure_costs_ten(self):
        toy = self.server.add()
        good = self.until_limited(lambda: self.server.get("/healthz", source="127.0.7.1"))
        bad = self.until_limited(lambda: self.server.post(CLAIM, b"{", source="127.0.7.2"))
        worse = self.until_limited(lambda: toy.post_refresh("x.y.z", source="127.0.7.3"))
        self.assertGreaterEqual(good, 30)
        self.assertGreaterEqual(bad, 3)
        self.assertLess(bad, good / 3, (good, bad, worse))
        self.assertLess(worse, good / 3, (good, bad, worse))


class Waits(Limits):
    CONFIG = {"claim_failures_per_address_min": 30, "claims_per_device_min": 30, "refreshes_per_device_min": 30,
              "requests_per_address_min": 30}

    def test_after_the_wait_the_same_passes(self):
        toy = self.server.add()
        token = toy.claim(source="127.0.8.9")["refresh"]

        def refresh(source):
            nonlocal token
            answer = toy.post_refresh(token, source=source)
            token = answer.json().get("refresh", token)
            return answer

        asks = [lambda source: self.server.post(CLAIM, b"{", source=source), lambda source: toy.post_claim(source=source),
                refresh, lambda source: self.server.get("/healthz", source=source)]
        for i, ask in enumerate(asks):
            with self.subTest(ask=i):
                for n in range(600):
                    # The claims and refreshes are limited by their device alone.
                    source = f"127.0.8.1{n % 100:02}" if i in (1, 2) else f"127.0.8.{i + 1}"
                    answer = ask(source)
                    if answer.status_code == 429:
                        break
                wait = int(answer.headers["Retry-After"])
                self.assertLessEqual(wait, 2)  # not a minute: one comes back in two seconds
                time.sleep(wait)
                self.assertNotEqual(ask(source).status_code, 429)


def address(i, block="127.16.0.0"):
    return str(ipaddress.IPv4Address(int(ipaddress.IPv4Address(block)) + i))


def post_bytes(path, body, extra=""):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{extra}\r\n").encode() + body


def statuses(s, count):
    """Of so many answers that come back on a connection."""
    got = b""
    found = []
    while len(found) < count:
        piece = s.recv(65536)
        if not piece:
            raise AssertionError(f"closed after {len(found)} of {count} answers: {got[-300:]}")
        got += piece
        found = re.findall(rb"HTTP/1\.1 (\d+)", got)
    return [int(status) for status in found]


class Attack(Limits):
    CONFIG = {"tls": "off", "metrics_listen": "127.0.0.1:0"}
    UNLIMITED = {}  # what a server has by itself

    def own_claim(self, toy):
        """Succeeds, at the latest after the wait that it is told."""
        answer = toy.post_claim(source="127.0.0.1")
        if answer.status_code in (429, 503):
            time.sleep(int(answer.headers["Retry-After"]))
            answer = toy.post_claim(source="127.0.0.1")
        self.assertEqual(answer.status_code, 200, answer.text)

    def test_ten_thousand_bad_claims_on_its_id(self):
        """500 addresses (under a sanitizer 200), each 20 times, a hundred at once; the toy claims in their midst and after them."""
        toy = self.server.add()
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        counted = {}
        groups = rounds(5, 2)
        for group in range(groups):
            sockets = []
            for i in range(100):
                s = socket.create_connection((self.server.host, self.server.port), PATIENCE,
                                             (address(group * 100 + i), 0))
                s.sendall(b"".join(post_bytes(CLAIM, json.dumps(wrong.body()).encode()) for _ in range(20)))
                sockets.append(s)
            self.own_claim(toy)
            for s in sockets:
                with s:
                    for status in statuses(s, 20):
                        counted[status] = counted.get(status, 0) + 1
        self.own_claim(toy)
        self.assertEqual(sum(counted.values()), groups * 2000)
        self.assertLessEqual(set(counted), {401, 429}, counted)
        self.server.log.wait(rf"event=limit_bites limit=device_attacks key={toy.device_id} ")
        self.assertGreater(self.server.metric("teddy_device_attacks_total"), 1000)


class Flood(Limits):
    CONFIG = {"tls": "off", "trusted_proxies": "127.0.0.1/32", "log_level": "error"}
    UNLIMITED = {}

    def resident_kib(self):
        with open(f"/proc/{self.server.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1])

    def fail_as(self, clients):
        """A failing claim of each of these client addresses, behind one proxy."""
        with socket.create_connection((self.server.host, self.server.port), PATIENCE) as s:
            for at in range(0, len(clients), 50):
                some = clients[at:at + 50]
                s.sendall(b"".join(post_bytes(CLAIM, b"{}", f"X-Forwarded-For: {c}\r\n") for c in some))
                self.assertLessEqual(set(statuses(s, len(some))), {422, 429})

    def test_memory_is_flat(self):
        """Far more addresses than the tables have room for: IPv4, IPv6 /64s and /48s; and real ones."""
        def clients(first, count):
            return [c for i in range(first, first + count // 3)
                    for c in (address(i, "10.0.0.0"), f"2001:db8:{i >> 8:x}:{i & 0xFF:x}::1",
                              f"2002:{i >> 16:x}:{i & 0xFFFF:x}::1")]

        count = rounds(60000, 6000)
        self.fail_as(clients(0, count))
        before = self.resident_kib()
        self.fail_as(clients(100000, count))
        for i in range(rounds(2000, 200)):
            with socket.create_connection((self.server.host, self.server.port), PATIENCE, (address(i), 0)) as s:
                s.sendall(post_bytes(CLAIM, b"{}"))
                self.assertIn(statuses(s, 1)[0], (422, 429))
        if not SANITIZED:  # a sanitizer's own memory grows
            self.assertLess(self.resident_kib() - before, 512)
        toy = self.server.add()
        self.assertEqual(toy.post_claim().status_code, 200)


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
