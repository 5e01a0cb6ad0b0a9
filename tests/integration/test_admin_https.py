"""The admin API over HTTPS: only when configured, only for a bearer of the admin token."""

import os
import secrets
import subprocess
import tempfile

import harness

TOKEN = secrets.token_urlsafe(32)


class AdminHttps(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        path = os.path.join(cls.folder.name, "token")
        with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(TOKEN + "\n")
        cls.server = harness.Server(admin_listen="0", admin_token_file=path)
        found = cls.server.log.wait(r"admin_listening host=([^ ]+) port=(\d+)")
        assert found[1] == "127.0.0.1", found[1]  # a bare port is on loopback
        cls.base = f"https://127.0.0.1:{found[2]}/api/v1/admin"

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.folder.cleanup()

    def ask(self, method, path, authorization=None, **kw):
        headers = {"Authorization": authorization} if authorization else {}
        with self.server.session() as s:
            return s.request(method, self.base + path, headers=headers, timeout=harness.PATIENCE, **kw)

    def test_the_bearer_administers(self):
        added = self.ask("POST", "/devices", "Bearer " + TOKEN, json={"device_id": "by-https"})
        self.assertEqual(added.status_code, 201, added.text)
        self.assertRegex(added.json()["oob_secret"], r"^[0-9a-f]{64}$")
        self.assertIn("by-https", self.server.ctl("device", "list").stdout)

    def test_nobody_else_does(self):
        for authorization in (None, "Bearer", "Bearer ", "Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x",
                              "Basic " + TOKEN, TOKEN, "Bearer  " + TOKEN):
            answer = self.ask("GET", "/devices", authorization)
            self.problem(answer, 401, "bad_admin_token")
            self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")

    def test_the_public_listener_has_no_admin_api(self):
        answer = self.server.request("GET", "/api/v1/admin/devices", headers={"Authorization": "Bearer " + TOKEN})
        self.problem(answer, 404)

    def test_the_admin_listener_has_nothing_else(self):
        with self.server.session() as s:
            answer = s.get(self.base.replace("/api/v1/admin", "/healthz"), timeout=harness.PATIENCE)
        self.assertEqual(answer.status_code, 404)

    def test_the_token_is_not_logged(self):
        self.ask("GET", "/devices", "Bearer " + TOKEN)
        self.assertNotIn(TOKEN, self.server.all_logs())


class WrongTokens(harness.Case):
    CONFIG = {}

    def test_are_limited(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "token")
            with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(TOKEN)
            server = harness.Server(admin_listen="127.0.0.1:0", admin_token_file=path)
            self.addCleanup(server.close)
            port = server.log.wait(r"admin_listening .*port=(\d+)")[1]
            with server.session() as s:
                url = f"https://127.0.0.1:{port}/api/v1/admin/devices"
                statuses = [s.get(url, timeout=harness.PATIENCE) for _ in range(21)]
                self.assertEqual({a.status_code for a in statuses[:20]}, {401})
                self.problem(statuses[20], 429, "rate_limited")
                self.assertGreaterEqual(int(statuses[20].headers["Retry-After"]), 1)
                good = s.get(url, headers={"Authorization": "Bearer " + TOKEN}, timeout=harness.PATIENCE)
                self.assertEqual(good.status_code, 200)


class Start(harness.Case):
    CONFIG = {}

    def refusal(self, *args):
        with tempfile.TemporaryDirectory() as data:
            done = subprocess.run([harness.program("teddyd"), "--data", data, "--listen", "127.0.0.1:0", *args],
                                  text=True, capture_output=True, timeout=harness.PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def token_file(self, text, mode=0o600):
        f = tempfile.NamedTemporaryFile("w", delete=False)
        self.addCleanup(os.unlink, f.name)
        f.write(text)
        f.close()
        os.chmod(f.name, mode)
        return f.name

    def test_what_stops_it(self):
        good = self.token_file(TOKEN)
        for args, says in (
                (["--admin-listen", "127.0.0.1:0"], "both or neither"),
                (["--admin-token-file", good], "both or neither"),
                (["--admin-listen", "127.0.0.1:0", "--admin-token-file", good, "--no-tls"], "without TLS"),
                (["--admin-listen", "x:y", "--admin-token-file", good], "HOST:PORT"),
                (["--admin-listen", "0", "--admin-token-file", good + ".not"], "No such file"),
                (["--admin-listen", "0", "--admin-token-file", self.token_file(TOKEN, 0o644)], "chmod 600"),
                (["--admin-listen", "0", "--admin-token-file", self.token_file("short")], "32 to 128"),
                (["--admin-listen", "0", "--admin-token-file", self.token_file("x" * 200)], "32 to 128"),
                (["--admin-listen", "0", "--admin-token-file", self.token_file(TOKEN + "\n\n")], "32 to 128")):
            self.assertIn(says, self.refusal(*args))


if __name__ == "__main__":
    harness.main()
