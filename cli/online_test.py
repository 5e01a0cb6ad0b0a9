"""teddyctl with a running server: the same commands over the admin socket, and what only a server can say.

Where teddyctl and teddyd are comes as the first two arguments."""

import asyncio
import fcntl
import hashlib
import hmac
import json
import os
import pty
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import unittest
import urllib.request

import websockets

from terminal import read_to_end

CTL, SERVER = sys.argv[1:3]
del sys.argv[1:3]
PATIENCE = 60
ENV = {k: v for k, v in os.environ.items() if not k.startswith("TEDDY_") and k != "PORT"}
ADMIN = "/api/v1/admin"


class Online(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = os.path.join(folder.name, "data")
        self.log = open(os.path.join(folder.name, "log"), "w+")
        self.addCleanup(self.log.close)
        self.start()

    def start(self):
        self.server = subprocess.Popen(
            [SERVER, "--data", self.data, "--listen", "127.0.0.1:0", "--no-tls", "--loops", "3"],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=ENV)
        self.addCleanup(self.stop, self.server)
        ready = self.server.stdout.readline()
        self.assertRegex(ready, "^ready http://127.0.0.1:[0-9]+$")
        self.host = ready.strip().removeprefix("ready http://")

    def stop(self, server):
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        try:
            self.assertEqual(server.wait(PATIENCE), 0)
        finally:
            server.stdout.close()
            if server.poll() is None:
                server.kill()
                server.wait()

    def run_ctl(self, *args, stdin=""):
        return subprocess.run([CTL, "--data", self.data, *args], input=stdin, text=True, capture_output=True,
                              timeout=PATIENCE, env=ENV)

    def ok(self, *args, **more):
        done = self.run_ctl(*args, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def refused(self, pattern, *args, **more):
        done = self.run_ctl(*args, **more)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr.splitlines()[-1], pattern)
        return done.stderr

    def http(self, head, body=b""):
        """One request over the admin socket as bytes; the status and the body."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(os.path.join(self.data, "admin.sock"))
            s.sendall(f"{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while part := s.recv(65536):
                answer += part
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    def json_post(self, path, text):
        body = text if isinstance(text, bytes) else text.encode()
        status, answer = self.http(f"POST {ADMIN}{path} HTTP/1.1\r\nContent-Type: application/json", body)
        return status, json.loads(answer)

    def test_registry(self):
        made = json.loads(self.ok("device", "add", "toy"))
        self.assertRegex(made["oob_secret"], "^[0-9a-f]{64}$")
        self.refused("registered already.*rotate-secret", "device", "add", "toy")
        self.refused("Another device has this secret", "device", "add", "toy2", "--secret", made["oob_secret"])
        self.assertEqual(json.loads(self.ok("device", "add", "toy2", "--secret", "cd" * 32))["oob_secret"], "cd" * 32)
        self.assertEqual(self.ok("device", "disable", "toy"), "toy disabled\n")
        self.assertIn("enabled: no", self.ok("device", "show", "toy"))
        self.assertEqual(self.ok("device", "enable", "toy"), "toy enabled\n")
        again = json.loads(self.ok("device", "rotate-secret", "toy"))
        self.assertNotEqual(again["oob_secret"], made["oob_secret"])
        self.assertEqual(self.ok("device", "release", "toy"), "toy released\n")
        self.assertEqual(self.ok("token", "revoke", "toy"), "toy revoked\n")
        self.assertEqual(sum(json.loads(self.ok("child", "forget", "kid"))["erased"].values()), 0)
        self.assertEqual(self.ok("device", "remove", "toy2"), "toy2 removed\n")
        self.refused("No device toy2", "device", "show", "toy2")
        self.assertEqual(self.ok("device", "list").split("\t")[0], "toy")
        # What was done is there without the server, and its log knows no secret.
        self.stop(self.server)
        self.assertEqual(self.ok("device", "list").split("\t")[0], "toy")
        self.log.seek(0)
        log = self.log.read()
        self.assertIn("admin_device_add", log)
        for secret in (made["oob_secret"], again["oob_secret"], "cd" * 32):
            self.assertNotIn(secret, log)
            self.assertNotIn(secret.upper(), log)

    def test_import_and_pages(self):
        rows = [(f"bulk-{i:05}", os.urandom(32).hex()) for i in range(12000)]
        self.assertEqual(self.ok("import", "-", stdin="".join(f"{d},{s}\n" for d, s in rows)), "12000 imported\n")
        self.assertEqual([line.split("\t")[0] for line in self.ok("device", "list").splitlines()], [d for d, _ in rows])
        shown = self.refused("Nothing was imported: 2 bad lines", "import", "-",
                             stdin=f"bulk-00001,{'1' * 64}\nfine,{'2' * 64}\nbad\n")
        self.assertRegex(shown, "(?m)^standard input:1: .*already")
        self.assertRegex(shown, "(?m)^standard input:3: ")
        self.refused("No device fine", "device", "show", "fine")

    def test_interrupted_at_a_terminal(self):
        """Ctrl-C while progress is shown: the line is cleared, and who waits for it sees a signal's end."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.server.send_signal(signal.SIGSTOP)
        self.addCleanup(self.server.send_signal, signal.SIGCONT)
        process = subprocess.Popen([CTL, "--data", self.data, "import", "-"], stdin=subprocess.PIPE, stdout=slave, stderr=slave,
                                   env=ENV | {"TERM": "xterm"}, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0))
        os.close(slave)
        process.stdin.write(b"device_id,oob_secret\n")
        process.stdin.close()
        said = b""
        while b"importing, " not in said:
            said += os.read(master, 4096)
        os.write(master, b"\x03")
        self.assertEqual(process.wait(PATIENCE), -signal.SIGINT)
        said += read_to_end(master)
        self.assertEqual(said[-4:], b"\r\033[K", said)

    def test_status_and_routes(self):
        status = json.loads(self.ok("--json", "status"))
        self.assertEqual((status["pid"], status["draining"], status["loops"], status["sessions"]),
                         (self.server.pid, False, 3, 0))
        self.assertIn("draining: no\n", self.ok("status"))
        self.assertEqual(json.loads(self.ok("--json", "session", "list")), {"sessions": [], "total": 0})
        self.assertEqual(self.ok("session", "list"), "")
        running = self.ok("routes")
        self.assertIn("GET\t/healthz\tnone\thealthz\t-\n", running)
        self.assertNotIn("/ws/echo", running)  # the running server's own table: it is turned off

    def claim(self, device_id, secret, child_id="kid"):
        nonce = secrets.token_hex(12)
        mac = hmac.new(bytes.fromhex(secret), (device_id + child_id + nonce).encode(), hashlib.sha256).hexdigest()
        body = json.dumps({"device_id": device_id, "child_id": child_id, "nonce": nonce, "hmac_hex": mac}).encode()
        request = urllib.request.Request(f"http://{self.host}/api/v1/pair/claim", body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
            return json.load(answer)["access"]

    def test_sessions_are_closed(self):
        """Whatever takes a toy's rights closes its open session at once, and no other toy's."""
        async def talk():
            bystander = json.loads(self.ok("device", "add", "bystander"))
            other = await websockets.connect(f"ws://{self.host}/ws/esp32/bystander",
                                             extra_headers={"Authorization": "Bearer " + self.claim("bystander", bystander["oob_secret"], "b")})
            for i, (command, word) in enumerate(((("device", "disable"), "device_disabled"), (("device", "rotate-secret"), "token_revoked"),
                                                 (("device", "release"), "token_revoked"), (("token", "revoke"), "token_revoked"),
                                                 (("device", "revoke"), "token_revoked"), (("device", "release", "--rotate"), "token_revoked"),
                                                 (("device", "remove"), "token_revoked"), (("child", "forget"), "token_revoked"),
                                                 (("child", "revoke"), "token_revoked"))):
                name = f"toy-{i}"
                made = json.loads(self.ok("device", "add", name))
                access = self.claim(name, made["oob_secret"], f"kid-{i}")
                async with websockets.connect(f"ws://{self.host}/ws/esp32/{name}?token={access}") as ws:
                    await ws.send("hi")
                    self.assertIn("echo", await asyncio.wait_for(ws.recv(), PATIENCE))
                    rows = {row[0]: row for row in (line.split("\t") for line in self.ok("session", "list").splitlines())}
                    self.assertEqual(set(rows), {name, "bystander"})
                    self.assertEqual((rows[name][1], rows[name][3], rows[name][4]), (f"kid-{i}", "1", "no"))
                    self.assertIn("127.0.0.1", rows[name][5])
                    await asyncio.to_thread(self.ok, *command, f"kid-{i}" if command[0] == "child" else name)
                    before = asyncio.get_running_loop().time()
                    with self.assertRaises(websockets.ConnectionClosed) as end:
                        while True:
                            await asyncio.wait_for(ws.recv(), PATIENCE)
                    self.assertLess(asyncio.get_running_loop().time() - before, 15)  # no ping had to find it out
                    self.assertEqual((end.exception.rcvd.code, end.exception.rcvd.reason.split()[0]), (1008, word), command)
            self.assertEqual(json.loads(self.ok("--json", "status"))["sessions"], 1)
            await other.send("still here")
            self.assertIn("still here", await asyncio.wait_for(other.recv(), PATIENCE))
            await other.close()

        asyncio.run(talk())

    def test_drain(self):
        self.assertEqual(self.ok("drain"), "draining\n")
        self.assertEqual(self.server.wait(PATIENCE), 0)
        self.refused("no server is running", "status")
        self.assertFalse(os.path.exists(os.path.join(self.data, "admin.sock")))

    def test_killed_server_leaves_a_socket(self):
        self.ok("device", "add", "toy")
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.server.poll = lambda: -9
        self.server.wait = lambda *_: 0
        self.assertTrue(os.path.exists(os.path.join(self.data, "admin.sock")))
        self.assertEqual(self.ok("device", "list").split("\t")[0], "toy")
        self.refused("no server is running", "status")
        self.start()
        self.assertEqual(self.ok("device", "list").split("\t")[0], "toy")

    def test_second_server_is_refused(self):
        second = subprocess.run([SERVER, "--data", self.data, "--listen", "127.0.0.1:0", "--no-tls"], text=True,
                                capture_output=True, timeout=PATIENCE, env=ENV)
        self.assertEqual((second.returncode, second.stdout), (1, ""))
        self.assertRegex(second.stderr, f"in use by process {self.server.pid}")
        self.assertEqual(self.ok("device", "list"), "")

    @unittest.skipUnless(os.geteuid() == 0, "needs another user, so root")
    def test_another_user_is_refused(self):
        """Also when the socket's own mode lets it through: what counts is the peer's uid."""
        sock = os.path.join(self.data, "admin.sock")
        for path in (os.path.dirname(self.data), self.data):
            os.chmod(path, 0o755)
        os.chmod(sock, 0o666)
        program = ("import socket,sys; s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect(sys.argv[1]);"
                   "s.sendall(b'GET /api/v1/admin/status HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
                   "print(s.recv(65536).decode())")
        done = subprocess.run([sys.executable, "-c", program, sock], user=65534, group=65534, extra_groups=[], text=True,
                              capture_output=True, timeout=PATIENCE, env=ENV, cwd="/")
        self.assertIn("403", done.stdout.split("\r\n")[0], done.stderr)
        self.assertIn('"forbidden"', done.stdout)
        self.ok("status")

    def test_api_refuses_what_is_wrong(self):
        for status, text in ((400, b""), (400, b"{"), (400, b"[]"), (400, b"null"), (400, b'{"device_id":"a","device_id":"b"}'),
                             (400, b'{"device_id":"\xff"}'), (400, b'{"device_id":"a"} x'), (400, b"[" * 4000),
                             (422, b"{}"), (422, b'{"device_id":1}'), (422, b'{"device_id":"a b"}'),
                             (422, b'{"device_id":"' + b"a" * 65 + b'"}'), (400, b'{"device_id":"a\\u0000b"}'),
                             (422, b'{"device_id":"a","oob_secret":"12"}'), (422, b'{"device_id":"a","oob_secret":null}'),
                             (422, b'{"device_id":"a","oob_secret":"' + b"g" * 64 + b'"}'),
                             (422, b'{"device_id":"a","secret":"' + b"1" * 64 + b'"}')):
            with self.subTest(text):
                got, answer = self.json_post("/devices", text)
                self.assertEqual((got, answer["status"]), (status, status), answer)
                self.assertRegex(answer["request_id"], "^[0-9a-f]{16}$")
        self.assertEqual(self.http(f"POST {ADMIN}/devices HTTP/1.1\r\nContent-Type: text/plain", b"{}")[0], 415)
        self.assertEqual(self.json_post("/devices", b" " * 5000)[0], 413)
        for query in ("limit=0", "limit=1001", "limit=x", "limit=", "limit=1&limit=2", "after=a%20b", "after=a&after=b",
                      "after=", "after=" + "a" * 65, "limit=99999999999999999999999999"):
            with self.subTest(query):
                self.assertEqual(self.http(f"GET {ADMIN}/devices?{query} HTTP/1.1")[0], 422)
        self.assertEqual(self.http(f"GET {ADMIN}/devices?limit=1&after=a HTTP/1.1")[0], 200)
        self.assertEqual(self.http(f"GET {ADMIN}/devices/a%20b HTTP/1.1")[0], 422)
        self.assertEqual(self.http(f"GET {ADMIN}/nothing HTTP/1.1")[0], 404)
        self.assertEqual(self.http(f"DELETE {ADMIN}/devices HTTP/1.1")[0], 405)
        self.assertEqual(self.http(f"GET /healthz HTTP/1.1")[0], 404)  # the public routes are not here
        self.assertEqual(self.ok("device", "list"), "")


if __name__ == "__main__":
    unittest.main()
