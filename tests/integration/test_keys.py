"""The keys of the tokens: added, rotated and retired while toys talk, claim and refresh; what others verify with; what a crash
leaves; wrong uses."""

import asyncio
import base64
import calendar
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import jwt

from harness import PATIENCE, Case, RawWs, Server, closed, main, program, rounds

JWKS = "/.well-known/jwks.json"
MAX_AGE = 300
SLACK = 60
FREE = {"claims_per_device_min": 0, "refreshes_per_device_min": 0, "requests_per_address_min": 0}


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def alg_of(token):
    return jwt.get_unverified_header(token)["alg"]


def keys(server):
    return json.loads(server.ctl("key", "list", "--json").stdout)["keys"]


def signer(server):
    found = [k for k in keys(server) if k["state"] == "signing"]
    assert len(found) == 1, found
    return found[0]


def published(server):
    return {k["kid"]: jwt.PyJWK(k).key for k in server.get(JWKS).json()["keys"]}


def seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def file_of(server):
    return os.path.join(server.data, "jwt-keys.json")


def edit(server, change):
    """Lets change(key) loose on the keys of a stopped server."""
    with open(file_of(server)) as f:
        document = json.load(f)
    for key in document["keys"]:
        change(key)
    with open(file_of(server), "w") as f:
        json.dump(document, f)


class Verifier:
    """Another service: it keeps the JWKS for as long as it may, and asks again only then."""

    def __init__(self, server):
        self.server, self.until, self.keys = server, 0, {}

    def verify(self, token):
        if time.monotonic() >= self.until:
            answer = self.server.get(JWKS)
            self.until = time.monotonic() + int(answer.headers["Cache-Control"].split("max-age=")[1])
            self.keys = {k["kid"]: jwt.PyJWK(k).key for k in answer.json()["keys"]}
        return jwt.decode(token, self.keys[kid_of(token)], algorithms=["ES256"], audience="teddy-devices", issuer="teddy")


class Rotation(Case):
    CONFIG = {**FREE, "loops": 3}

    def test_a_secret_key_signs_at_once(self):
        toy = self.server.add()
        old = toy.claim()
        before = int(time.time())
        made = json.loads(self.server.ctl("key", "add", "--alg", "HS256", "--json").stdout)
        after = int(time.time())
        self.assertEqual((made["alg"], made["state"], made["signs_from"], made["retired"]), ("HS256", "signing", None, None))
        self.assertTrue(before <= seconds(made["made"]) <= after)
        self.assertEqual(kid_of(self.server.add().claim()["access"]), made["kid"])
        row = next(k for k in keys(self.server) if k["kid"] == kid_of(old["access"]))
        self.assertEqual(row["state"], "verifying")
        self.assertEqual(seconds(row["verifies_until"]) - seconds(row["retired"]), 5184000 + SLACK)
        new = toy.post_refresh(old["refresh"]).json()
        self.assertEqual(kid_of(new["refresh"]), made["kid"])
        self.assertEqual(published(self.server).get(made["kid"]), None)

    def test_a_public_key_is_published_before_it_signs(self):
        server = Server(**self.UNLIMITED)
        try:
            others = Verifier(server)
            others.until = time.monotonic() + MAX_AGE  # it has read the keys a moment ago: there were none
            asked = int(time.time())
            made = json.loads(server.ctl("key", "add", "--alg", "ES256", "--json").stdout)
            self.assertEqual(made["state"], "pending")
            self.assertGreaterEqual(seconds(made["signs_from"]), asked + MAX_AGE)
            self.assertIn(made["kid"], published(server))
            toy = server.add()
            self.assertEqual(alg_of(toy.claim()["access"]), "HS256")
            # Its time comes while the server runs, and nobody asks for it.
            server.terminate()
            due = int(time.time()) + 2
            edit(server, lambda key: key.update(signs_at=due) if key["kid"] == made["kid"] else None)
            server.start()
            pair = toy.claim()
            if time.time() < due:
                self.assertEqual(alg_of(pair["access"]), "HS256")
            others.until = 0
            server.log.wait(rf"event=jwt_keys .*signs={made['kid']}")
            pair = toy.claim()
            self.assertEqual(kid_of(pair["access"]), made["kid"])
            self.assertEqual(others.verify(pair["access"])["use"], "access")
            # It signs no more, and is published until the last of its tokens has expired.
            server.ctl("key", "add", "--alg", "HS256")
            self.assertIn(made["kid"], published(server))
            self.assertEqual(toy.post_refresh(pair["refresh"]).status_code, 200)
            server.terminate()
            due = int(time.time()) + 3
            edit(server, lambda key: key.update(retired_at=due - 5184000 - SLACK) if key["kid"] == made["kid"] else None)
            server.start()
            shown = published(server)
            if time.time() < due:
                self.assertIn(made["kid"], shown)
            server.log.wait(r"event=jwt_keys .*keys=2")
            self.assertNotIn(made["kid"], published(server))
            with open(file_of(server)) as f:
                self.assertNotIn(made["kid"], f.read())
        finally:
            server.close()

    def test_openssl_verifies_with_the_published_key(self):
        made = json.loads(self.server.ctl("key", "add", "--alg", "ES256", "--now", "--json").stdout)
        token = self.server.add().claim()["access"]
        self.assertEqual(kid_of(token), made["kid"])
        jwk = next(k for k in self.server.get(JWKS).json()["keys"] if k["kid"] == made["kid"])
        self.assertEqual(set(jwk), {"kty", "crv", "x", "y", "kid", "alg", "use"})

        def number(text):
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

        def der(data):
            data = data.lstrip(b"\0")
            data = b"\0" + data if data[0] & 0x80 else data
            return b"\x02" + bytes([len(data)]) + data
        signed, tail = token.rsplit(".", 1)
        r, s = der(number(tail)[:32]), der(number(tail)[32:])
        spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + number(jwk["x"]) + number(jwk["y"])
        with tempfile.TemporaryDirectory() as folder:
            for name, data in (("key.der", spki), ("sig", b"\x30" + bytes([len(r + s)]) + r + s), ("text", signed.encode()),
                               ("other", signed.encode() + b"x")):
                with open(os.path.join(folder, name), "wb") as f:
                    f.write(data)
            for text, good in (("text", True), ("other", False)):
                done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key.der", "-keyform", "DER", "-signature", "sig",
                                       text], cwd=folder, capture_output=True, timeout=PATIENCE)
                self.assertEqual(done.returncode == 0, good, done.stderr)

    async def test_a_key_that_somebody_has(self):
        """Retired at once: its tokens are refused, sessions that began with one are closed, others are not."""
        old_toy, refreshed_toy = self.server.add(), self.server.add()
        old, pair = old_toy.claim(), refreshed_toy.claim()
        victim = kid_of(old["access"])
        async with old_toy.connect(old["access"]) as one, refreshed_toy.connect(pair["access"]) as two:
            self.server.ctl("key", "add", "--alg", "HS256")
            new_toy = self.server.add()
            new = new_toy.claim()
            self.assertNotEqual(kid_of(new["access"]), victim)
            await two.send(json.dumps({"type": "hello", "sdk": "it", "firmware": "1"}))
            await two.send(json.dumps({"type": "refresh", "refresh": pair["refresh"]}))
            while True:
                message = json.loads(await asyncio.wait_for(two.recv(), PATIENCE))
                if message["type"] == "tokens":
                    break
            async with new_toy.connect(new["access"]) as three:
                self.assertEqual(json.loads(self.server.ctl("key", "retire", victim, "--json").stdout)["state"], "verifying")
                await one.send("still here")
                self.assertEqual(json.loads(await asyncio.wait_for(one.recv(), PATIENCE))["type"], "echo")
                gone = json.loads(self.server.ctl("key", "retire", victim, "--now", "--json").stdout)
                self.assertEqual((gone["kid"], gone["state"]), (victim, "retired"))
                code, reason = await closed(one)
                self.assertEqual((code, reason.split(" ")[0]), (1008, "token_revoked"))
                for ws, why in ((two, "it has tokens of another key by now"), (three, "it never had any of that key")):
                    await ws.send("hello")
                    while json.loads(await asyncio.wait_for(ws.recv(), PATIENCE))["type"] != "echo":
                        pass
        await self.refused(old_toy.connect(old["access"]), 1008, "bad_token")
        self.problem(old_toy.post_refresh(old["refresh"]), 401, "bad_token")
        self.assertEqual(old_toy.post_claim().status_code, 200)
        self.assertNotIn(victim, [k["kid"] for k in keys(self.server)])

    async def test_the_signer_itself(self):
        toy = self.server.add()
        pair = toy.claim()
        victim = kid_of(pair["access"])
        async with toy.connect(pair["access"]) as ws:
            gone = json.loads(self.server.ctl("key", "retire", victim, "--now", "--json").stdout)
            self.assertEqual((await closed(ws))[0], 1008)
        self.assertEqual(signer(self.server)["kid"], gone["successor"])
        self.assertEqual(kid_of(toy.claim()["access"]), gone["successor"])
        again = json.loads(self.server.ctl("key", "retire", gone["successor"], "--json").stdout)
        self.assertIn(again["state"], ("verifying", "signing"))  # signing: an ES256 key waits for its successor
        self.assertEqual(toy.post_claim().status_code, 200)

    def test_a_key_of_a_hundred_others_under_load_is_freed(self):
        """Sets are replaced under readers; a sanitizer sees one that is read after it was freed."""
        stop, failures = threading.Event(), []

        def read():
            with self.server.session() as s:
                while not stop.is_set():
                    answer = s.get(self.server.url + JWKS, timeout=PATIENCE)
                    if answer.status_code != 200 or "keys" not in answer.json():
                        failures.append(answer.text)
        threads = [threading.Thread(target=read) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            for _ in range(rounds(50, 15)):
                status, made = self.server.admin("POST", "/keys", b'{"alg":"ES256","now":true}')
                self.assertEqual(status, 201)
                status, _ = self.server.admin("POST", f"/keys/{made['kid']}/retire", b'{"now":true}')
                self.assertEqual(status, 200)
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.assertEqual(failures, [])


class Load(unittest.TestCase):
    """Toys with open sessions that claim, refresh and come back, while the keys go round under them."""

    THREADS = rounds(6, 3)

    def toy_life(self, server, stop, counts, failures, changed):
        try:
            talker, walker = server.add(), server.add()
            pair = talker.claim()
            with RawWs(server, f"/ws/esp32/{talker.device_id}?token={pair['access']}") as open_all_along:
                while not stop.is_set():
                    pair = walker.claim()
                    for _ in range(3):
                        answer = walker.post_refresh(pair["refresh"])
                        self.assertEqual(answer.status_code, 200, answer.text)
                        pair = answer.json()
                        counts["refreshes"] += 1
                        with RawWs(server, f"/ws/esp32/{walker.device_id}?token={pair['access']}") as ws:
                            ws.text("hello")
                            self.echo(ws)
                            counts["sessions"] += 1
                    open_all_along.text("still here")
                    self.echo(open_all_along)
                    with changed:
                        counts["algs"].add(alg_of(pair["access"]))
                        counts["kids"].add(kid_of(pair["access"]))
                        changed.notify()
        except Exception as e:  # a toy that was refused, or whose session ended
            with changed:
                failures.append(repr(e))
                changed.notify()

    def echo(self, ws):
        while True:
            opcode, payload = ws.receive()
            if opcode == 8:
                raise AssertionError(f"closed: {payload}")
            if opcode == 1 and json.loads(payload)["type"] == "echo":
                return

    def test_no_session_ends_and_no_valid_token_is_refused(self):
        server = Server(**Case.UNLIMITED, **FREE, loops=2)
        stop, failures, changed = threading.Event(), [], threading.Condition()
        counts = [{"refreshes": 0, "sessions": 0, "algs": set(), "kids": set()} for _ in range(self.THREADS)]
        threads = [threading.Thread(target=self.toy_life, args=(server, stop, c, failures, changed)) for c in counts]
        try:
            first = server.add()
            oldest = first.claim()
            for t in threads:
                t.start()
            for turn in range(9):
                alg = ("ES256", "HS256", "HS256")[turn % 3]
                made = json.loads(server.ctl("key", "add", "--alg", alg, "--now", "--json").stdout)
                self.assertEqual((made["alg"], made["state"]), (alg, "signing"))
                if turn % 3 == 2:  # a second way to the same end
                    retired = json.loads(server.ctl("key", "retire", made["kid"], "--json").stdout)
                    self.assertEqual(retired["state"], "verifying")
                    made["kid"] = retired["successor"]
                # every toy has tokens of the new key before it goes
                with changed:
                    there = changed.wait_for(lambda: failures or all(made["kid"] in c["kids"] for c in counts), PATIENCE)
                self.assertTrue(there, f"nobody has a token of {made}")
                if failures:
                    break
            stop.set()
            for t in threads:
                t.join()
            self.assertEqual(failures, [])
            for c in counts:
                self.assertEqual(c["algs"], {"HS256", "ES256"})
            shown = keys(server)
            self.assertEqual([k["state"] for k in shown], ["verifying"] * (len(shown) - 1) + ["signing"])
            self.assertEqual(len(shown), 1 + 9 + 3)
            self.assertEqual(first.post_refresh(oldest["refresh"]).status_code, 200)  # thirteen keys later
        finally:
            stop.set()
            for t in threads:
                if t.ident:
                    t.join()
            server.close()


class Crash(unittest.TestCase):
    ROUNDS = rounds(12, 4)

    def whole(self, server):
        """The file as it must be found after whatever crash."""
        with open(file_of(server)) as f:
            document = json.load(f)
        self.assertTrue(document["keys"])
        self.assertEqual(os.stat(file_of(server)).st_mode & 0o777, 0o600)
        return {k["kid"] for k in document["keys"]}

    def test_a_server_killed_at_it(self):
        server = Server(**Case.UNLIMITED, **FREE)
        try:
            toy = server.add()
            pair, had = toy.claim(), set()
            for _ in range(self.ROUNDS):
                answered = threading.Semaphore(0)

                def change():
                    """Adds and forgets until the server is gone; what was answered is durable."""
                    while True:
                        try:
                            status, made = server.admin("POST", "/keys", random.choice((b'{"alg":"ES256","now":true}',
                                                                                        b'{"alg":"HS256"}')))
                            self.assertEqual(status, 201)
                            had.add(made["kid"])
                            answered.release()
                            if len(had) > 8:
                                victim = random.choice(sorted(had))
                                had.discard(victim)
                                server.admin("POST", f"/keys/{victim}/retire", b'{"now":true}')
                        except (OSError, ValueError, AssertionError, IndexError):
                            return
                changer = threading.Thread(target=change)
                changer.start()
                for _ in range(random.randrange(1, 6)):  # it is under way
                    self.assertTrue(answered.acquire(timeout=PATIENCE))
                time.sleep(random.random() / 30)
                server.kill()
                changer.join()
                kids = self.whole(server)
                self.assertLessEqual(had - kids, set(), "an answered key is gone")
                server.start()
                self.assertEqual([f for f in os.listdir(server.data) if f.startswith("jwt-keys")], ["jwt-keys.json"])
                answer = toy.post_refresh(pair["refresh"])
                if kid_of(pair["refresh"]) in kids:
                    self.assertEqual(answer.status_code, 200, answer.text)
                    pair = answer.json()
                else:
                    self.assertEqual(answer.status_code, 401)
                    pair = toy.claim()
                signer(server)
        finally:
            server.close()

    def test_teddyctl_killed_at_it(self):
        server = Server(**Case.UNLIMITED, **FREE)
        try:
            toy = server.add()
            pair = toy.claim()
            mine = kid_of(pair["refresh"])
            server.terminate()
            before = self.whole(server)
            for _ in range(self.ROUNDS * 3):
                last = sorted(k["kid"] for k in keys(server))
                add = ["key", "add"] + random.choice((["--alg", "HS256"], ["--alg", "ES256", "--now"]))
                victim = random.choice([k for k in last if k != mine] or last)
                retire = ["key", "retire", victim] + (["--now"] if len(last) > 8 else [])
                words = random.choice((add, retire)) if victim != mine else add
                process = subprocess.Popen([program("teddyctl"), "--data", server.data, *words], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                time.sleep(random.random() / 30)
                process.send_signal(signal.SIGKILL)
                process.wait()
                kids = self.whole(server)
                self.assertLessEqual(len(before ^ kids), 2, "a change is whole or not at all")
                before = kids
            server.start()
            self.assertEqual([f for f in os.listdir(server.data) if f.startswith("jwt-keys")], ["jwt-keys.json"])
            self.assertEqual(toy.post_refresh(pair["refresh"]).status_code, 200)
            signer(server)
        finally:
            server.close()


class Uses(Case):
    """What is asked for in a wrong way, of a server and of its data directory alone."""

    def offline(self):
        server = Server(start=False)
        server.log = self.server.log
        self.addCleanup(shutil.rmtree, server.data, ignore_errors=True)
        return server

    def refused(self, server, status, pattern, *words):
        done = server.ctl(*words, check=False)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertRegex(done.stderr, pattern)

    def test_wrong_words(self):
        offline = self.offline()
        offline.ctl("key", "add")
        for server in (self.server, offline):
            before = server.ctl("key", "list").stdout
            self.refused(server, 1, "There is no key 0123456789abcdef.*key list", "key", "retire", "0123456789abcdef")
            self.refused(server, 1, "There is no key", "key", "retire", "0123456789abcdef", "--now")
            self.refused(server, 2, "is no kid", "key", "retire", "a/b")
            self.refused(server, 2, "is no kid", "key", "retire", "k" * 33)
            self.refused(server, 2, "is missing", "key", "retire")
            self.refused(server, 2, "is too much", "key", "retire", "a", "b")
            self.refused(server, 2, "is too much", "key", "add", "a")
            self.refused(server, 2, "HS256 or ES256", "key", "add", "--alg", "RS256")
            self.refused(server, 2, "HS256 or ES256", "key", "add", "--alg", "es256")
            self.refused(server, 2, "needs a value", "key", "add", "--alg")
            self.refused(server, 2, "takes no --alg", "key", "retire", "abc", "--alg", "ES256")
            self.refused(server, 2, "takes no --now", "key", "list", "--now")
            self.refused(server, 2, "takes no --now", "device", "list", "--now")
            self.refused(server, 2, "unknown command", "key", "rotate")
            self.assertEqual(server.ctl("key", "list").stdout, before)

    def test_wrong_requests(self):
        before = keys(self.server)
        kid = before[0]["kid"]
        for path, body, status, code in (
                ("/keys", b"[]", 400, "bad_json"), ("/keys", b"{", 400, "bad_json"),
                ("/keys", b'{"alg":"none"}', 422, "bad_members"), ("/keys", b'{"alg":5}', 422, "bad_members"),
                ("/keys", b'{"now":1}', 422, "bad_members"), ("/keys", b'{"kid":"mine"}', 422, "bad_members"),
                ("/keys", b'{"now":true,"now":true}', 400, "bad_json"),
                (f"/keys/{kid}/retire", b'{"alg":"ES256"}', 422, "bad_members"),
                ("/keys/unknown/retire", b"{}", 404, "key_not_found"),
                (f"/keys/{'k' * 33}/retire", b"{}", 404, "key_not_found"),
                ("/keys/a%00b/retire", b"{}", 404, None)):
            with self.subTest(path=path, body=body):
                got, problem = self.server.admin("POST", path, body)
                self.assertEqual(got, status if code else got, problem)
                self.assertGreaterEqual(got, 400)
                if code:
                    self.assertEqual(problem["code"], code)
        self.assertEqual(keys(self.server), before)
        for method, path in (("GET", "/keys"), ("POST", "/keys"), ("POST", f"/keys/{kid}/retire")):
            answer = self.server.request(method, "/api/v1/admin" + path)
            self.assertEqual(answer.status_code, 404)  # not on the public listener

    def test_nothing_secret_is_shown_or_logged(self):
        self.server.ctl("key", "add", "--alg", "ES256")
        private = [k.get("d") or k.get("k") for k in self.server.signing_keys()]
        shown = (json.dumps(self.server.admin("GET", "/keys")[1]) + self.server.ctl("key", "list", "--json").stdout +
                 self.server.get(JWKS).text + self.server.all_logs())
        for secret in private:
            self.assertNotIn(secret, shown)

    def test_a_directory_without_keys(self):
        server = self.offline()
        self.assertEqual(server.ctl("key", "list").stdout, "")
        self.assertFalse(os.path.exists(file_of(server)))
        made = json.loads(server.ctl("key", "add", "--alg", "ES256", "--json").stdout)
        self.assertEqual(made["state"], "signing")  # nobody has read the keys before, as there were none
        server.start()
        try:
            self.assertEqual(kid_of(server.add().claim()["access"]), made["kid"])
        finally:
            server.terminate()
        self.assertEqual(json.loads(server.ctl("key", "list", "--json").stdout)["keys"][0]["state"], "signing")

    def test_a_file_that_cannot_be_written(self):
        """Nothing is changed, and the answer says why."""
        server = Server(**self.UNLIMITED)
        try:
            toy = server.add()
            pair = toy.claim()
            os.mkdir(file_of(server) + ".new")
            self.refused(server, 1, "cannot be written", "key", "add")
            self.refused(server, 1, "cannot be written", "key", "retire", kid_of(pair["access"]), "--now")
            self.assertEqual(len(keys(server)), 1)
            self.assertEqual(toy.post_refresh(pair["refresh"]).status_code, 200)
            os.rmdir(file_of(server) + ".new")
            server.ctl("key", "add")
        finally:
            server.close()


if __name__ == "__main__":
    main()
