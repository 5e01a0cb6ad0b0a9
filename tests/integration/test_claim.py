"""The claim: vectors, every row of the table of answers, in their order, over TLS."""

import json
import os
import resource
import secrets
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import (CLAIM, PATIENCE, VECTOR_CHILD, VECTOR_DEVICE, VECTOR_SECRET, Case, Server, Toy, closing, hello, main,
                     read_all, status_of)

VECTORS = [
    ("random_nonce", "1dba426218eb94999b7c878af626d32d3f4614e6b02bab2e2319509c866509f3"),
    ("1763683200000000", "b05358d9e1139cd670a2896cb36916d2988cdf10adde24f260f116d674fc2268"),
    ("000102030405060708090a0b0c0d0e0f", "d93a9301bd3a3e7213319733f2d31753d1d04e8d34a92f3b3a4d352a64833ec8"),
]
DECODED = ("000102030405060708090a0b0c0d0e0f", "76865309683ac175b923f83037d6dba866e364ab7198ca987b42457ac404c787")


class Vectors(Case):
    def vector(self, nonce, mac):
        return {"device_id": VECTOR_DEVICE, "child_id": VECTOR_CHILD, "nonce": nonce, "hmac_hex": mac}

    def setUp(self):
        self.server.add(VECTOR_DEVICE, VECTOR_SECRET)

    def tearDown(self):
        self.server.ctl("device", "remove", VECTOR_DEVICE)

    def test_as_sent(self):
        for nonce, mac in VECTORS:
            with self.subTest(nonce=nonce):
                self.assertEqual(self.server.post(CLAIM, self.vector(nonce, mac)).status_code, 200)

    def test_decoded(self):
        self.assertEqual(self.server.post(CLAIM, self.vector(*DECODED)).status_code, 200)

    def test_upper_case_hex(self):
        nonce, mac = VECTORS[0]
        self.assertEqual(self.server.post(CLAIM, self.vector(nonce, mac.upper())).status_code, 200)

    def test_a_bit_off(self):
        nonce, mac = VECTORS[0]
        off = format(int(mac[-1], 16) ^ 1, "x")
        self.problem(self.server.post(CLAIM, self.vector(nonce, mac[:-1] + off)), 401, "invalid_signature")

    def test_other_case_of_the_id_is_another_device(self):
        body = self.vector(*VECTORS[0])
        body["device_id"] = VECTOR_DEVICE.lower()
        self.problem(self.server.post(CLAIM, body), 404, "device_not_found")


class Answers(Case):
    """The table, row by row."""

    CONFIG = {"claims_per_device_min": 0}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.toy = cls.server.add()

    def test_200(self):
        answer = self.toy.post_claim()
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        self.assertEqual(answer.headers["Content-Type"].split(";")[0], "application/json")
        body = answer.json()
        self.assertEqual(set(body), {"access", "refresh", "token_type", "expires_in"})
        self.assertEqual(body["token_type"], "Bearer")
        self.assertIn(body["expires_in"], range(3590, 3601))  # seconds may have passed

    def test_200_with_more_members(self):
        extra = {"firmware_version": "1.2.3", "timestamp": "2025-11-21T00:00:00Z", "battery": 0.5,
                 "nested": {"a": [1, {"b": None}]}}
        self.assertEqual(self.toy.post_claim(self.toy.body(**extra)).status_code, 200)
        shown = self.server.ctl("device", "show", self.toy.device_id).stdout
        self.assertIn("1.2.3", shown)
        self.assertEqual(self.toy.post_claim(self.toy.body(timestamp=1763683200)).status_code, 200)

    def test_200_with_a_charset(self):
        answer = self.server.post(CLAIM, json.dumps(self.toy.body()).encode(),
                                  headers={"Content-Type": "Application/JSON; charset=utf-8"})
        self.assertEqual(answer.status_code, 200, answer.text)

    def test_411(self):
        """The length is wanted beforehand: no chunks."""
        body = json.dumps(self.toy.body()).encode()
        answer = self.server.request("POST", CLAIM, data=iter([body[:7], body[7:]]),
                                     headers={"Content-Type": "application/json"})
        self.problem(answer, 411)

    def test_413(self):
        self.problem(self.server.post(CLAIM, self.toy.body(padding="x" * 4096)), 413)
        # Known from Content-Length alone: answered without the body.
        head = (f"POST {CLAIM} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                "Content-Length: 4097\r\n\r\n").encode()
        self.assertEqual(status_of(self.server.exchange(head)), 413)
        # Before its media type matters.
        self.problem(self.server.post(CLAIM, b"x" * 5000, headers={"Content-Type": "text/plain"}), 413)

    def test_4096_bytes_are_taken(self):
        body = self.toy.body(padding="")
        body["padding"] = "x" * (4096 - len(json.dumps(body)))
        raw = json.dumps(body).encode()
        self.assertEqual(len(raw), 4096)
        self.assertEqual(self.server.post(CLAIM, raw).status_code, 200)

    def test_405(self):
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            with self.subTest(method=method):
                answer = self.server.request(method, CLAIM)
                self.problem(answer, 405)
                self.assertEqual(answer.headers["Allow"], "POST")

    def test_415(self):
        raw = json.dumps(self.toy.body()).encode()
        for media in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
            with self.subTest(media=media):
                self.problem(self.server.post(CLAIM, raw, headers={"Content-Type": media}), 415)
        head = f"POST {CLAIM} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(raw)}\r\n\r\n"
        self.assertEqual(status_of(self.server.exchange(head.encode() + raw)), 415)

    def test_400(self):
        good = json.dumps(self.toy.body())
        bad = {
            "empty": b"",
            "garbage": b"\x00\xff\x13\x37",
            "array": b"[1,2]",
            "string": b'"x"',
            "cut": good[:-1].encode(),
            "trailing": (good + "x").encode(),
            "two objects": (good + good).encode(),
            "single quotes": good.replace('"', "'").encode(),
            "trailing comma": (good[:-1] + ",}").encode(),
            "comment": (good[:-1] + "/**/}").encode(),
            "control character": good.replace("child", "chi\nld", 1).encode(),
            "bad number": (good[:-1] + ',"n":01}').encode(),
            "bad utf-8": good[:-1].encode() + b',"n":"\xc0\xaf"}',
            "surrogate": good[:-1].encode() + b',"n":"\xed\xa0\x80"}',
            "bom": b"\xef\xbb\xbf" + good.encode(),
            "duplicate": (good[:-1] + f',"child_id":"{self.toy.child_id}"}}').encode(),
            "escaped duplicate": (good[:-1] + f',"\\u0063hild_id":"{self.toy.child_id}"}}').encode(),
            "duplicate unknown": (good[:-1] + ',"n":1,"n":1}').encode(),
            "deep": (good[:-1] + ',"n":' + "[" * 1500 + "]" * 1500 + "}").encode(),
        }
        for name, raw in bad.items():
            with self.subTest(name):
                self.problem(self.server.post(CLAIM, raw), 400)

    def test_422_names_each_member(self):
        body = self.problem(self.server.post(CLAIM, {}), 422)
        for member in ("device_id", "child_id", "nonce", "hmac_hex"):
            self.assertIn(member, body["detail"])
        bad = {
            "device_id": ["", "a" * 65, "a b", "a:b", "a/b", "ä", "a.b", 7, None, ["a"], "a\u0000"],
            "child_id": ["", "a" * 65, "a b", "a:b", "ä", 7, True, {}],
            "nonce": ["", "1234567", "n" * 129, 'quote"quote', "back\\slash", "tab\tstop", "ünicode", 12345678, None],
        }
        for member, values in bad.items():
            for value in values:
                with self.subTest(member=member, value=value):
                    detail = self.problem(self.server.post(CLAIM, {**self.toy.body(), member: value}), 422)["detail"]
                    self.assertIn(member, detail)
                    for other in {"device_id", "child_id", "nonce", "hmac_hex"} - {member}:
                        self.assertNotIn(other, detail)
        both = self.problem(self.server.post(CLAIM, {**self.toy.body(), "child_id": "", "nonce": "x"}), 422)["detail"]
        self.assertIn("child_id", both)
        self.assertIn("nonce", both)
        self.problem(self.server.post(CLAIM, self.toy.body(firmware_version="v" * 33)), 422)

    def test_the_longest_names(self):
        toy = self.server.add("D" * 64)
        toy.child_id = "c" * 64
        self.assertEqual(toy.post_claim(toy.body(nonce="!" * 128)).status_code, 200)
        self.assertEqual(toy.post_claim(toy.body(nonce="~ #{}|!~")).status_code, 200)

    def test_404(self):
        stranger = Toy(self.server, "nobody", "00" * 32)
        self.problem(stranger.post_claim(), 404, "device_not_found")

    def test_401(self):
        wrong = Toy(self.server, self.toy.device_id, "00" * 32)
        self.problem(wrong.post_claim(), 401, "invalid_signature")
        good = self.toy.body()
        for mac in ("", "xyz", good["hmac_hex"][:-1], good["hmac_hex"] + "0", good["hmac_hex"][:-1] + "g", "0" * 64,
                    " " + good["hmac_hex"][1:], "0x" + good["hmac_hex"][2:], "ä" * 32):
            with self.subTest(mac=mac):
                self.problem(self.server.post(CLAIM, {**good, "hmac_hex": mac}), 401, "invalid_signature")
        # Nothing of these was kept: the genuine claim with that nonce still passes.
        self.assertEqual(self.server.post(CLAIM, good).status_code, 200)

    def test_401_signature_over_something_else(self):
        body = self.toy.body()
        for change in ({"nonce": body["nonce"] + "0"}, {"child_id": "other"}):
            with self.subTest(change):
                self.problem(self.server.post(CLAIM, {**body, **change}), 401, "invalid_signature")
        # 16 decoded bytes are for nonces of 32 hex digits only.
        nonce = "00" * 8
        body = {**self.toy.body(nonce=nonce), "hmac_hex": self.toy.mac(nonce, decoded=True)}
        self.problem(self.server.post(CLAIM, body), 401, "invalid_signature")

    def test_403_disabled(self):
        toy = self.server.add()
        self.server.ctl("device", "disable", toy.device_id)
        self.problem(toy.post_claim(), 403, "device_disabled")
        wrong = Toy(self.server, toy.device_id, "00" * 32)
        self.problem(wrong.post_claim(), 401, "invalid_signature")  # who cannot sign learns nothing
        self.server.ctl("device", "enable", toy.device_id)
        self.assertEqual(toy.post_claim().status_code, 200)

    def test_403_release_required(self):
        toy = self.server.add()
        toy.claim()
        self.problem(toy.post_claim(toy.body(child_id="another")), 403, "release_required")
        self.assertEqual(toy.post_claim().status_code, 200)

    def test_409(self):
        toy = self.server.add()
        body = toy.body()
        self.assertEqual(toy.post_claim(body).status_code, 200)
        self.problem(toy.post_claim(body), 409, "nonce_replayed")
        self.problem(toy.post_claim({**body, "hmac_hex": body["hmac_hex"].upper()}), 409, "nonce_replayed")
        self.server.ctl("device", "disable", toy.device_id)
        self.problem(toy.post_claim(body), 403, "device_disabled")  # 5 comes before 6

    def test_409_decoded_nonce_in_the_other_case(self):
        toy = self.server.add()
        nonce = secrets.token_hex(15) + "ab"
        body = {**toy.body(nonce=nonce), "hmac_hex": toy.mac(nonce, decoded=True)}
        self.assertEqual(toy.post_claim(body).status_code, 200)
        self.problem(toy.post_claim({**body, "nonce": nonce.upper()}), 409, "nonce_replayed")

    def test_rotating_the_secret_clears_the_nonces(self):
        toy = self.server.add()
        body = toy.body()
        self.assertEqual(toy.post_claim(body).status_code, 200)
        rotated = json.loads(self.server.ctl("device", "rotate-secret", toy.device_id).stdout)
        self.problem(toy.post_claim(body), 401, "invalid_signature")
        fresh = Toy(self.server, toy.device_id, rotated["oob_secret"])
        self.assertEqual(fresh.post_claim(fresh.body(nonce=body["nonce"])).status_code, 200)

    def test_a_nonce_belongs_to_its_device(self):
        first, second = self.server.add(), self.server.add()
        nonce = secrets.token_hex(16)
        self.assertEqual(first.post_claim(first.body(nonce=nonce)).status_code, 200)
        self.assertEqual(second.post_claim(second.body(nonce=nonce)).status_code, 200)

    async def test_the_claim_accepted_last_counts(self):
        """However they were begun: the server knows no other order."""
        toy = self.server.add()
        body = json.dumps(toy.body()).encode()
        head = f"POST {CLAIM} HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with self.server.raw() as s:
            s.sendall(head.encode() + body[:-1])
            newer = toy.claim()
            s.sendall(body[-1:])
            answer = read_all(s)
        self.assertEqual(status_of(answer), 200)
        older = json.loads(answer.split(b"\r\n\r\n", 1)[1])
        await self.refused(toy.connect(newer["access"]), 1008, "token_revoked")
        self.problem(toy.post_refresh(newer["refresh"]), 401, "token_revoked")
        async with toy.connect(older["access"]) as ws:
            await hello(ws)

    def test_the_first_fault_is_the_one_answered(self):
        wrong = {"device_id": "nobody", "child_id": "a b", "nonce": "long enough", "hmac_hex": "no hex"}
        form = {"Content-Type": "text/plain"}
        disabled = self.server.add()
        used = disabled.body()
        disabled.claim(body=used)
        self.server.ctl("device", "disable", disabled.device_id)
        for status, method, body, headers in (
                (413, "GET", b"x" * 4097, form), (405, "GET", b"{", form), (415, "POST", b"{", form),
                (400, "POST", b'{"device_id":"a b","device_id":"a b"}', {}), (422, "POST", json.dumps(wrong), {}),
                (404, "POST", json.dumps({**wrong, "child_id": "c"}), {}),
                (401, "POST", json.dumps({**used, "hmac_hex": "no hex"}), {}),
                (403, "POST", json.dumps(used), {})):
            with self.subTest(status):
                answer = self.server.request(method, CLAIM, data=body, headers={"Content-Type": "application/json", **headers})
                self.problem(answer, status)

    def test_unknown_path(self):
        for path in ("/", "/api/v1/pair", CLAIM + "/", "/api//v1/pair/claim", "/api/v1/pair/../pair/claim",
                     "/API/v1/pair/claim", "/%61pi/v1/pair/claim"):
            with self.subTest(path=path):
                raw = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
                self.assertEqual(status_of(self.server.exchange(raw)), 404)


class ShiftedBoundary(Case):
    CONFIG = {"claim_policy": "allow", "claims_per_device_min": 0}

    def test_a_shifted_boundary_is_a_replay(self):
        toy = self.server.add()
        toy.child_id = "child12"
        body = toy.body(nonce="3" + secrets.token_hex(8))
        self.assertEqual(toy.post_claim(body).status_code, 200)
        shifted = {**body, "child_id": body["child_id"] + "3", "nonce": body["nonce"][1:]}
        self.assertEqual(toy.mac(shifted["nonce"], shifted["child_id"]), body["hmac_hex"])
        self.problem(toy.post_claim(shifted), 409, "nonce_replayed")

    def test_the_policy_allow_moves_the_toy(self):
        toy = self.server.add()
        toy.claim()
        self.assertEqual(toy.post_claim(toy.body(child_id="another")).status_code, 200)


class StoreCannot(Case):
    CONFIG = {"claims_per_device_min": 0, "metrics_listen": "127.0.0.1:0"}

    def test_503_when_the_tables_are_gone(self):
        toy = self.server.add()
        body = toy.body()
        with self.server.broken_store():
            answer = toy.post_claim(body)
            self.problem(answer, 503)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
            self.assertEqual(self.server.get("/readyz").status_code, 503)
            self.assertEqual(self.server.get("/healthz").status_code, 200)
        # Nothing was kept of it, and the server found its feet again.
        self.assertEqual(toy.post_claim(body).status_code, 200)
        self.assertEqual(self.server.get("/readyz").status_code, 200)

    def test_503_when_the_disk_is_full(self):
        """A limit on the size of files stands for the disk: its writes fail in the same place."""
        toy = self.server.add()
        bodies = [toy.body() for _ in range(30)]
        pid, infinite, used = self.server.process.pid, resource.RLIM_INFINITY, 0
        lines = len(self.server.log.lines)
        sizes = [os.path.getsize(os.path.join(self.server.data, f)) for f in os.listdir(self.server.data)]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(sizes) + 4096, infinite))
        try:
            while (answer := toy.post_claim(bodies[used])).status_code == 200:
                used += 1
            self.problem(answer, 503, "store_unavailable")
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
            self.assertEqual(self.server.get("/readyz").status_code, 200)  # it can still be read
            added = self.server.ctl("device", "add", "one-too-many", check=False)
            self.assertEqual((added.returncode, added.stdout), (1, ""))
            self.server.log.wait("level=error event=store_failed .*do=", start=lines)
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (infinite, infinite))
        # The claim that failed left nothing; the ones before it are known.
        self.assertEqual(toy.post_claim(bodies[used]).status_code, 200)
        for body in bodies[:used + 1]:
            self.problem(toy.post_claim(body), 409)
        self.assertEqual(self.server.ctl("device", "show", "one-too-many", check=False).returncode, 1)

    def test_what_is_lost_with_others_was_never_accepted(self):
        """The same claim several times in one transaction, which the disk does not take: none is a replay."""
        toy, many = self.server.add(), 6
        pid, infinite = self.server.process.pid, resource.RLIM_INFINITY
        sizes = [os.path.getsize(os.path.join(self.server.data, f)) for f in os.listdir(self.server.data)]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(sizes) + 4096, infinite))
        try:
            while toy.post_claim().status_code == 200:
                pass
            body = toy.body()
            with ThreadPoolExecutor(many + 1) as pool, closing(self.server.database()) as db:
                db.execute("begin immediate")  # holds one claim in the writer, and the others behind it
                first = pool.submit(toy.post_claim, toy.body())
                answers = [pool.submit(toy.post_claim, body) for _ in range(many)]
                while self.server.metric("teddy_store_waiting") < many // 2 and not first.done():
                    pass
                db.execute("rollback")
                for answer in [first, *answers]:
                    self.problem(answer.result(), 503, "store_unavailable")
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (infinite, infinite))
        self.assertEqual(toy.post_claim(body).status_code, 200)

    def test_503_when_another_process_holds_the_store(self):
        toy = self.server.add()
        body = toy.body()
        with closing(self.server.database()) as db:
            db.execute("begin exclusive")
            answer = toy.post_claim(body)
            db.execute("rollback")
        self.problem(answer, 503)
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(toy.post_claim(body).status_code, 200)


if __name__ == "__main__":
    main()
