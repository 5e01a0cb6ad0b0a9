"""What the integration tests share: a teddyd of their own, toys registered through teddyctl, and an
independent client (requests, websockets, PyJWT, raw TLS sockets) that uses none of the project's code.

Where the programs are comes from TEST_BUILD. Every server gets a data directory of its own and port 0."""

import base64
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import requests
import requests.adapters
import websockets

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../cli"))
from terminal import read_to_end  # noqa: E402, F401

BUILD = os.environ.get("TEST_BUILD", os.path.join(os.path.dirname(__file__), "../../build"))
PATIENCE = float(os.environ.get("TEST_PATIENCE", "30"))  # seconds that something awaited may take
SANITIZED = bool(os.environ.get("TEST_SANITIZE"))

logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a test blocks its own loop for a moment is fine

# Settings of the machine's own server must not reach the ones under test.
for name in [n for n in os.environ if n.startswith("TEDDY_") or n == "PORT"]:
    del os.environ[name]

VECTOR_DEVICE = "Teddy-ESP32-0001"
VECTOR_CHILD = "child123"
VECTOR_SECRET = "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
CLAIM = "/api/v1/pair/claim"
REFRESH = "/api/v1/token/refresh"


def lasting_port():
    """A port to come back to: below those that the system hands out, so that nobody else is given it meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low = int(f.read().split()[0])
    while True:
        port = secrets.randbelow(low - 10240) + 10240
        try:
            with socket.create_server(("0.0.0.0", port)):
                return port
        except OSError:
            continue


def rounds(plain, sanitized):
    """How often something is repeated: a sanitizer is slow, and finds what it finds in fewer."""
    return sanitized if SANITIZED else plain


def own_mounts():
    """Whether a process may have mounts of its own: root may, but not everywhere; in a chroot the root is no mount."""
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def program(name):
    return os.path.join(BUILD, name)


def keys_of(recent):
    """(nonce, MAC, when) of each entry of a device's `recent`, the newest that the store accepted."""
    at = 1
    while at < len(recent):
        end = at + 5 + recent[at + 4]
        yield recent[at + 5:end], recent[end:end + 32], int.from_bytes(recent[at:at + 4], "big")
        at = end + 32


class Output:
    """Collects a stream line by line; what is awaited is waited for, never slept for."""

    def __init__(self, stream):
        self.lines = []
        self.ended = False
        self.changed = threading.Condition()
        self.stream = stream
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.stream:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait(self, pattern, timeout=None, start=0):
        """The first match of the pattern in a line from `start` on; AssertionError with all lines otherwise."""
        timeout = PATIENCE if timeout is None else timeout
        end = time.monotonic() + timeout
        at = start
        with self.changed:
            while True:
                while at < len(self.lines):
                    found = re.search(pattern, self.lines[at])
                    at += 1
                    if found:
                        return found
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    shown = "\n".join(self.lines[-60:])
                    raise AssertionError(f"no line matched {pattern!r} in {timeout} s; output:\n{shown}")
                self.changed.wait(left)


class Server:
    """A running teddyd. Keys of its configuration are keyword arguments, e.g. access_ttl_s=10."""

    def __init__(self, data=None, start=True, env=None, **config):
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="teddy-it-")
        self.config = config
        self.env = env or {}
        self.process = None
        self.logs = []  # of earlier lives
        if start:
            self.start()

    def arguments(self):
        config = {"listen": "127.0.0.1:0", **self.config}
        args = [program("teddyd"), "--data", self.data]
        for key, value in config.items():
            args += ["--" + key.replace("_", "-"), str(value)]
        return args

    def start(self):
        self.process = subprocess.Popen(
            self.arguments(), env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace")
        self.out = Output(self.process.stdout)
        self.log = Output(self.process.stderr)
        try:
            ready = self.out.wait(r"^ready (https?)://([^ ]+):(\d+)$")
        except AssertionError as e:
            self.process.kill()
            self.process.wait()
            self._gone()
            raise AssertionError(f"teddyd did not get ready: {e}\nlog:\n{self.log.text()}") from None
        self.scheme, self.host, self.port = ready[1], ready[2], int(ready[3])
        return self

    @property
    def url(self):
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def ws_url(self):
        return f"{'wss' if self.scheme == 'https' else 'ws'}://{self.host}:{self.port}"

    @property
    def ca(self):
        return os.path.join(self.data, "ca.crt")

    def tls(self):
        context = ssl.create_default_context(cafile=self.ca)
        return context

    def all_logs(self):
        return "\n".join(self.logs + [self.log.text(), self.out.text()])

    def _gone(self):
        self.log.thread.join(PATIENCE)
        self.out.thread.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()
        self.logs.append(self.log.text())

    def kill(self):
        """As a power cut does it."""
        self.process.kill()
        self.process.wait()
        self._gone()

    def terminate(self):
        """SIGTERM; checks what must hold at every end: status 0 and no finding of a sanitizer."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError("teddyd did not end after SIGTERM; log:\n" + self.log.text()[-4000:]) from None
        self._gone()
        self.check_clean(status)

    def check_clean(self, status):
        log = self.log.text()
        finding = re.search(r"(?:ERROR|WARNING): \w*Sanitizer|runtime error:", log)
        if status != 0 or finding:
            raise AssertionError(f"teddyd ended with status {status}; log:\n{log[-8000:]}")

    def restart(self):
        self.terminate()
        self.start()

    def close(self):
        try:
            if self.process and self.process.poll() is None:
                self.terminate()
            elif self.process and self.process.returncode != -signal.SIGKILL:
                self._gone()
                self.check_clean(self.process.returncode)
        finally:
            if self.own_data:
                shutil.rmtree(self.data, ignore_errors=True)

    # -- teddyctl --

    def ctl(self, *args, check=True):
        done = subprocess.run([program("teddyctl"), "--data", self.data, *args], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        if check and done.returncode != 0:
            raise AssertionError(f"teddyctl {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}\n"
                                 + self.log.text()[-4000:])
        return done

    def add(self, device_id=None, secret=None):
        """Registers a toy; returns it."""
        device_id = device_id or "toy-" + secrets.token_hex(6)
        extra = ["--secret", secret] if secret else []
        made = json.loads(self.ctl("device", "add", device_id, *extra).stdout)
        assert made["device_id"] == device_id, made
        return Toy(self, device_id, made["oob_secret"])

    # -- what is beside the public listener --

    def admin(self, method, path, body=None, kind="application/json"):
        """A request on the admin socket: (status, object)."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(os.path.join(self.data, "admin.sock"))
            head = f"{method} /api/v1/admin{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            if body is not None:
                head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            s.sendall(head.encode() + b"\r\n" + (body or b""))
            answer = read_all(s)
        return status_of(answer), json.loads(answer.split(b"\r\n\r\n", 1)[1])

    def admin_token(self, role, *options):
        return self.ctl("admin-token", "create", "--role", role, *options).stdout.strip()

    def admin_url(self):
        """Of the admin API over HTTPS; the configuration must have admin_listen."""
        host, port = self.log.wait(r"admin_listening host=([^ ]+) port=(\d+)").groups()
        return f"https://{host}:{port}/api/v1/admin"

    def ask_admin(self, method, path, token=None, source=None, **kw):
        """A request over HTTPS with this token."""
        headers = {**kw.pop("headers", {}), **({"Authorization": "Bearer " + token} if token else {})}
        with self.session(source) as s:
            return s.request(method, self.admin_url() + path, headers=headers, timeout=PATIENCE, **kw)

    def metric(self, name):
        """A counter's value; the configuration must have metrics_listen."""
        port = self.log.wait(r"event=metrics_listening .*port=(\d+)")[1]
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
        return int(re.search(rf"(?m)^{re.escape(name)} (\d+)$", text)[1])

    # -- HTTP --

    def session(self, source=None):
        """A requests session that trusts the server's authority, from the client address `source`."""
        s = requests.Session()
        s.verify = self.ca
        s.trust_env = False
        if source:
            s.mount("https://", FromAddress(source))
            s.mount("http://", FromAddress(source))
        return s

    def request(self, method, path, source=None, **kw):
        with self.session(source) as s:
            return s.request(method, self.url + path, timeout=PATIENCE, **kw)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body, source=None, **kw):
        if isinstance(body, (dict, list)):
            kw.setdefault("json", body)
        else:
            kw.setdefault("data", body)
            kw.setdefault("headers", {}).setdefault("Content-Type", "application/json")
        return self.request("POST", path, source=source, **kw)

    # -- raw TLS --

    def raw(self, source=None, context=None):
        plain = socket.create_connection((self.host, self.port), PATIENCE, (source, 0) if source else None)
        if self.scheme == "http":
            return plain
        return (context or self.tls()).wrap_socket(plain, server_hostname=self.host)

    def exchange(self, data, source=None):
        """Sends bytes and reads until the server closes."""
        with self.raw(source) as s:
            s.sendall(data)
            return read_all(s)

    # -- the store, from another process's view --

    def database(self):
        found = [os.path.join(self.data, f) for f in os.listdir(self.data) if re.search(r"\.(db|sqlite3?)$", f)]
        assert len(found) == 1, os.listdir(self.data)
        return sqlite3.connect(found[0], timeout=PATIENCE, isolation_level=None)

    def tables(self):
        with closing(self.database()) as db:
            return [r[0] for r in db.execute("select name from sqlite_master where type = 'table'")
                    if not r[0].startswith("sqlite_")]

    def broken_store(self):
        """A context in which every table is gone, as far as the server can see."""
        return BrokenStore(self)

    def signing_keys(self):
        """The private JWKS of the data directory."""
        for name in sorted(os.listdir(self.data)):
            path = os.path.join(self.data, name)
            if os.path.isfile(path) and os.path.getsize(path) < 100000 and not name.endswith((".db", ".sqlite")):
                try:
                    with open(path) as f:
                        keys = json.load(f)
                except ValueError:
                    continue
                if isinstance(keys, dict) and "keys" in keys:
                    mode = os.stat(path).st_mode & 0o777
                    assert mode == 0o600, f"{name} has mode {mode:o}"
                    return keys["keys"]
        raise AssertionError(f"no JWKS file in {os.listdir(self.data)}")


class BrokenStore:
    def __init__(self, server):
        self.server = server

    def _rename(self, to_broken):
        with closing(self.server.database()) as db:
            names = [r[0] for r in db.execute("select name from sqlite_master where type = 'table'")
                     if not r[0].startswith("sqlite_")]
            db.execute("begin immediate")
            for name in names:
                if to_broken:
                    db.execute(f'alter table "{name}" rename to "broken_{name}"')
                elif name.startswith("broken_"):
                    db.execute(f'alter table "{name}" rename to "{name[len("broken_"):]}"')
            db.execute("commit")

    def __enter__(self):
        self._rename(True)

    def __exit__(self, *exc):
        self._rename(False)


class closing:
    """contextlib.closing that also commits nothing: for sqlite3 connections."""

    def __init__(self, thing):
        self.thing = thing

    def __enter__(self):
        return self.thing

    def __exit__(self, *exc):
        self.thing.close()


class FromAddress(requests.adapters.HTTPAdapter):
    def __init__(self, source):
        self.source = source
        super().__init__()

    def init_poolmanager(self, *args, **kw):
        kw["source_address"] = (self.source, 0)
        super().init_poolmanager(*args, **kw)


def read_all(s, limit=1 << 20):
    """What arrives until the peer closes; an end without close_notify or a reset is an end too."""
    got = b""
    try:
        while len(got) < limit:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
    except (ssl.SSLEOFError, ConnectionResetError, BrokenPipeError):
        pass
    return got


def status_of(answer):
    """The status of a raw HTTP answer."""
    line = answer.split(b"\r\n", 1)[0].decode("latin-1")
    assert line.startswith("HTTP/1.1 "), answer[:200]
    return int(line.split(" ")[1])


class Toy:
    """A device as its maker's firmware would be: it knows its id, its secret and its child."""

    def __init__(self, server, device_id, secret, child_id="child-1"):
        self.server, self.device_id, self.secret, self.child_id = server, device_id, secret, child_id

    def mac(self, nonce, child_id=None, device_id=None, decoded=False):
        message = ((device_id or self.device_id) + (child_id or self.child_id)).encode()
        message += bytes.fromhex(nonce) if decoded else nonce.encode()
        return hmac.new(bytes.fromhex(self.secret), message, hashlib.sha256).hexdigest()

    def body(self, nonce=None, child_id=None, **extra):
        nonce = nonce or secrets.token_hex(12)
        child_id = child_id or self.child_id
        return {"device_id": self.device_id, "child_id": child_id, "nonce": nonce,
                "hmac_hex": self.mac(nonce, child_id), **extra}

    def post_claim(self, body=None, **kw):
        return self.server.post(CLAIM, body or self.body(), **kw)

    def claim(self, **kw):
        """Claims and returns the answer's members."""
        answer = self.post_claim(**kw)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def post_refresh(self, token, member="refresh", **kw):
        return self.server.post(REFRESH, {member: token}, **kw)

    def url(self, token=None, device_id=None):
        path = f"{self.server.ws_url}/ws/esp32/{device_id or self.device_id}"
        return path + (f"?token={token}" if token is not None else "")

    def connect(self, token=None, bearer=None, device_id=None, source=None, **kw):
        """A websockets connection (await it)."""
        if bearer is not None:
            kw.setdefault("extra_headers", {})["Authorization"] = "Bearer " + bearer
        if self.server.scheme == "https":
            kw["ssl"] = self.server.tls()
        if source:
            kw["local_addr"] = (source, 0)
        kw.setdefault("ping_interval", None)
        kw.setdefault("open_timeout", PATIENCE)
        kw.setdefault("close_timeout", PATIENCE)
        return websockets.connect(self.url(token, device_id), **kw)


class RawWs:
    """A WebSocket client that sends whatever bytes it is told to."""

    def __init__(self, server, path, headers=(), source=None):
        self.s = server.raw(source)
        self.key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {server.host}:{server.port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {self.key}", "Sec-WebSocket-Version: 13", *headers]
        self.s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            piece = self.s.recv(65536)
            assert piece, self.buffer
            self.buffer += piece
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = status_of(head)
        self.head = head.decode("latin-1")
        if self.status == 101:
            accept = base64.b64encode(hashlib.sha1(
                (self.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
            assert f"sec-websocket-accept: {accept}".lower() in self.head.lower(), self.head

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()

    def frame(self, opcode, payload=b"", fin=True, masked=True, rsv=0, length=None):
        """A frame's bytes; `length` replaces the payload's own in the header: (form, value)."""
        first = (0x80 if fin else 0) | (rsv << 4) | opcode
        form, value = length or (None, len(payload))
        if form is None:
            form = 7 if value < 126 else 16 if value < 65536 else 64
        size = {7: bytes([value & 0x7F]), 16: b"\x7e" + (value & 0xFFFF).to_bytes(2, "big"),
                64: b"\x7f" + value.to_bytes(8, "big")}[form]
        size = bytes([size[0] | (0x80 if masked else 0)]) + size[1:]
        if not masked:
            return bytes([first]) + size + payload
        mask = os.urandom(4)
        return bytes([first]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    def send(self, *args, **kw):
        self.s.sendall(self.frame(*args, **kw))

    def text(self, text):
        self.send(1, text.encode())

    def _need(self, n):
        while len(self.buffer) < n:
            piece = self.s.recv(65536)
            if not piece:
                raise EOFError(self.buffer)
            self.buffer += piece

    def receive(self):
        """The next frame: (opcode, payload)."""
        self._need(2)
        opcode, length, at = self.buffer[0] & 0x0F, self.buffer[1] & 0x7F, 2
        assert self.buffer[0] & 0x80 and not self.buffer[1] & 0x80, "the server sends whole, unmasked frames"
        if length == 126:
            self._need(4)
            length, at = int.from_bytes(self.buffer[2:4], "big"), 4
        elif length == 127:
            self._need(10)
            length, at = int.from_bytes(self.buffer[2:10], "big"), 10
        self._need(at + length)
        payload, self.buffer = self.buffer[at:at + length], self.buffer[at + length:]
        return opcode, payload

    def close_frame(self):
        """Reads on to the close frame: (code, reason)."""
        while True:
            opcode, payload = self.receive()
            if opcode == 8:
                return (int.from_bytes(payload[:2], "big"), payload[2:].decode()) if payload else (1005, "")


async def closed(ws):
    """Waits until the server has closed: (code, reason)."""
    import asyncio
    await asyncio.wait_for(ws.wait_closed(), PATIENCE)
    return ws.close_code, ws.close_reason


async def receive(ws):
    """The next message, as an object."""
    import asyncio
    return json.loads(await asyncio.wait_for(ws.recv(), PATIENCE))


async def receive_type(ws, kind):
    """The next message of that type; others before it are let pass."""
    while True:
        message = await receive(ws)
        if message["type"] == kind:
            return message


async def answer(ws, seq):
    """Everything sent for that utterance, to its end: [messages]."""
    got = []
    while True:
        message = await receive(ws)
        if message.get("seq") != seq:
            continue
        got.append(message)
        if message["type"] == "error" or message.get("done"):
            return got


async def hello(ws, **members):
    await ws.send(json.dumps({"type": "hello", "sdk": "it", "firmware": "1", **members}))
    welcome = await receive(ws)
    assert welcome["type"] == "welcome", welcome
    return welcome


def sid_of(token):
    """The token family of a token."""
    return json.loads(unb64url(token.split(".")[1]))["sid"]


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Case(unittest.IsolatedAsyncioTestCase):
    """A test class with one server for all its tests; CONFIG is the server's configuration."""

    CONFIG = {}
    # No limit stands in the way of tests that provoke refusals from one address; those of limits set their own.
    UNLIMITED = {"claim_failures_per_address_min": 0, "refresh_failures_per_address_min": 0,
                 "upgrade_refusals_per_address_min": 0}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**{**cls.UNLIMITED, **cls.CONFIG})

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def problem(self, answer, status, code=None):
        """Checks an RFC 9457 answer and returns its members."""
        self.assertEqual(answer.status_code, status, answer.text)
        self.assertEqual(answer.headers["Content-Type"].split(";")[0], "application/problem+json")
        body = answer.json()
        for member in ("type", "title", "status", "detail", "request_id", "code"):
            self.assertIn(member, body)
        self.assertEqual(body["status"], status)
        self.assertRegex(body["code"], r"^[a-z][a-z0-9_]*$")
        self.assertRegex(body["request_id"], r"^[0-9a-f]{8,}$")
        if code:
            self.assertEqual(body["code"], code)
        return body

    async def refused(self, connection, code, word):
        """Connects, and checks that the upgrade is completed and closed with code and word. Returns the reason."""
        ws = await connection
        got, reason = await closed(ws)
        self.assertEqual((got, reason.split(" ")[0]), (code, word))
        return reason


def main():
    unittest.main(verbosity=2)
