"""Around the service: health, metrics, routes, logs that hold nothing, certificate reload, proxies, and start errors."""

import datetime
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from harness import BUILD, PATIENCE, Case, Server, Toy, answer, closed, hello, lasting_port, main, program, read_all, receive


class Authority:
    """A certificate authority and leaves of it, made by python3-cryptography."""

    def __init__(self, directory):
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        self.x509, self.ec, self.dir = x509, ec, directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority " + os.urandom(4).hex())])
        self.cert = self._sign(self.name, self.key.public_key(), ca=True)
        self.path = self._write("ca.pem", self._pem(self.cert))

    def _sign(self, subject, public, ca=False, days=(-1, 30)):
        from cryptography.hazmat.primitives import hashes
        import ipaddress
        now = datetime.datetime.utcnow()
        x509 = self.x509
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public)
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=days[0])).not_valid_after(now + datetime.timedelta(days=days[1]))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True))
        if ca:
            builder = builder.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        return builder.sign(self.key, hashes.SHA256())

    def _pem(self, cert):
        from cryptography.hazmat.primitives import serialization
        return cert.public_bytes(serialization.Encoding.PEM)

    def _write(self, name, data):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, 0o600)
        return path

    def leaf(self, name="leaf", days=(-1, 30)):
        """Writes name.crt and name.key; returns their paths and the serial number."""
        from cryptography.hazmat.primitives import serialization as s
        key = self.ec.generate_private_key(self.ec.SECP256R1())
        subject = self.x509.Name([self.x509.NameAttribute(self.x509.NameOID.COMMON_NAME, "localhost")])
        cert = self._sign(subject, key.public_key(), days=days)
        pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        return self._write(name + ".crt", self._pem(cert)), self._write(name + ".key", pem), cert.serial_number


class Around(Case):
    CONFIG = {"metrics_listen": "127.0.0.1:0"}

    def test_health(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.server.get(path).status_code, 200)

    def test_metrics_have_their_own_listener(self):
        import requests
        self.problem(self.server.get("/metrics"), 404)
        found = self.server.log.wait(r"metrics_listening .*\bport=(\d+)")
        self.server.add().claim()
        answer = requests.get(f"http://127.0.0.1:{found[1]}/metrics", timeout=PATIENCE)
        self.assertEqual(answer.status_code, 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        count = re.search(r'^teddy_claims_total\{result="accepted"\} (\d+)$', answer.text, re.M)
        self.assertGreaterEqual(int(count[1]), 1)
        families = re.findall(r"^# TYPE (\S+)", answer.text, re.M)
        self.assertEqual(len(families), len(set(families)))
        for line in answer.text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) .+|[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+]+)$')
        self.assertEqual(requests.post(f"http://127.0.0.1:{found[1]}/metrics", timeout=PATIENCE).status_code, 405)
        self.assertEqual(requests.get(f"http://127.0.0.1:{found[1]}/healthz", timeout=PATIENCE).status_code, 404)

    def test_admin_is_not_served_to_the_network(self):
        for path in ("/api/v1/admin/devices", "/api/v1/admin/", "/api/v1/admin/drain"):
            self.assertEqual(self.server.get(path).status_code, 404)

    def test_routes(self):
        shown = self.server.ctl("routes").stdout
        for method, pattern, who in (("POST", "/api/v1/pair/claim", "none"), ("POST", "/api/v1/token/refresh", "none"),
                                     ("GET", "/ws/esp32/{device_id}", "device"), ("GET", "/healthz", "none"),
                                     ("GET", "/readyz", "none"), ("GET", "/.well-known/jwks.json", "none")):
            self.assertRegex(shown, rf"(?m)^{method}\s+{re.escape(pattern)}\s+{who}\s+\S+")
        self.assertRegex(shown, r"(?m)^\w+\s+/api/v1/admin/\S*\s+admin\s+\S+")
        self.assertNotIn("/ws/echo", shown)

    def test_registry_commands(self):
        toy = self.server.add()
        self.assertRegex(toy.secret, r"^[0-9a-f]{64}$")
        self.assertIn(toy.device_id, self.server.ctl("device", "list").stdout)
        shown = self.server.ctl("device", "show", toy.device_id).stdout
        self.assertIn(toy.device_id, shown)
        self.assertNotIn(toy.secret, shown)
        again = self.server.ctl("device", "add", toy.device_id, check=False)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertEqual(len(again.stderr.strip().splitlines()), 1, again.stderr)
        # A secret that another device has is refused.
        same = self.server.ctl("device", "add", "other-" + toy.device_id, "--secret", toy.secret, check=False)
        self.assertEqual(same.returncode, 1)
        for bad in (("device", "add", "a b"), ("device", "add", "x", "--secret", "12"), ("device", "show", "nobody"),
                    ("device", "remove", "nobody"), ("token", "revoke", "nobody")):
            with self.subTest(bad):
                self.assertIn(self.server.ctl(*bad, check=False).returncode, (1, 2))
        for bad in ((), ("dance",), ("device",), ("device", "add"), ("device", "dance", "x")):
            with self.subTest(bad):
                self.assertEqual(self.server.ctl(*bad, check=False).returncode, 2)
        self.server.ctl("device", "remove", toy.device_id)
        self.assertNotIn(toy.device_id, self.server.ctl("device", "list").stdout)
        self.problem(toy.post_claim(), 404)

    def test_import(self):
        rows = [(f"import-{n}", os.urandom(32).hex()) for n in range(600)]
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
            f.write("device_id,oob_secret\n" + "".join(f"{d},{s}\n" for d, s in rows))
            f.flush()
            self.server.ctl("import", f.name)
        for device_id, secret in rows[0], rows[-1]:
            self.assertEqual(Toy(self.server, device_id, secret).post_claim().status_code, 200)

    async def test_child_forget(self):
        toy = self.server.add()
        toy.child_id = "forget-me"
        access = toy.claim()["access"]
        async with toy.connect(access) as ws:
            await hello(ws)
            self.server.ctl("child", "forget", "forget-me")
            self.assertEqual((await closed(ws))[0], 1008)
        self.assertNotIn("forget-me", self.server.ctl("device", "show", toy.device_id).stdout)
        self.assertEqual(toy.post_claim(toy.body(child_id="another")).status_code, 200)

    def test_the_admin_socket_is_private(self):
        found = [f for f in os.listdir(self.server.data) if os.path.exists(p := os.path.join(self.server.data, f))
                 and (os.stat(p).st_mode & 0o170000) == 0o140000]
        self.assertEqual(len(found), 1)
        self.assertEqual(os.stat(os.path.join(self.server.data, found[0])).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.server.data).st_mode & 0o077, 0)

    def test_one_server_per_data_directory(self):
        done = subprocess.run(Server(data=self.server.data, start=False).arguments(), capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.server.data, done.stderr)


class Logs(unittest.IsolatedAsyncioTestCase):
    """No secret, token, utterance, MAC or query in a log or, but for secrets, in the store."""

    async def walk(self, **config):
        server = Server(**Case.UNLIMITED, log_level="debug", **config)
        try:
            toy = server.add()
            body = toy.body()
            pair = toy.claim(body=body)
            said = "the-blue-elephant-" + os.urandom(4).hex()
            async with toy.connect(pair["access"]) as ws:
                await hello(ws)
                await ws.send(said)
                await answer(ws, 1)
                await ws.send(json.dumps({"type": "refresh", "refresh": pair["refresh"]}))
                while (message := await receive(ws))["type"] != "tokens":
                    pass
            newer = toy.post_refresh(message["refresh"]).json()
            problem = toy.post_claim(body).json()
            Toy(server, toy.device_id, "00" * 32).post_claim()
            server.get("/healthz?token=secret-in-a-query")
            ws = await toy.connect("bad-" + pair["access"])
            await closed(ws)
            server.terminate()
            log = server.all_logs()
            with_names = {"secret": toy.secret, "mac": body["hmac_hex"], "utterance": said, "query": "secret-in-a-query",
                          "access": pair["access"], "refresh": pair["refresh"], "in-session": message["refresh"],
                          "newer": newer["access"]}
            store = b""
            for name in os.listdir(server.data):
                if re.search(r"\.(db|sqlite3?)(-wal|-shm)?$", name):
                    with open(os.path.join(server.data, name), "rb") as f:
                        store += f.read()
            self.assertGreater(len(store), 1000)
            for name, value in with_names.items():
                self.assertNotIn(value, log, name)
                if "." in value:  # tokens: not their signature either, nor their whole
                    self.assertNotIn(value.rsplit(".", 1)[1], log, name)
                    self.assertNotIn(value.rsplit(".", 1)[1].encode(), store, name)
            self.assertNotIn(said.encode(), store)
            self.assertIn(problem["request_id"], log)
            return server.log.text()
        finally:
            server.close()

    async def test_logfmt(self):
        for line in (await self.walk()).splitlines():
            self.assertRegex(line, r'^(\w+=("([^"\\]|\\.)*"|[^\s"]*)( |$))+$')

    async def test_json(self):
        for line in (await self.walk(log_format="json")).splitlines():
            self.assertIsInstance(json.loads(line), dict)


class Certificates(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="teddy-cert-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.authority = Authority(self.dir)

    def serial(self, server):
        from cryptography import x509
        context = ssl.create_default_context(cafile=self.authority.path)
        with server.raw(context=context) as s:
            return x509.load_der_x509_certificate(s.getpeercert(True)).serial_number

    async def test_reload(self):
        cert, key, first = self.authority.leaf()
        server = Server(tls_cert=cert, tls_key=key, tls_ca=self.authority.path)
        try:
            self.assertEqual(self.serial(server), first)
            toy = server.add()
            shutil.copy(self.authority.path, server.ca)  # what the harness trusts
            async with toy.connect(toy.claim()["access"]) as ws:
                await hello(ws)
                _, _, second = self.authority.leaf()
                server.process.send_signal(signal.SIGHUP)
                end = time.monotonic() + PATIENCE
                while self.serial(server) != second:
                    self.assertLess(time.monotonic(), end, server.log.text())
                # A broken file keeps what is there, and says so.
                lines = len(server.log.lines)
                with open(cert, "w") as f:
                    f.write("garbage")
                server.process.send_signal(signal.SIGHUP)
                server.log.wait(re.escape(os.path.basename(cert)), start=lines)
                self.assertEqual(self.serial(server), second)
                await ws.send("the session went through it all")
                self.assertEqual((await receive(ws))["type"], "echo")
        finally:
            server.close()

    def start_error(self, *mentions, status=1, **config):
        with tempfile.TemporaryDirectory() as data:
            done = subprocess.run(Server(data=data, start=False, **config).arguments(), capture_output=True, text=True,
                                  timeout=PATIENCE)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotIn("ready", done.stdout)
        for mention in mentions:
            self.assertIn(mention, done.stderr)
        return done.stderr

    def test_start_errors(self):
        cert, key, _ = self.authority.leaf()
        other_cert, other_key, _ = self.authority.leaf("other")
        old_cert, old_key, _ = self.authority.leaf("old", days=(-30, -1))
        future_cert, future_key, _ = self.authority.leaf("future", days=(2, 30))
        os.makedirs(os.path.join(self.dir, "2"))
        stranger = Authority(os.path.join(self.dir, "2"))
        self.assertRegex(self.start_error(old_cert, tls_cert=old_cert, tls_key=old_key), "(?i)expired")
        self.start_error(future_cert, tls_cert=future_cert, tls_key=future_key)
        self.start_error(other_key, tls_cert=cert, tls_key=other_key)
        self.start_error(stranger.path, tls_cert=cert, tls_key=key, tls_ca=stranger.path)
        self.start_error("missing.crt", tls_cert=os.path.join(self.dir, "missing.crt"), tls_key=key)
        self.start_error("tls_key", status=2, tls_cert=cert)
        with open(os.path.join(self.dir, "chain.crt"), "wb") as chain:  # the leaf, then one that did not sign it
            for path in (cert, stranger.path):
                with open(path, "rb") as f:
                    chain.write(f.read())
        self.start_error("chain.crt", tls_cert=os.path.join(self.dir, "chain.crt"), tls_key=key)


class Start(unittest.TestCase):
    """Wrong configuration: status 1 (or 2 for usage), one clear line."""

    def run_teddyd(self, *args, env=None):
        environment = {**os.environ, **(env or {})}
        with tempfile.TemporaryDirectory() as data:
            return subprocess.run([program("teddyd"), "--data", data, "--listen", "127.0.0.1:0", *args], env=environment,
                                  capture_output=True, text=True, timeout=PATIENCE)

    def config(self, text):
        f = tempfile.NamedTemporaryFile("w", suffix=".conf")
        f.write(text)
        f.flush()
        self.addCleanup(f.close)
        return f.name

    def test_the_file_names_the_line(self):
        for text, line in (("# a comment\nno_such_key = 1\n", 2), ("\n\naccess_ttl_s = 9\n", 3), ("access_ttl_s = ten\n", 1),
                           ("jwt_alg = none\n", 1), ("access_ttl_s = 10\naccess_ttl_s = 11\n", 2), ("tls = maybe\n", 1),
                           ("log_level = info\nnonsense\n", 2), ("\ntrusted_proxies = 10.0.0.0/33\n", 2),
                           ("jwt_issuer = h\u00e4\n", 1), ("metrics_listen = 127.0.0.1:x\n", 1), ("pings = 1\n", 1), ("access_ttl_s = -10\n", 1)):
            with self.subTest(text):
                path = self.config(text)
                done = self.run_teddyd("--config", path)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(f"{path}:{line}", done.stderr)

    def test_environment(self):
        done = self.run_teddyd(env={"TEDDY_ACCES_TTL_S": "10"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("TEDDY_ACCES_TTL_S", done.stderr)
        done = self.run_teddyd(env={"TEDDY_ACCESS_TTL_S": "1"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("TEDDY_ACCESS_TTL_S", done.stderr)

    def test_usage(self):
        for args in (("--trusted-proxies", "nonsense"), ("--no-such-key", "1"), ("--access-ttl-s",), ("positional",), ("--access-ttl-s", "x")):
            with self.subTest(args):
                self.assertEqual(self.run_teddyd(*args).returncode, 2)

    def test_help_and_version(self):
        for flag in ("--help", "--version", "--help-config"):
            done = self.run_teddyd(flag)
            self.assertEqual(done.returncode, 0)
            self.assertTrue(done.stdout)

    def test_missing_files(self):
        done = self.run_teddyd("--config", "/nonexistent/teddy.conf")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/teddy.conf", done.stderr)
        done = self.run_teddyd("--script-rules", "/nonexistent/rules")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/rules", done.stderr)

    def test_address_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.run_teddyd("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(taken.getsockname()[1]) if taken.fileno() != -1 else "127.0.0.1", done.stderr)

    def test_plain_beyond_loopback(self):
        done = self.run_teddyd("--no-tls", "--listen", "0.0.0.0:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("trusted_proxies", done.stderr)

    def test_a_data_directory_that_cannot_be(self):
        with tempfile.NamedTemporaryFile() as f:
            done = subprocess.run([program("teddyd"), "--data", f.name, "--listen", "127.0.0.1:0"], capture_output=True,
                                  text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f.name, done.stderr)

    def test_not_a_database(self):
        with tempfile.TemporaryDirectory() as data:
            server = Server(data=data)
            server.close()
            for name in os.listdir(data):
                if re.search(r"\.(db|sqlite3?)$", name):
                    with open(os.path.join(data, name), "wb") as f:
                        f.write(b"garbage" * 1000)
            done = subprocess.run(server.arguments(), capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(data, done.stderr)

    def test_a_newer_database(self):
        with tempfile.TemporaryDirectory() as data:
            server = Server(data=data)
            server.close()
            db = server.database()
            db.execute("pragma user_version = 99")
            db.close()
            done = subprocess.run(server.arguments(), capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("version 99", done.stderr)
            done = server.ctl("device", "list", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("version 99", done.stderr)

    def test_the_files_are_private(self):
        old = os.umask(0)
        try:
            server = Server()
        finally:
            os.umask(old)
        try:
            server.add().claim()
            names = os.listdir(server.data)
            for name in ("ca.crt", "ca.key", "server.crt", "server.key", "ticket-keys", "jwt-keys.json", "teddy.db", "teddy.db-wal"):
                self.assertIn(name, names)
            for name in names:
                self.assertEqual(os.stat(os.path.join(server.data, name)).st_mode & 0o777, 0o600, name)
        finally:
            server.close()

    def test_a_log_that_takes_no_more(self):
        """A limit on the size of files ends the log, not the server."""
        with tempfile.TemporaryDirectory() as data, tempfile.NamedTemporaryFile() as log:
            server = Server(data=data, start=False)
            with subprocess.Popen(server.arguments(), stdout=subprocess.PIPE, stderr=log, text=True) as process:
                try:
                    ready = re.match(r"ready (https)://([^:]+):(\d+)$", process.stdout.readline())
                    server.scheme, server.host, server.port = ready[1], ready[2], int(ready[3])
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
                    for _ in range(2):
                        self.assertEqual(server.get("/healthz").status_code, 200)
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                finally:
                    process.terminate()
                self.assertEqual(process.wait(PATIENCE), 0)

    def test_precedence(self):
        """A flag over the environment over the file."""
        path = self.config("access_ttl_s = 100\nrefresh_ttl_s = 1000\n")
        server = Server(config=path, env={"TEDDY_ACCESS_TTL_S": "200"})
        try:
            self.assertIn(server.add().claim()["expires_in"], range(101, 201))  # seconds may have passed
            server.terminate()
            server.config["access_ttl_s"] = 300
            server.start()
            self.assertIn(server.add().claim()["expires_in"], range(201, 301))
        finally:
            server.close()

    def test_port_in_the_environment(self):
        port = lasting_port()
        data = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, data)
        server = Server(data=data, start=False, env={"PORT": str(port)})
        server.arguments = lambda: [program("teddyd"), "--data", data]
        server.start()
        try:
            self.assertEqual(server.port, port)
        finally:
            server.close()


class Drain(unittest.TestCase):
    def test_requests_in_flight_are_answered(self):
        server = Server(**Case.UNLIMITED, loops=1)  # one loop reads in the order in which we send
        try:
            toy = server.add()
            claim = json.dumps(toy.body()).encode()
            head = (f"POST /api/v1/pair/claim HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(claim)}\r\n\r\n").encode()
            idle, in_head, in_body, handled = (server.raw() for _ in range(4))
            for s in (idle, in_head, in_body, handled):  # each is known to be there
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertIn(b"200 OK", s.recv(4096))
            db = server.database()
            db.execute("begin immediate")  # the store's writer waits, and the claim with it
            in_head.sendall(head[:40])
            in_body.sendall(head + claim[:10])
            handled.sendall(head + json.dumps(toy.body()).encode())
            while json.loads(server.ctl("--json", "status").stdout)["requests"] < 2:  # itself and the claim
                pass
            server.process.send_signal(signal.SIGTERM)
            server.log.wait("event=draining")
            db.execute("rollback")
            db.close()
            in_head.sendall(head[40:] + json.dumps(toy.body()).encode())
            in_body.sendall(claim[10:])
            self.assertNotIn(b"HTTP/1.1", read_all(idle))
            for s in (handled, in_head, in_body):
                self.assertIn(b"HTTP/1.1 200", read_all(s))
            for s in (idle, in_head, in_body, handled):
                s.close()
            self.assertEqual(server.process.wait(PATIENCE), 0)
        finally:
            server.close()


class Connections(Case):
    CONFIG = {"connections_max": 16, "head_timeout_ms": 60000}

    def test_far_over_the_limit_they_are_closed_at_once(self):
        held, refused = [], 0
        try:
            for _ in range(60):
                try:
                    held.append(self.server.raw())
                except OSError:
                    refused += 1
            self.assertEqual((len(held), refused), (33, 27))  # a sixteenth and 16 more
        finally:
            for s in held:
                s.close()
        end = time.monotonic() + PATIENCE
        while True:  # served again as soon as those have left
            try:
                self.assertEqual(self.server.get("/healthz").status_code, 200)
                break
            except OSError:
                self.assertLess(time.monotonic(), end)


class Proxies(Case):
    CONFIG = {"trusted_proxies": "127.0.5.1/32, 127.0.6.0/24", "claim_failures_per_address_min": 2}
    UNLIMITED = {}

    def claim(self, source, forwarded=None):
        headers = {"Content-Type": "application/json"}
        if forwarded:
            headers["X-Forwarded-For"] = forwarded
        return self.server.post("/api/v1/pair/claim", b"{", source=source, headers=headers).status_code

    def exhaust(self, source, forwarded):
        self.assertEqual([self.claim(source, forwarded) for _ in range(3)], [400, 400, 429])

    def test_behind_a_trusted_proxy_the_client_counts(self):
        self.exhaust("127.0.5.1", "203.0.113.1")
        self.assertEqual(self.claim("127.0.5.1", "203.0.113.2"), 400)
        # What the client itself put before its own address is not believed.
        self.assertEqual(self.claim("127.0.5.1", "198.51.100.7, 203.0.113.1"), 429)
        # A chain of trusted proxies is walked through.
        self.assertEqual(self.claim("127.0.5.1", "203.0.113.1, 127.0.6.9"), 429)
        # It is the same client through another trusted proxy.
        self.assertEqual(self.claim("127.0.6.77", "203.0.113.1"), 429)

    def test_ipv6_counts_by_its_64(self):
        self.exhaust("127.0.5.1", "2001:db8:1:2::1")
        self.assertEqual(self.claim("127.0.5.1", "2001:db8:1:2:ffff::9"), 429)
        self.assertEqual(self.claim("127.0.5.1", "2001:db8:1:3::1"), 400)

    def test_an_untrusted_peer_is_itself(self):
        self.assertEqual([self.claim("127.0.7.1", f"203.0.113.{n}") for n in range(50, 53)], [400, 400, 429])

    def test_without_the_field_the_proxy_itself_counts(self):
        self.assertEqual([self.claim("127.0.6.1") for _ in range(3)], [400, 400, 429])

    async def test_the_list_of_sessions_shows_the_client(self):
        for source, forwarded, shown in (("127.0.5.1", "203.0.113.9:4711", "203.0.113.9"), ("127.0.5.1", "2001:db8::7", "2001:db8::7"),
                                         ("127.0.7.1", "203.0.113.9", "127.0.7.1")):
            toy = self.server.add()
            async with toy.connect(toy.claim()["access"], source=source, extra_headers={"X-Forwarded-For": forwarded}) as ws:
                await hello(ws)
                listed = json.loads(self.server.ctl("--json", "session", "list").stdout)["sessions"]
                self.assertEqual([s["address"] for s in listed if s["device_id"] == toy.device_id], [shown])


class Plain(Case):
    """--no-tls on loopback, behind a proxy that ends TLS."""

    CONFIG = {"tls": "off", "trusted_proxies": "127.0.0.1"}

    async def test_the_whole_path(self):
        self.assertEqual(self.server.scheme, "http")
        toy = self.server.add()
        async with toy.connect(bearer=toy.claim()["access"]) as ws:
            await hello(ws)
            await ws.send("hi")
            self.assertEqual((await receive(ws))["type"], "echo")


if __name__ == "__main__":
    main()
