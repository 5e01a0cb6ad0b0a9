"""The web console from outside: its files, signing in, what a cookie is good for and what not, and what is told live."""

import gzip
import json
import os
import re
import secrets
import select
import signal
import socket
import time
import urllib.parse

import harness

SOURCE = os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../.."))
COOKIE = "__Host-teddy_console"
PAGE = {"Sec-Fetch-Site": "same-origin", "X-Teddy-Console": "1"}
POLICY = {"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
          "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"}


class Console(harness.Case):
    CONFIG = {"admin_listen": "0"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = cls.server.admin_url().removesuffix("/api/v1/admin")
        cls.port = int(cls.root.rsplit(":", 1)[1])
        cls.tokens = {role: cls.server.admin_token(role) for role in ("viewer", "operator", "owner")}
        cls.addresses = iter(f"127.1.{a}.{b}" for a in range(1, 250) for b in range(1, 250))

    def ask(self, method, path, cookie=None, source=None, headers=PAGE, **kw):
        """As a page of the console, unless the headers say otherwise; refusals are limited by address, so each is from its own."""
        headers = {**headers, **({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})}
        with self.server.session(source or next(self.addresses)) as s:
            return s.request(method, self.root + path, headers=headers, timeout=harness.PATIENCE, **kw)

    def sign_in(self, **body):
        """(cookie, answer's members)"""
        answer = self.ask("POST", "/console/session", json=body)
        self.assertEqual(answer.status_code, 201, answer.text)
        return answer.headers["Set-Cookie"].split(";")[0].split("=", 1)[1], answer.json()

    def raw(self, head):
        """A request's bytes; the answer's."""
        with self.connect() as s:
            s.sendall(head.encode() + b"Connection: close\r\n\r\n")
            return harness.read_all(s)

    def connect(self, context=None, source=None, **options):
        plain = socket.socket()
        plain.settimeout(harness.PATIENCE)
        plain.bind((source or next(self.addresses), 0))
        for name, value in options.items():
            plain.setsockopt(socket.IPPROTO_TCP if name.startswith("TCP") else socket.SOL_SOCKET, getattr(socket, name), value)
        plain.connect(("127.0.0.1", self.port))
        return (context or self.server.tls()).wrap_socket(plain, server_hostname="localhost")

    def link(self, *options):
        return self.server.ctl("console", "link", *options).stdout.strip()

    def audit(self, event):
        self.server.add()  # what the store was given before is committed when this is
        events = self.server.ask_admin("GET", "/audit?limit=1000", self.tokens["owner"]).json()["events"]
        return [e for e in events if e["event"] == event]


class Files(Console):
    def test_a_page_and_its_fields(self):
        answer = self.ask("GET", "/console/", headers={})
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(answer.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(set(answer.headers["Content-Security-Policy"].split("; ")), POLICY)
        for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
                            ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
                            ("Cache-Control", "no-store")):
            self.assertEqual(answer.headers[name], value)
        self.assertIn("max-age=", answer.headers["Strict-Transport-Security"])
        self.assertEqual(answer.content, self.ask("GET", "/console/index.html", headers={}).content)
        self.assertNotIn("Set-Cookie", answer.headers)
        away = self.ask("GET", "/console", headers={}, allow_redirects=False)
        self.assertEqual((away.status_code, away.headers["Location"]), (308, "/console/"))

    def test_every_file_is_served_as_it_is(self):
        top, types = os.path.join(SOURCE, "console"), {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
                                                       ".html": "text/html"}
        names = [os.path.relpath(os.path.join(where, n), top) for where, _, found in os.walk(top) for n in found
                 if "node_modules" not in where and not re.fullmatch(r"package.*\.json|README\.md", n)]
        self.assertIn("index.html", names)
        for name in names:
            with self.subTest(name), open(os.path.join(top, name), "rb") as f:
                answer = self.ask("GET", "/console/" + name, headers={"Accept-Encoding": "identity"})
                self.assertEqual(answer.status_code, 200)
                self.assertEqual(answer.content, f.read())
                self.assertNotIn("Content-Encoding", answer.headers)
                self.assertEqual(answer.headers["Content-Type"].split(";")[0], types.get(os.path.splitext(name)[1]))
                self.assertIn("Content-Security-Policy", answer.headers)

    def test_the_charts_are_the_locked_ones_and_their_licence_is_there(self):
        with open(os.path.join(SOURCE, "console/package-lock.json")) as f:
            version = json.load(f)["packages"]["node_modules/uplot"]["version"]
        if "built without" in self.ask("GET", "/console/vendor/uPlot.iife.min.js", headers={}).text[:40]:
            self.skipTest("npm had no registry when this was built")
        for name in ("uPlot.esm.js", "uPlot.iife.min.js"):
            self.assertIn(f"uPlot (v{version})", self.ask("GET", "/console/vendor/" + name, headers={}).text)
        self.assertEqual(self.ask("GET", "/console/vendor/uPlot.min.css", headers={}).headers["Content-Type"], "text/css; charset=utf-8")
        self.assertIn("Permission is hereby granted", self.ask("GET", "/console/licences.txt", headers={}).text)

    def test_a_page_loads_nothing_from_elsewhere_and_has_no_inline_script_or_style(self):
        text = self.ask("GET", "/console/", headers={}).text
        self.assertFalse(re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text))
        self.assertFalse(re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text))

    def test_compressed_and_not_again_when_unchanged(self):
        path, seen = "/console/style.css", {}
        for coding in ("identity", "gzip", "br, gzip"):
            answer = self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\n")
            head, body = answer.split(b"\r\n\r\n", 1)
            head = head.decode()
            self.assertIn("Vary: Accept-Encoding", head)
            self.assertIn("Cache-Control: no-cache", head)
            packed = "Content-Encoding: gzip" in head
            self.assertEqual(packed, "gzip" in coding)
            etag = re.search(r"ETag: (\S+)", head)[1]
            seen[packed] = (gzip.decompress(body) if packed else body, etag)
            for given, status in ((etag, 304), (f'"x", {etag}', 304), ("W/" + etag, 304), ("*", 304), ('"x"', 200), (etag[:-2] + '"', 200)):
                again = self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\nIf-None-Match: {given}\r\n")
                self.assertEqual(harness.status_of(again), status, given)
                if status == 304:
                    head = again.split(b"\r\n\r\n", 1)
                    self.assertEqual(head[1], b"")
                    self.assertNotIn(b"Content-Length", head[0])
                    self.assertIn(etag.encode(), head[0])
        self.assertEqual(seen[True][0], seen[False][0])
        self.assertNotEqual(seen[True][1], seen[False][1])

    def test_what_is_not_there(self):
        for path in ("/console/x", "/console/index.html/", "/console//", "/console//index.html", "/console/../console/index.html",
                     "/console/..%2fadmin.sock", "/console/%2e%2e/x", "/console/%69ndex.html", "/console/vendor", "/console/vendor/",
                     "/console/vendor/../index.html", "/console/package.json", "/console/package-lock.json",
                     "/console/node_modules/uplot", "/console/index.html%00", "/console/vendor/a/b", "/console/Index.html", "/consolex"):
            with self.subTest(path):
                answer = self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n")
                self.assertEqual(harness.status_of(answer), 404)
                self.assertIn(b"not_found", answer)

    def test_methods(self):
        head = self.ask("HEAD", "/console/index.html", headers={})
        self.assertEqual((head.status_code, head.content), (200, b""))
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            with self.subTest(method):
                answer = self.raw(f"{method} /console/index.html HTTP/1.1\r\nHost: localhost\r\n")
                self.assertEqual(harness.status_of(answer), 405)
                self.assertIn(b"Allow: GET, HEAD", answer)

    def test_nowhere_else(self):
        self.problem(self.server.get("/console/"), 404)
        self.problem(self.server.post("/console/session", {"token": self.tokens["owner"]}), 404)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(harness.PATIENCE)
            s.connect(os.path.join(self.server.data, "admin.sock"))
            s.sendall(b"GET /console/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            self.assertEqual(harness.status_of(harness.read_all(s)), 404)


class Off(harness.Case):
    CONFIG = {"admin_listen": "0", "console": "off"}

    def test_then_the_admin_listener_has_the_api_alone(self):
        root = self.server.admin_url().removesuffix("/api/v1/admin")
        token = self.server.admin_token("owner")
        with self.server.session() as s:
            for path in ("/console/", "/console/session", "/healthz", "/ws/esp32/x", harness.CLAIM):
                self.assertEqual(s.get(root + path, timeout=harness.PATIENCE).status_code, 404, path)
            self.assertEqual(s.post(root + "/console/session", json={"token": token}, headers=PAGE, timeout=harness.PATIENCE).status_code, 404)
        self.problem(self.server.ask_admin("GET", "/status", headers={**PAGE, "Cookie": f"{COOKIE}={'A' * 43}"}), 401, "bad_admin_token")
        self.assertEqual(self.server.ask_admin("GET", "/status", token).status_code, 200)
        refused = self.server.ctl("console", "link", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("Set admin_listen, and leave console on.", refused.stderr)


class SigningIn(Console):
    CONFIG = {"admin_listen": "0", "trusted_proxies": "127.0.5.1"}

    def test_by_a_token(self):
        answer = self.ask("POST", "/console/session", json={"token": self.tokens["operator"]})
        self.assertEqual(answer.status_code, 201)
        cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
        self.assertRegex(cookie, rf"^{COOKIE}=[A-Za-z0-9_-]{{43}}$")
        self.assertEqual(set(attributes), {"Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=43200"})
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        value = cookie.split("=", 1)[1]
        shown = self.ask("GET", "/console/session", value).json()
        self.assertEqual(shown["role"], "operator")
        self.assertEqual(shown["token"], self.tokens["operator"].split("_")[1])
        self.assertEqual(set(shown), {"name", "role", "prefix", "token", "expires"})
        self.assertEqual(self.ask("GET", "/api/v1/admin/status", value).status_code, 200)
        for text in (value, self.tokens["operator"]):
            self.assertNotIn(text, self.server.all_logs())
            self.assertNotIn(text, answer.text)

    def test_a_cookie_is_worth_its_token_and_no_more(self):
        for options in ((), ("--prefix", "mine-")):
            for role in ("viewer", "operator", "owner"):
                token = self.server.admin_token(role, *options)
                cookie, _ = self.sign_in(token=token)
                for method, path in (("GET", "/status"), ("GET", "/devices"), ("GET", "/sessions"), ("GET", "/audit"), ("GET", "/admin-tokens"),
                                     ("POST", "/devices/other-1/disable"), ("POST", "/devices/mine-1/disable"), ("DELETE", "/devices/mine-1"),
                                     ("POST", "/devices/mine-1/rotate-secret"), ("GET", "/devices/mine-1")):
                    with self.subTest(f"{method} {path}", role=role, options=options):
                        by_cookie = self.ask(method, "/api/v1/admin" + path, cookie)
                        by_token = self.server.ask_admin(method, path, token)
                        self.assertEqual((by_cookie.status_code, by_cookie.json().get("code")), (by_token.status_code, by_token.json().get("code")))

    def test_by_nothing(self):
        token = self.tokens["owner"]
        for body, status, code in (({"token": token + "x"}, 401, "bad_admin_token"), ({"token": token[:13] + "A" * 43}, 401, "bad_admin_token"),
                                   ({"token": ""}, 401, "bad_admin_token"), ({"once": "A" * 43}, 401, "bad_link"), ({"once": ""}, 401, "bad_link"),
                                   ({"once": token}, 401, "bad_link"), ({"token": token, "once": "x"}, 422, "bad_members"), ({}, 422, "bad_members"),
                                   ({"token": [token]}, 422, "bad_members"), ({"Token": token}, 422, "bad_members"),
                                   ({"token": "x" * 200}, 422, "bad_members"), ([token], 400, "bad_json"), ({"token": "x" * 600}, 413, "too_large")):
            with self.subTest(str(body)[:60]):
                answer = self.ask("POST", "/console/session", json=body)
                self.problem(answer, status, code)
                self.assertNotIn("Set-Cookie", answer.headers)
        form = self.ask("POST", "/console/session", data=json.dumps({"token": token}), headers={**PAGE, "Content-Type": "text/plain"})
        self.problem(form, 415)
        self.problem(self.ask("GET", "/console/session"), 401, "signed_out")
        self.problem(self.ask("GET", "/console/session", "A" * 43), 401, "signed_out")
        self.problem(self.ask("GET", "/api/v1/admin/status", "A" * 43), 401, "signed_out")

    def test_failed_sign_ins_are_limited_like_wrong_tokens(self):
        """All in one piece: one attempt comes back each three seconds."""
        bodies = [json.dumps(body).encode() for body in 25 * [{"token": "wrong"}] + [{"once": "wrong"}, {"token": self.tokens["viewer"]}]]
        fields = "".join(f"{name}: {value}\r\n" for name, value in PAGE.items())
        with self.connect() as s:
            s.sendall(b"".join(f"POST /console/session HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Type: application/json\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies[:-1]))
            s.sendall(f"POST /console/session HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Type: application/json\r\n"
                      f"Content-Length: {len(bodies[-1])}\r\nConnection: close\r\n\r\n".encode() + bodies[-1])
            statuses = re.findall(rb"HTTP/1\.1 (\d+)", harness.read_all(s))
        self.assertEqual(statuses, 20 * [b"401"] + 6 * [b"429"] + [b"201"])

    def test_behind_a_proxy_each_address_has_its_own_limit(self):
        def attempt(source, address):
            return self.ask("POST", "/console/session", source=source, headers={**PAGE, "X-Forwarded-For": address}, json={"token": "wrong"}).status_code
        self.assertTrue(any(attempt("127.0.5.1", "192.0.2.1") == 429 for _ in range(60)))
        self.assertEqual(attempt("127.0.5.1", "192.0.2.2"), 401)
        self.assertTrue(any(attempt("127.0.6.1", f"192.0.2.{n}") == 429 for n in range(60)))  # this is no proxy

    def test_a_link_works_once(self):
        url = self.link("--role", "operator", "--name", "on the desk")
        self.assertRegex(url, rf"^{re.escape(self.root)}/console/#once=[A-Za-z0-9_-]{{43}}$")
        code = urllib.parse.urlsplit(url).fragment.removeprefix("once=")
        cookie, shown = self.sign_in(once=code)
        self.assertEqual((shown["role"], shown["name"], shown["prefix"]), ("operator", "on the desk", ""))
        self.problem(self.ask("POST", "/console/session", json={"once": code}), 401, "bad_link")
        self.assertEqual(self.ask("GET", "/api/v1/admin/status", cookie).status_code, 200)
        self.assertNotIn(code, self.server.all_logs())
        # Behind it stands a token, which is listed, in the trail, and revoked as any other.
        self.assertIn(shown["token"], self.server.ctl("admin-token", "list").stdout)
        actor = f"token:{shown['token']}"
        self.assertIn(actor, [e["actor"] for e in self.audit("console.signed_in")])
        self.server.ctl("admin-token", "revoke", shown["token"])
        self.problem(self.ask("GET", "/api/v1/admin/status", cookie), 401)
        unused = urllib.parse.urlsplit(json.loads(self.server.ctl("--json", "console", "link").stdout)["url"])
        made = json.loads(self.server.ctl("--json", "console", "link").stdout)
        self.assertEqual(made["role"], "owner")
        self.server.ctl("admin-token", "revoke", made["token"])
        self.problem(self.ask("POST", "/console/session", json={"once": made["url"].split("=")[1]}), 401, "bad_link")
        self.assertEqual(self.sign_in(once=unused.fragment.removeprefix("once="))[1]["role"], "owner")

    def test_only_an_owner_makes_links(self):
        for role in ("viewer", "operator"):
            self.problem(self.server.ask_admin("POST", "/console/links", self.tokens[role]), 403, "role_too_low")
        scoped = self.server.admin_token("owner", "--prefix", "mine-")
        self.problem(self.server.ask_admin("POST", "/console/links", scoped), 403, "out_of_scope")
        made = self.server.ask_admin("POST", "/console/links", self.tokens["owner"])
        self.assertEqual(made.status_code, 201)
        self.assertEqual(set(made.json()), {"url", "expires", "token", "role", "prefix"})

    def test_a_session_ends_with_its_token(self):
        token = self.server.admin_token("owner")
        cookie, _ = self.sign_in(token=token)
        self.assertEqual(self.ask("GET", "/api/v1/admin/status", cookie).status_code, 200)
        self.server.ctl("admin-token", "revoke", token.split("_")[1])
        self.problem(self.ask("GET", "/api/v1/admin/status", cookie), 401)
        self.problem(self.ask("GET", "/console/session", cookie), 401, "signed_out")
        self.problem(self.ask("POST", "/console/session", json={"token": token}), 401, "bad_admin_token")

    def test_signing_out(self):
        cookie, _ = self.sign_in(token=self.tokens["owner"])
        other, _ = self.sign_in(token=self.tokens["owner"])
        answer = self.ask("DELETE", "/console/session", cookie)
        self.assertEqual(answer.status_code, 204)
        self.assertIn(f"{COOKIE}=;", answer.headers["Set-Cookie"])
        self.assertIn("Max-Age=0", answer.headers["Set-Cookie"])
        self.problem(self.ask("GET", "/api/v1/admin/status", cookie), 401, "signed_out")
        self.problem(self.ask("DELETE", "/console/session", cookie), 401, "signed_out")
        self.assertEqual(self.ask("GET", "/api/v1/admin/status", other).status_code, 200)
        self.assertTrue(self.audit("console.signed_out"))

    def test_who_signs_in_again_leaves_no_session_behind(self):
        cookie, _ = self.sign_in(token=self.tokens["viewer"])
        again = self.ask("POST", "/console/session", cookie, json={"token": self.tokens["operator"]})
        self.assertEqual(again.status_code, 201)
        self.problem(self.ask("GET", "/console/session", cookie), 401, "signed_out")

    def test_hostile_cookies(self):
        cookie, _ = self.sign_in(token=self.tokens["viewer"])
        good = f"{COOKIE}={cookie}"
        for fields, status in ((f"Cookie: {good}", 200), (f"Cookie: a=b; {good}; c=d", 200), (f'Cookie: odd="a b,c"; {good}', 200),
                               (f"Cookie: {good}; {good}", 401), (f"Cookie: {good}\r\nCookie: {good}", 401), (f"Cookie: {good}x", 401),
                               (f"Cookie: {good.lower()}", 401), (f"Cookie: x{good}", 401), (f'Cookie: {COOKIE}="{cookie}"', 401),
                               (f"Cookie: {COOKIE}={'A' * 5000}", 401), (f"Cookie: {good} ; x", 401), (f"Cookie: {COOKIE}", 401),
                               (f"Cookie: {good}\r\nAuthorization: Bearer x", 401),
                               (f"Cookie: {good}\r\nAuthorization: Bearer {self.tokens['owner']}", 200)):
            with self.subTest(fields[:100]):
                answer = self.raw(f"GET /api/v1/admin/status HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n{fields}\r\n")
                self.assertEqual(harness.status_of(answer), status, answer)


class Restart(Console):
    def test_a_restart_signs_everybody_out(self):
        cookie, _ = self.sign_in(token=self.tokens["owner"])
        code = self.link().split("=")[1]
        self.server.restart()
        type(self).port = int(self.server.admin_url().split(":")[2].split("/")[0])
        type(self).root = f"https://127.0.0.1:{self.port}"
        self.problem(self.ask("GET", "/api/v1/admin/status", cookie), 401, "signed_out")
        self.problem(self.ask("POST", "/console/session", json={"once": code}), 401, "bad_link")


class OtherPages(Console):
    """What a browser is made to ask for by a page of somebody else's."""

    def setUp(self):
        self.cookie, _ = self.sign_in(token=self.tokens["owner"])
        self.origin = self.root

    def test_a_cookie_counts_only_from_our_own_page(self):
        own, field = self.origin, {"X-Teddy-Console": "1"}
        for headers, ok in (({"Sec-Fetch-Site": "same-origin"}, True), ({"Sec-Fetch-Site": "same-site"}, False),
                            ({"Sec-Fetch-Site": "cross-site"}, False), ({"Sec-Fetch-Site": "none"}, False), ({"Sec-Fetch-Site": ""}, False),
                            ({"Sec-Fetch-Site": "Same-Origin"}, False), ({"Sec-Fetch-Site": "cross-site", "Origin": own}, False),
                            ({"Origin": own}, True), ({"Origin": own.replace("https", "http")}, False), ({"Origin": "null"}, False),
                            ({"Origin": own + ".evil.example"}, False), ({"Origin": "https://evil.example"}, False),
                            ({"Origin": own.rsplit(":", 1)[0]}, False), ({"Origin": own + "/"}, False), ({}, False)):
            for method, path, more, good in (("GET", "/api/v1/admin/status", {}, 200), ("GET", "/console/session", {}, 200),
                                             ("POST", "/api/v1/admin/devices/nobody/disable", field, 404)):
                with self.subTest(headers, path=path):
                    answer = self.ask(method, path, self.cookie, headers={**headers, **more})
                    if ok:
                        self.assertEqual(answer.status_code, good)
                    else:
                        self.problem(answer, 403, "cross_origin")

    def test_what_changes_something_needs_the_field(self):
        toy = self.server.add()
        for method, path in (("POST", f"/api/v1/admin/devices/{toy.device_id}/disable"), ("DELETE", f"/api/v1/admin/devices/{toy.device_id}"),
                             ("DELETE", "/console/session"), ("POST", "/api/v1/admin/drain"), ("POST", "/api/v1/admin/console/links")):
            for value in (None, "", "0", "1, 1", "true"):
                with self.subTest(f"{method} {path}", value=value):
                    headers = {"Sec-Fetch-Site": "same-origin", **({"X-Teddy-Console": value} if value is not None else {})}
                    self.problem(self.ask(method, path, self.cookie, headers=headers), 403, "no_console_field")
        self.assertEqual(self.ask("GET", f"/api/v1/admin/devices/{toy.device_id}", self.cookie).json()["enabled"], True)

    def test_nobody_is_signed_in_by_another_page(self):
        body = {"token": self.tokens["viewer"]}
        for headers, code in (({}, "cross_origin"), ({"Sec-Fetch-Site": "cross-site", "X-Teddy-Console": "1"}, "cross_origin"),
                              ({"Origin": "https://evil.example", "X-Teddy-Console": "1"}, "cross_origin"),
                              ({"Sec-Fetch-Site": "same-origin"}, "no_console_field")):
            answer = self.ask("POST", "/console/session", headers=headers, json=body)
            self.problem(answer, 403, code)
            self.assertNotIn("Set-Cookie", answer.headers)

    def test_no_other_page_is_given_a_say(self):
        answer = self.raw(f"OPTIONS /api/v1/admin/status HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
                          "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-teddy-console\r\n")
        self.assertEqual(harness.status_of(answer), 405)
        self.assertNotIn(b"access-control", answer.lower())

    def test_a_bearer_is_asked_nothing_of_this(self):
        self.assertEqual(self.server.ask_admin("GET", "/status", self.tokens["owner"], headers={"Sec-Fetch-Site": "cross-site"}).status_code, 200)

    def test_a_websocket_from_another_page_is_refused(self):
        toy = self.server.add()
        token = toy.claim()["access"]
        host = f"127.0.0.1:{self.port}"
        upgrade = (f"GET /ws/esp32/{toy.device_id}?token={token} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        for origin, status in ((None, 101), (f"https://{host}", 101), ("https://evil.example", 403), ("null", 403), ("", 403),
                               (f"http://{host}", 403), (f"https://{host}.evil.example", 403), (f"https://{host}/", 403),
                               (f"https://{host}\r\nOrigin: https://{host}", 403), ("https://127.0.0.1", 403)):
            with self.subTest(origin):
                with self.connect() as s:
                    s.sendall((upgrade + (f"Origin: {origin}\r\n" if origin is not None else "") + "\r\n").encode())
                    answer = s.recv(65536)
                    self.assertEqual(harness.status_of(answer), status, answer)
                    if status == 403:
                        self.assertIn(b"cross_origin", answer)
        # The toys' own listener asks no toy for a page.
        with harness.RawWs(self.server, f"/ws/esp32/{toy.device_id}?token={token}", ["Origin: https://evil.example"]) as ws:
            self.assertEqual(ws.status, 101)


class TryIt(Console):
    async def test_a_toy_in_the_page_claims_and_talks(self):
        toy = self.server.add()
        claimed = self.ask("POST", harness.CLAIM, json=toy.body(), headers={"Origin": self.root})
        self.assertEqual(claimed.status_code, 200, claimed.text)
        access = claimed.json()["access"]
        async with harness.websockets.connect(f"wss://127.0.0.1:{self.port}/ws/esp32/{toy.device_id}?token={access}", ssl=self.server.tls(),
                                              origin=self.root, ping_interval=None, open_timeout=harness.PATIENCE) as ws:
            await harness.hello(ws)
            await ws.send(json.dumps({"type": "text", "text": "Hello!", "id": "1"}))
            self.assertEqual((await harness.receive_type(ws, "reply"))["type"], "reply")


class Stream:
    """Server-sent events, read as they come."""

    def __init__(self, case, headers, query="", **options):
        self.s = case.connect(**options)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.s.sendall(f"GET /api/v1/admin/events{query} HTTP/1.1\r\nHost: 127.0.0.1:{case.port}\r\n{lines}\r\n".encode())
        self.rest = b""
        head = self._until(b"\r\n\r\n")
        self.status, self.head = harness.status_of(head), head.decode()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()

    def _until(self, end):
        while end not in self.rest:
            piece = self.s.recv(65536)
            if not piece:
                raise EOFError(self.rest)
            self.rest += piece
        found, self.rest = self.rest.split(end, 1)
        return found

    def next(self):
        """(event, id, data); EOFError at the end."""
        while True:
            lines = self._until(b"\n\n").decode().split("\n")
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "event" in fields:
                return fields["event"], fields.get("id"), json.loads(fields["data"])

    def until(self, kind, /, **members):
        """The first event of that name and members; those before it are in self.seen."""
        self.seen = []
        end = time.monotonic() + harness.PATIENCE
        while True:
            assert time.monotonic() < end, f"no {kind} {members}"  # others may come for ever
            name, n, data = self.next()
            if name == kind and all(data.get(k) == v for k, v in members.items()):
                return n, data
            self.seen.append((name, n, data))


class Events(Console):
    def bearer(self, role="owner", token=None, **kw):
        return Stream(self, {"Authorization": f"Bearer {token or self.tokens[role]}", **kw.pop("headers", {})}, **kw)

    def last(self):
        return self.server.ask_admin("GET", "/audit/head", self.tokens["owner"]).json()["n"]

    async def test_state_and_audit_as_they_happen(self):
        with self.bearer() as stream:
            self.assertEqual(stream.status, 200)
            self.assertIn("Content-Type: text/event-stream", stream.head)
            self.assertIn("Cache-Control: no-store", stream.head)
            toy = self.server.add()
            n, event = stream.until("audit", event="device.added", device_id=toy.device_id)
            self.assertEqual(int(n), event["n"])
            self.assertEqual(event, next(e for e in self.audit("device.added") if e["device_id"] == toy.device_id))
            token = toy.claim()["access"]
            stream.until("audit", event="claim.accepted", device_id=toy.device_id)
            async with toy.connect(token) as ws:
                await harness.hello(ws)
                _, state = stream.until("state", online=1)
                self.assertEqual(set(state) & {"at", "online", "connections", "claims", "messages", "refusals"},
                                 {"at", "online", "connections", "claims", "messages", "refusals"})
            stream.until("state", online=0)

    def test_by_a_cookie_from_our_own_page_alone(self):
        cookie, _ = self.sign_in(token=self.tokens["owner"])
        mine = {"Cookie": f"{COOKIE}={cookie}"}
        with Stream(self, {**mine, "Sec-Fetch-Site": "same-origin"}) as stream:
            self.assertEqual(stream.status, 200)
            stream.until("state")
            self.ask("DELETE", "/console/session", cookie)
            self.assertEqual(stream.until("end")[1], {"reason": "signed_out"})
            self.assertRaises(EOFError, stream.next)
        for headers, status in (({}, 401), (mine, 403), ({**mine, "Sec-Fetch-Site": "cross-site"}, 403), ({**mine, "Origin": "https://evil.example"}, 403),
                                ({**mine, "Sec-Fetch-Site": "same-origin"}, 401)):
            with Stream(self, headers) as stream:
                self.assertEqual(stream.status, status, headers)

    def test_role_and_scope(self):
        viewer, scoped = self.server.admin_token("viewer"), self.server.admin_token("operator", "--prefix", "mine-")
        with self.bearer(token=viewer) as low, self.bearer(token=scoped) as own, self.bearer() as every:
            others, mine = self.server.add(f"other-{secrets.token_hex(4)}"), self.server.add(f"mine-{secrets.token_hex(4)}")
            every.until("audit", event="device.added", device_id=others.device_id)
            every.until("audit", event="device.added", device_id=mine.device_id)
            own.until("audit", event="device.added", device_id=mine.device_id)
            self.assertFalse([s for s in own.seen if s[0] == "audit"])
            for _ in range(2):
                _, state = own.until("state")
                self.assertEqual(set(state), {"at", "online"})  # what is counted of the whole fleet is not for it
                self.assertFalse([s for s in own.seen if s[0] == "audit"])
                low.until("state")
                self.assertFalse([s for s in low.seen if s[0] == "audit"])

    async def test_a_token_for_some_devices_counts_those(self):
        scoped = self.server.admin_token("viewer", "--prefix", "few-")
        toys = [self.server.add(f"few-{secrets.token_hex(4)}"), self.server.add()]
        with self.bearer(token=scoped) as own, self.bearer() as every:
            async with toys[0].connect(toys[0].claim()["access"]), toys[1].connect(toys[1].claim()["access"]):
                every.until("state", online=2)
                own.until("state", online=1)
                self.assertEqual(own.until("state")[1]["online"], 1)

    def test_who_comes_again_misses_nothing(self):
        before = self.last()
        names = [self.server.add().device_id for _ in range(5)]
        with self.bearer(headers={"Last-Event-ID": before}) as stream:
            got, told = [], []
            for _ in names:
                got.append(stream.until("audit", event="device.added"))
                told += [int(n) for kind, n, _ in stream.seen if kind == "audit"] + [int(got[-1][0])]
        self.assertEqual(told, list(range(before + 1, told[-1] + 1)))  # of what a minute counted, too, when it is over
        self.assertEqual([e["device_id"] for _, e in got], names)
        for wrong in ("x", "-1", "1.5", "99999999999999999999", ""):
            for asked in ({"headers": {"Last-Event-ID": wrong}}, {"query": f"?after={wrong}"}):
                with self.bearer(**asked) as stream:
                    self.assertEqual(stream.status, 422, asked)
        # A page that closed its stream cannot send the field; where both are, the browser's is the newer one.
        third = got[2][0]
        for asked in ({"query": f"?after={third}"}, {"query": f"?after={before}", "headers": {"Last-Event-ID": third}}):
            with self.bearer(**asked) as stream:
                self.assertEqual([stream.until("audit", event="device.added")[1]["device_id"] for _ in range(2)], names[3:])
        with self.bearer(query="?after=1&after=2") as stream:
            self.assertEqual(stream.status, 422)
        # Who has been told no event yet knows where it stands all the same.
        least = self.last()
        with self.bearer() as stream:
            found = re.fullmatch(rb"retry: 2000id: (\d+)", stream._until(b"\n\n") + stream._until(b"\n\n"))
            self.assertIn(int(found[1]), range(least, self.last() + 1))
        with self.bearer(headers={"Last-Event-ID": 10 ** 12}) as stream:  # of another trail
            device = self.server.add().device_id
            self.assertEqual(stream.until("audit", event="device.added")[1]["device_id"], device)

    def test_a_stream_ends_with_its_token(self):
        token = self.server.admin_token("viewer")
        with self.bearer(token=token) as stream:
            stream.until("state")
            self.server.ctl("admin-token", "revoke", token.split("_")[1])
            self.assertEqual(stream.until("end")[1], {"reason": "token_ended"})
            self.assertRaises(EOFError, stream.next)

    def test_so_many_and_no_more(self):
        token = self.server.admin_token("viewer")
        streams = [self.bearer(token=token) for _ in range(9)]
        try:
            self.assertEqual([s.status for s in streams], [200] * 8 + [429])
        finally:
            for s in streams:
                s.s.close()
        with self.bearer() as other:
            self.assertEqual(other.status, 200)

    def test_so_many_also_when_they_come_at_once(self):
        token = self.server.admin_token("viewer", "--prefix", "mine-")
        asking = [self.connect() for _ in range(12)]
        os.kill(self.server.process.pid, signal.SIGSTOP)  # so that none has begun when the last one comes
        try:
            for s in asking:
                s.sendall(f"GET /api/v1/admin/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)
        statuses = [harness.status_of(s.recv(65536)) for s in asking]
        for s in asking:
            s.close()
        self.assertEqual(sorted(statuses), [200] * 8 + [429] * 4)

    def test_a_head_only(self):
        answer = self.server.ask_admin("HEAD", "/events", self.tokens["viewer"])
        self.assertEqual((answer.status_code, answer.headers["Content-Type"]), (200, "text/event-stream"))


class Crowd(harness.Case):
    """Strangers who hold connections open to the console."""

    CONFIG = {"admin_listen": "0", "connections_max": 16, "handshake_timeout_ms": 60000}
    MAX = 16 + 1 + 16 + 48

    def test_connections_are_bounded(self):
        port = int(self.server.admin_url().removesuffix("/api/v1/admin").rsplit(":", 1)[1])
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(self.MAX + 20)]
        ended, until = set(), time.monotonic() + harness.PATIENCE
        while len(ended) < 20 and time.monotonic() < until:
            ended.update(select.select([s for s in held if s not in ended], [], [], 1)[0])
        self.assertEqual(len(ended), 20)
        self.assertTrue(all(s.recv(1) == b"" for s in ended))
        self.assertIn("connections", self.server.ctl("status").stdout)  # the socket has room still
        for s in held:
            s.close()


class Slow(Console):
    """A listener that does not read costs little, holds up nobody, and is told to go."""

    def test_who_does_not_read(self):
        toy = self.server.add()
        headers = {"Authorization": f"Bearer {self.tokens['owner']}"}
        with Stream(self, headers, TCP_MAXSEG=536, SO_RCVBUF=2048) as slow, Stream(self, headers) as quick:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(harness.PATIENCE)
                s.connect(os.path.join(self.server.data, "admin.sock"))
                piece = b"".join(f"POST /api/v1/admin/devices/{toy.device_id}/{verb} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                                 for verb in ("disable", "enable") * 10)
                for _ in range(400):
                    s.sendall(piece)
                    got = b""
                    while got.count(b"HTTP/1.1 200") < 20:
                        got += s.recv(65536)
                    found = re.search(r"event=events_end reason=slow unsent=(\d+)", self.server.log.text())
                    if found:
                        break
            self.assertTrue(found, "nobody was too slow")
            self.assertLess(int(found[1]), 64 * 1024)
            names = []
            with self.assertRaises(EOFError):
                while True:
                    names.append(slow.next())
            self.assertEqual(names[-1][0::2], ("end", {"reason": "slow"}))
            told = [int(n) for name, n, _ in names if name == "audit"]
            self.assertEqual(told, list(range(told[0], told[0] + len(told))))
            self.assertLess(len(told), 1000)
            last = self.server.ask_admin("GET", "/audit/head", self.tokens["owner"]).json()["n"]
            quick.until("audit", n=last)
        # Who comes again from far back is told how much is left out.
        with Stream(self, {**headers, "Last-Event-ID": "1"}) as late:
            name, _, gap = late.next()
            newest = self.server.ask_admin("GET", "/audit/head", self.tokens["owner"]).json()["n"]
            self.assertEqual((name, gap["after"]), ("gap", 1))
            self.assertIn(gap["upto"], range(last - 500, newest - 500 + 1))  # a minute may be over meanwhile
            got = [late.until("audit")[1]["n"] for _ in range(500)]
            self.assertEqual(got, list(range(gap["upto"] + 1, gap["upto"] + 501)))


class Drain(Console):
    def test_a_server_that_goes_says_so(self):
        with Stream(self, {"Authorization": f"Bearer {self.tokens['viewer']}"}) as stream:
            stream.until("state")
            self.server.terminate()
            self.assertEqual(stream.until("end")[1], {"reason": "going_away"})
        self.server.start()


if __name__ == "__main__":
    harness.main()
