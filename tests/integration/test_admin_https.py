"""The admin API over HTTPS: only when configured, only for who bears an admin token in force, of the role, within its scope."""

import asyncio
import base64
import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
import time

import harness

ROLES = ("viewer", "operator", "owner")


class Https(harness.Case):
    CONFIG = {"admin_listen": "0"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tokens = {role: cls.server.admin_token(role) for role in ROLES}
        cls.addresses = iter(f"127.0.{a}.{b}" for a in range(1, 250) for b in range(1, 250))

    def ask(self, method, path, token, **kw):
        return self.server.ask_admin(method, path, token, **kw)

    def refused(self, status, code, method, path, token, **kw):
        """From an address of its own: refusals are limited by address."""
        return self.problem(self.ask(method, path, token, source=next(self.addresses), **kw), status, code)

    def raw(self, head, source=None):
        """A request as bytes to the admin listener; its answer."""
        port = int(re.search(r":(\d+)/", self.server.admin_url())[1])
        plain = socket.create_connection(("127.0.0.1", port), harness.PATIENCE, (source or next(self.addresses), 0))
        with self.server.tls().wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(head.encode() + b"Host: localhost\r\nConnection: close\r\n\r\n")
            return harness.read_all(s)


class Bearer(Https):
    def test_the_bearer_administers(self):
        self.assertIn("host=127.0.0.1", self.server.log.wait(r"admin_listening .*")[0])  # a bare port is on loopback
        added = self.ask("POST", "/devices", self.tokens["owner"], json={"device_id": "by-https"})
        self.assertEqual(added.status_code, 201, added.text)
        self.assertRegex(added.json()["oob_secret"], r"^[0-9a-f]{64}$")
        self.assertIn("by-https", self.server.ctl("device", "list").stdout)

    def test_nobody_else_does(self):
        token = self.tokens["owner"]
        other = token[:13] + secrets.token_urlsafe(32)  # the right id, another secret
        unknown = f"tdy_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
        self.assertEqual(len(other), len(token))
        for authorization in (None, "Bearer", "Bearer ", "Bearer " + token[:-1], "Bearer " + token + "x", "Basic " + token, token,
                              "Bearer  " + token, "Bearer " + other, "Bearer " + unknown, "Bearer " + token.upper(),
                              "Bearer " + token[4:], f'Bearer "{token}"', f"Bearer {token},{token}", "Bearer tdy_" + "'" * 52,
                              "Basic " + base64.b64encode(f"admin:{token}".encode()).decode()):
            with self.subTest(authorization):
                headers = {"Authorization": authorization} if authorization else {}
                answer = self.server.ask_admin("GET", "/devices", source=next(self.addresses), headers=headers)
                self.problem(answer, 401, "bad_admin_token")
                self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")
        self.assertEqual(self.ask("GET", "/devices", token).status_code, 200)

    def test_a_token_in_the_query(self):
        token = self.tokens["owner"]
        for name in ("access_token", "token", "admin_token"):
            for bearer in (None, token):
                self.refused(400, "token_in_query", "GET", f"/devices?{name}={token}", bearer)
        self.refused(400, "token_in_query", "GET", f"/devices?limit=1&token={token}&token={token}", token)
        self.assertNotIn(token, self.server.all_logs())

    def test_hostile_heads(self):
        field = f"Authorization: Bearer {self.tokens['owner']}\r\n"
        get = "GET /api/v1/admin/status HTTP/1.1\r\n"
        for head, status in ((get + field, 200), (get + field * 2, 401), (get + field + "Authorization: Bearer x\r\n", 401),
                             (get + "Authorization: Bearer x\r\n" + field, 401), (get + field.replace(": ", ":\t"), 200),
                             (get + field.replace("Bearer", "bEARER"), 200), (get + "Authorization : " + field[15:], 400),
                             (get + "Authorization: Bearer " + "A" * 7000 + "\r\n", 401),
                             (get + "Authorization: Bearer " + "A" * 20000 + "\r\n", 431),
                             (get + "Proxy-" + field, 401), (get + "X-Forwarded-User: root\r\n", 401)):
            with self.subTest(head[:80]):
                self.assertEqual(harness.status_of(self.raw(head)), status)

    def test_a_stranger_s_body_is_not_read(self):
        viewer = f"Authorization: Bearer {self.tokens['viewer']}\r\n"
        for path in ("/devices/import", "/batches"):
            for field, status, code in (("", 401, b"bad_admin_token"), (viewer, 403, b"role_too_low")):
                with self.subTest(path, status=status):
                    answer = self.raw(f"POST /api/v1/admin{path} HTTP/1.1\r\nContent-Type: text/csv\r\n"
                                      f"Content-Length: {16 << 20}\r\n" + field)  # and nothing of it
                    self.assertEqual(harness.status_of(answer), status)
                    self.assertIn(code, answer)

    def test_roles(self):
        toy = self.server.add()
        device = "/devices/" + toy.device_id
        for method, path, needed in (("GET", "/devices", "viewer"), ("GET", device, "viewer"), ("GET", device + "/messages", "viewer"),
                                     ("GET", "/sessions", "viewer"), ("HEAD", "/status", "viewer"), ("GET", "/routes", "viewer"),
                                     ("GET", "/batches", "viewer"), ("GET", "/keys", "operator"),
                                     ("POST", device + "/disable", "operator"), ("POST", device + "/enable", "operator"),
                                     ("POST", device + "/revoke", "operator"), ("POST", device + "/release", "operator"),
                                     ("GET", device + "/families", "viewer"), ("POST", device + "/release-rotate", "owner"),
                                     ("DELETE", device + "/messages", "operator"), ("GET", "/admin-tokens", "owner"),
                                     ("HEAD", "/admin-tokens", "owner"), ("POST", device + "/rotate-secret", "owner"),
                                     ("POST", "/children/nobody/forget", "owner"), ("DELETE", device, "owner")):
            for role in ROLES:
                with self.subTest(f"{method} {path}", role=role):
                    answer = self.ask(method, path, self.tokens[role])
                    if ROLES.index(role) >= ROLES.index(needed):
                        self.assertEqual(answer.status_code, 200, answer.text)
                    elif method == "HEAD":
                        self.assertEqual(answer.status_code, 403)
                    else:
                        detail = self.problem(answer, 403, "role_too_low")["detail"]
                        self.assertEqual(detail, f"This needs the role {needed}; the token has {role}.")
        self.assertNotIn(toy.device_id, self.server.ctl("device", "list").stdout)

    def test_who_did_it_is_in_the_log(self):
        toy = self.server.add()
        self.ask("POST", f"/devices/{toy.device_id}/disable", self.tokens["operator"])
        self.server.log.wait(rf"event=admin handler=admin_device_disable id={toy.device_id} "
                             rf"actor=token:{self.tokens['operator'].split('_')[1]} status=200")
        self.server.ctl("device", "enable", toy.device_id)
        self.server.log.wait(rf"event=admin handler=admin_device_enable id={toy.device_id} actor=uid:{os.geteuid()} ")
        kid = self.ask("POST", "/keys", self.tokens["owner"]).json()["kid"]
        self.server.log.wait(rf"event=admin handler=admin_key_add id={kid} actor=token:{self.tokens['owner'].split('_')[1]} status=201")
        self.ask("POST", f"/devices/{toy.device_id}/disable", self.tokens["viewer"])
        self.server.log.wait(rf"event=admin_refused handler=admin_device_disable code=role_too_low "
                             rf"actor=token:{self.tokens['viewer'].split('_')[1]} ")

    def test_the_public_listener_has_no_admin_api(self):
        answer = self.server.request("GET", "/api/v1/admin/devices",
                                     headers={"Authorization": "Bearer " + self.tokens["owner"]})
        self.problem(answer, 404)

    def test_tokens_are_nowhere_in_the_clear(self):
        made = self.ask("POST", "/admin-tokens", self.tokens["owner"], json={"role": "viewer", "name": "kept nowhere"}).json()
        self.assertEqual(self.ask("GET", "/devices", made["token"]).status_code, 200)
        for text in (made["token"], *self.tokens.values()):
            self.assertNotIn(text, self.server.all_logs())
            self.assertNotIn(text, self.server.ctl("--json", "admin-token", "list").stdout)
            for name in os.listdir(self.server.data):
                path = os.path.join(self.server.data, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        kept = f.read()
                    self.assertNotIn(text.encode(), kept, name)
                    self.assertNotIn(text.split("_", 2)[2].encode(), kept, name)


class Scope(Https):
    """A token with a prefix is good for devices whose id begins with it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mine = cls.server.add("EU-1")
        cls.more = cls.server.add("EU-2")
        cls.other = cls.server.add("US-1")
        cls.scoped = cls.server.admin_token("owner", "--prefix", "EU-")

    def test_devices_of_the_prefix(self):
        for method, path in (("GET", ""), ("POST", "/disable"), ("POST", "/enable"), ("POST", "/rotate-secret"), ("GET", "/messages"),
                             ("POST", "/revoke"), ("POST", "/release"), ("DELETE", "/messages"), ("GET", "/families"),
                             ("POST", "/release-rotate")):
            with self.subTest(method + path):
                self.assertEqual(self.ask(method, "/devices/EU-1" + path, self.scoped).status_code, 200)
                for device in ("US-1", "EU", "eu-1", "xEU-1"):
                    detail = self.problem(self.ask(method, f"/devices/{device}{path}", self.scoped), 403, "out_of_scope")["detail"]
                    self.assertIn("EU-", detail)
        sid = harness.sid_of(self.more.claim()["access"])
        self.problem(self.ask("POST", f"/devices/US-1/families/{sid}/revoke", self.scoped), 403, "out_of_scope")
        self.assertEqual(self.ask("POST", f"/devices/EU-2/families/{sid}/revoke", self.scoped).status_code, 200)

    def test_nothing_else(self):
        there = self.server.admin_token("viewer").split("_")[1]
        for method, path, body in (("POST", "/devices", {"device_id": "EU-9"}), ("POST", "/devices/import", None), ("GET", "/status", None),
                                   ("GET", "/routes", None), ("POST", "/children/EU-1/forget", None), ("POST", "/drain", None),
                                   ("GET", "/admin-tokens", None), ("POST", "/admin-tokens", {"role": "owner"}),
                                   ("POST", f"/admin-tokens/{there}/revoke", None), ("GET", "/keys", None), ("POST", "/keys", {}),
                                   ("POST", "/keys/x/retire", {}), ("GET", "/batches", None), ("POST", "/batches", None),
                                   ("POST", "/devices/import?prefix=EU-", None)):
            with self.subTest(method + path):
                self.problem(self.ask(method, path, self.scoped, json=body), 403, "out_of_scope")
        self.assertIsNone(self.server.process.poll())

    def test_the_role_still_counts(self):
        viewer = self.server.admin_token("viewer", "--prefix", "EU-")
        self.problem(self.ask("POST", "/devices/EU-1/disable", viewer), 403, "role_too_low")
        self.problem(self.ask("POST", "/devices/US-1/disable", viewer), 403, "role_too_low")
        self.problem(self.ask("GET", "/devices/US-1", viewer), 403, "out_of_scope")

    def test_lists_show_only_those(self):
        self.assertEqual([d["device_id"] for d in self.ask("GET", "/devices", self.scoped).json()["devices"]], ["EU-1", "EU-2"])
        page = self.ask("GET", "/devices?limit=1", self.scoped).json()
        self.assertEqual(([d["device_id"] for d in page["devices"]], page["next"]), (["EU-1"], "EU-1"))
        page = self.ask("GET", "/devices?limit=1&after=EU-1", self.scoped).json()
        self.assertEqual(([d["device_id"] for d in page["devices"]], page["next"]), (["EU-2"], None))
        self.assertEqual(self.ask("GET", "/devices?after=EU-2", self.scoped).json()["devices"], [])
        self.assertEqual(self.ask("GET", "/devices?after=A", self.server.admin_token("viewer", "--prefix", "nobody")).json(),
                         {"devices": [], "next": None})

    async def test_sessions_likewise(self):
        opened = []
        for toy in (self.mine, self.more, self.other):
            toy.secret = json.loads(self.server.ctl("device", "rotate-secret", toy.device_id).stdout)["oob_secret"]
            ws = await toy.connect(toy.claim()["access"])
            await harness.hello(ws)
            opened.append(ws)
        shown = await asyncio.to_thread(lambda: self.ask("GET", "/sessions", self.scoped).json())
        self.assertEqual((sorted(s["device_id"] for s in shown["sessions"]), shown["total"]), (["EU-1", "EU-2"], 2))
        shown = await asyncio.to_thread(lambda: self.ask("GET", "/sessions?limit=1", self.scoped).json())
        self.assertEqual((len(shown["sessions"]), shown["total"]), (1, 2))
        shown = await asyncio.to_thread(lambda: self.ask("GET", "/sessions", self.tokens["viewer"]).json())
        self.assertEqual(shown["total"], 3)
        for ws in opened:
            await ws.close()


class Life(Https):
    """What is made, listed, revoked and outlived."""

    def rows(self, *args):
        return {t["id"]: t for t in json.loads(self.server.ctl("--json", "admin-token", "list", *args).stdout)["tokens"]}

    def test_made_by_the_api_and_by_teddyctl(self):
        made = self.ask("POST", "/admin-tokens", self.tokens["owner"],
                        json={"role": "operator", "name": "night shift", "prefix": "EU-", "expires_in": 600}).json()
        self.assertRegex(made["token"], rf"^tdy_{made['id']}_[A-Za-z0-9_-]{{43}}$")
        row = self.rows()[made["id"]]
        self.assertEqual({**row, "token": made["token"]}, made)
        self.assertEqual((row["role"], row["name"], row["prefix"], row["used"], row["revoked"]),
                         ("operator", "night shift", "EU-", None, None))
        by_ctl = self.server.ctl("--json", "admin-token", "create", "--role", "viewer", "--ttl", "12h").stdout
        made = json.loads(by_ctl)
        self.assertEqual(self.ask("GET", "/devices", made["token"]).status_code, 200)
        self.problem(self.ask("POST", "/admin-tokens", self.tokens["operator"], json={"role": "owner"}), 403, "role_too_low")

    def test_revoked_at_once_and_for_good(self):
        token = self.server.admin_token("viewer")
        other = self.server.admin_token("viewer")
        with self.server.session() as s:  # on a connection that is open, too
            def get():
                return s.get(self.server.admin_url() + "/devices", headers={"Authorization": "Bearer " + token}, timeout=harness.PATIENCE)
            self.assertEqual(get().status_code, 200)
            self.assertEqual(self.server.ctl("admin-token", "revoke", token.split("_")[1]).stdout, token.split("_")[1] + " revoked\n")
            self.problem(get(), 401, "bad_admin_token")
        self.assertEqual(self.ask("GET", "/devices", other).status_code, 200)
        path = f"/admin-tokens/{other.split('_')[1]}/revoke"
        self.assertEqual(self.ask("POST", path, self.tokens["owner"]).status_code, 200)
        self.refused(401, "bad_admin_token", "GET", "/devices", other)
        before = self.rows()
        self.assertIsNotNone(before[other.split("_")[1]]["revoked"])
        self.assertEqual(self.ask("POST", path, self.tokens["owner"]).status_code, 200)  # again: nothing more
        self.assertEqual(self.rows(), before)
        self.server.kill()  # as a power cut does it
        self.server.start()
        for gone in (token, other):
            self.refused(401, "bad_admin_token", "GET", "/devices", gone)
        self.assertEqual(self.ask("GET", "/devices", self.tokens["viewer"]).status_code, 200)

    def test_changed_while_no_server_runs(self):
        kept, gone = self.server.admin_token("viewer"), self.server.admin_token("viewer")
        self.server.terminate()
        late = self.server.admin_token("owner")
        self.server.ctl("admin-token", "revoke", gone.split("_")[1])
        self.server.start()
        self.refused(401, "bad_admin_token", "GET", "/devices", gone)
        for token in (kept, late):
            self.assertEqual(self.ask("GET", "/devices", token).status_code, 200)

    def test_expires(self):
        token = self.server.admin_token("viewer", "--ttl", "1")
        deadline = time.monotonic() + harness.PATIENCE
        while (answer := self.ask("GET", "/devices", token, source=next(self.addresses))).status_code == 200:
            self.assertLess(time.monotonic(), deadline)
        self.problem(answer, 401, "admin_token_expired")
        self.server.restart()
        self.refused(401, "admin_token_expired", "GET", "/devices", token)

    def test_used_is_recorded_once_a_minute(self):
        token = self.server.admin_token("viewer")
        token_id = token.split("_")[1]
        self.assertIsNone(self.rows()[token_id]["used"])

        def writes():
            return self.ask("GET", "/status", token).json()["store"]["jobs"]

        first = self.ask("GET", "/devices", token)
        self.assertEqual(first.status_code, 200)
        deadline = time.monotonic() + harness.PATIENCE
        while self.rows()[token_id]["used"] is None:
            self.assertLess(time.monotonic(), deadline)
        before = writes()
        for _ in range(50):
            self.assertEqual(self.ask("GET", "/devices", token).status_code, 200)
        more = writes() - before
        self.assertLess(more, 25)  # not one for each: what else is written is the server's own
        self.server.restart()
        self.assertIsNotNone(self.rows()[token_id]["used"])


class WrongTokens(harness.Case):
    CONFIG = {"admin_listen": "127.0.0.1:0"}

    def test_a_flood_is_limited_and_shuts_nobody_out(self):
        token = self.server.admin_token("viewer")
        guesses = [f"tdy_{token.split('_')[1]}_{secrets.token_urlsafe(32)}" for _ in range(60)]
        port = int(re.search(r":(\d+)/", self.server.admin_url())[1])
        plain = socket.create_connection(("127.0.0.1", port), harness.PATIENCE)
        with self.server.tls().wrap_socket(plain, server_hostname="localhost") as s:
            # In one piece: one guess comes back each three seconds.
            s.sendall(b"".join(f"GET /api/v1/admin/devices HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {t}\r\n"
                               f"{'Connection: close' if t == token else 'A: b'}\r\n\r\n".encode() for t in (*guesses, token)))
            answers = re.split(rb"(?=HTTP/1\.1 \d)", harness.read_all(s))[1:]
        # Who has the right one is let in, from the same address and from others.
        self.assertEqual([harness.status_of(a) for a in answers], [401] * 20 + [429] * 40 + [200])
        self.assertIn(b'"code":"rate_limited"', answers[20])
        self.assertGreaterEqual(int(re.search(rb"Retry-After: (\d+)", answers[20])[1]), 1)
        self.assertEqual(self.server.ask_admin("GET", "/devices", token, source="127.0.0.9").status_code, 200)
        self.problem(self.server.ask_admin("GET", "/devices", "x", source="127.0.0.9"), 401, "bad_admin_token")


class Start(harness.Case):
    CONFIG = {}

    def refusal(self, *args, env=None):
        with tempfile.TemporaryDirectory() as data:
            done = subprocess.run([harness.program("teddyd"), "--data", data, "--listen", "127.0.0.1:0", *args], text=True,
                                  capture_output=True, timeout=harness.PATIENCE, env={**os.environ, **(env or {})})
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_what_stops_it(self):
        for args, says in ((["--admin-listen", "127.0.0.1:0", "--no-tls"], "without TLS"),
                           (["--admin-listen", "x:y"], "HOST:PORT"),
                           (["--admin-token-file", "/x"], "teddyctl admin-token create")):
            self.assertIn(says, self.refusal(*args))
        self.assertIn("teddyctl admin-token create", self.refusal(env={"TEDDY_ADMIN_TOKEN_FILE": "/x"}))
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write("admin_token_file = /x\n")
            f.flush()
            self.assertRegex(self.refusal("--config", f.name), r":1: unknown key 'admin_token_file'; it is gone.*admin-token create")


if __name__ == "__main__":
    harness.main()
