"""teddy-load: each mode against the real server, and what it says of one that lies."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import secrets
import struct
import subprocess
import tempfile
import threading
import unittest

import harness

DEVICES = 40
OPEN = {"echo_route": "on", "processor": "echo", "messages_per_s": 0, "claims_per_device_min": 0,
        "requests_per_address_min": 0, "refreshes_per_device_min": 0, "claim_failures_per_address_min": 0,
        "retry_min_ms": 0, "retry_max_ms": 200}
MEMBERS = {"mode", "connections", "operations", "errors", "wrong_bytes", "seconds", "load_cpu_s", "server_cpu_s",
           "p50_us", "p99_us", "max_us", "bottleneck"}


def start(mode, *args):
    return subprocess.Popen([harness.program("teddy-load"), mode, *map(str, args)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    """(status, the last line as an object, stderr)"""
    out, err = process.communicate(timeout=10 * harness.PATIENCE)
    lines = out.splitlines()
    return process.returncode, json.loads(lines[-1]) if lines else None, err


def load(mode, *args):
    return finish(start(mode, *args))


class Real(unittest.TestCase):
    """Against teddyd over TLS, whose certificate is checked."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.devices = os.path.join(cls.folder.name, "devices.csv")
        cls.tokens = os.path.join(cls.folder.name, "tokens")
        with open(cls.devices, "w") as f:
            f.writelines(f"load-{i},{secrets.token_hex(32)}\n" for i in range(DEVICES))
        cls.server = harness.Server(listen=f"127.0.0.1:{harness.lasting_port()}", **OPEN)
        cls.server.ctl("import", cls.devices)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.folder.cleanup()

    def run_load(self, mode, path, *args, status=0):
        scheme = self.server.url if mode == "claims" else self.server.ws_url
        done, result, err = load(mode, "--url", scheme + path, "--ca", self.server.ca, "--server-pid",
                                 self.server.process.pid, *args)
        self.assertEqual(done, status, f"{result}\n{err}")
        if status == 0:
            self.check(result, mode)
        return result

    def check(self, result, mode):
        self.assertLessEqual(MEMBERS, set(result))
        self.assertEqual((result["mode"], result["errors"], result["wrong_bytes"]), (mode, 0, 0))
        self.assertGreater(result["operations"], 0)
        self.assertLessEqual(result["p50_us"], result["p99_us"])
        self.assertLessEqual(result["p99_us"], result["max_us"])

    def test_seconds_may_be_a_part_of_one(self):
        for seconds, status in ((0.2, 1), (0.05, 2), ("0.2x", 2), ("nan", 2)):  # nobody listens there
            done, _, err = load("echo", "--url", "ws://127.0.0.1:1/", "--seconds", seconds)
            self.assertEqual(done, status, err)

    def claim_all(self):
        result = self.run_load("claims", "", "--devices-file", self.devices, "--connections", 4, "--operations",
                               DEVICES, "--write-tokens", self.tokens)
        self.assertEqual(result["operations"], DEVICES)

    def test_echo(self):
        """The server's own CPU is counted, and both forms of echo are understood."""
        result = self.run_load("echo", "/ws/echo", "--connections", 20, "--seconds", 0.3, "--in-flight", 3)
        self.assertGreater(result["server_cpu_s"], 0)
        self.assertGreater(result["load_cpu_s"], 0)
        self.run_load("echo", "/ws/echo", "--size", 60000, "--connections", 3, "--seconds", 0.2)
        self.run_load("echo", "/ws/echo", "--size", 1, "--connections", 2, "--seconds", 0.3, "--rate", 100)
        self.claim_all()
        self.run_load("echo", "/ws/esp32", "--tokens-file", self.tokens, "--connections", DEVICES, "--seconds", 0.3,
                      "--format", "teddy")

    def test_a_session_is_no_raw_echo(self):
        """What comes back as JSON is not what was said."""
        self.claim_all()
        result = self.run_load("echo", "/ws/esp32", "--tokens-file", self.tokens, "--seconds", 5, status=1)
        self.assertGreater(result["wrong_bytes"], 0)

    def test_turns(self):
        """Connections are opened once; each line is a turn with a result of its own; the end of stdin ends it."""
        process = start("echo", "--url", self.server.ws_url + "/ws/echo", "--connections", 12, "--turns", "--seconds",
                        0.2, "--server-pid", self.server.process.pid)
        self.assertEqual(json.loads(process.stdout.readline()), {"opened": 12})
        for _ in range(2):
            process.stdin.write("\n")
            process.stdin.flush()
            result = json.loads(process.stdout.readline())
            self.check(result, "echo")
        out, err = process.communicate(timeout=harness.PATIENCE)  # closes stdin
        self.assertEqual((process.returncode, out), (0, ""), err)
        self.assertEqual(load("idle", "--url", "ws://127.0.0.1:1/", "--turns")[0], 2)

    def test_a_connection_lost_between_turns_is_noticed(self):
        with contextlib.closing(harness.Server(**OPEN)) as server:
            process = start("echo", "--url", server.ws_url + "/ws/echo", "--connections", 5, "--turns")
            process.stdout.readline()
            server.terminate()
            process.wait(harness.PATIENCE)  # by itself: stdin is open
            self.assertEqual(process.returncode, 1)
            self.assertIn("closed", finish(process)[2])

    def test_idle(self):
        process = start("idle", "--url", self.server.ws_url + "/ws/echo", "--connections", 30, "--spread")
        self.assertEqual(json.loads(process.stdout.readline()), {"opened": 30})
        self.assertIsNone(process.poll())
        status, result, err = finish(process)  # closes stdin
        self.assertEqual(status, 0, err)
        self.check(result, "idle")

    def test_a_lost_idle_session_is_noticed(self):
        with contextlib.closing(harness.Server(**OPEN)) as server:
            process = start("idle", "--url", server.ws_url + "/ws/echo", "--connections", 5)
            process.stdout.readline()
            server.terminate()
            process.wait(harness.PATIENCE)  # by itself: stdin is open
            status, _, err = finish(process)
            self.assertEqual(status, 1)
            self.assertIn("closed", err)

    def test_handshake(self):
        args = ("--seconds", 0.3, "--concurrency", 4)
        self.assertEqual(self.run_load("handshake", "/ws/echo", *args)["resumed"], 0)
        for version in ("1.2", "1.3"):
            result = self.run_load("handshake", "/ws/echo", "--resume", "--tls", version, *args)
            self.assertEqual(result["resumed"], result["operations"], version)
        self.claim_all()
        self.run_load("handshake", "/ws/esp32", "--tokens-file", self.tokens, *args)

    def test_a_refused_handshake_is_noticed(self):
        """The upgrade is completed, and then closed with 1008."""
        result = self.run_load("handshake", "/ws/esp32/load-1", "--seconds", 5, status=1)
        self.assertEqual(result["errors"], 1)

    def test_claims(self):
        self.run_load("claims", "", "--devices-file", self.devices, "--connections", 4, "--seconds", 0.3)
        self.run_load("claims", "", "--devices-file", self.devices, "--connections", 4, "--seconds", 0.3, "--rate", 50)

    def test_a_refused_claim_is_noticed(self):
        other = os.path.join(self.folder.name, "other.csv")
        with open(other, "w") as f:
            f.write(f"load-1,{secrets.token_hex(32)}\n")
        self.run_load("claims", "", "--devices-file", other, "--seconds", 5, status=1)

    def storm(self, *args, stop):
        """The server goes and is there again under DEVICES sessions."""
        self.claim_all()
        process = start("storm", "--url", self.server.ws_url + "/ws/esp32", "--ca", self.server.ca, "--tokens-file",
                        self.tokens, "--connections", DEVICES, "--backoff-ms", 20, "--concurrency", 7, *args)
        self.assertEqual(json.loads(process.stdout.readline()), {"opened": DEVICES})
        stop()
        self.server.start()
        status, result, err = finish(process)
        self.assertEqual(status, 0, f"{result}\n{err}")
        self.check(result, "storm")
        self.assertEqual(result["back"], DEVICES)
        self.assertLess(0, result["first_ms"])
        self.assertLessEqual(result["first_ms"], result["to_50_ms"])
        self.assertLessEqual(result["to_50_ms"], result["to_99_ms"])
        self.assertLessEqual(result["to_99_ms"], result["to_100_ms"])
        return result

    def test_storm(self):
        self.assertEqual(self.storm(stop=self.server.terminate)["refreshed"], 0)

    def test_storm_in_which_half_refresh(self):
        result = self.storm("--refresh-percent", 50, "--resume", stop=self.server.kill)
        self.assertEqual(result["refreshed"], DEVICES // 2)


def frame(opcode, payload):
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + size + payload


class Peer:
    """A WebSocket echo, in a thread, which answers as `answer(opcode, payload)` says: frames."""

    def __init__(self, answer, accept=lambda key: key):
        self.answer, self.accept = answer, accept
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,))
        self.thread.start()
        ready.wait(harness.PATIENCE)

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        server.close()
        for _ in range(3):  # what was just accepted becomes a task
            self.loop.run_until_complete(asyncio.sleep(0))
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.run_until_complete(server.wait_closed())
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def _serve(self, reader, writer):
        try:
            await self._talk(reader, writer)
        except (EOFError, ConnectionError, asyncio.CancelledError):
            pass  # the client has seen enough, or the test has
        finally:
            writer.close()

    async def _talk(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("POST"):
            writer.write(self.answer(0, b""))
            await reader.read()
            return
        key = head.split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        accept = self.accept(base64.b64encode(digest).decode())
        writer.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())
        while True:
            first, size = await reader.readexactly(2)
            size &= 0x7F
            if size == 126:
                size = struct.unpack(">H", await reader.readexactly(2))[0]
            mask = await reader.readexactly(4)
            payload = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size)))
            writer.write(self.answer(first & 0x0F, payload))

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(harness.PATIENCE)


def honest(opcode, payload):
    return frame({9: 10}.get(opcode, opcode), payload)


def flipped(opcode, payload):
    """The last byte's lowest bit."""
    return honest(opcode, payload[:-1] + bytes([payload[-1] ^ 1]))


class Late:
    """One message behind: each is right, but of another turn."""

    def __init__(self):
        self.last = None

    def __call__(self, opcode, payload):
        before, self.last = self.last or payload, payload
        return honest(opcode, before)


class Swapped:
    """What another connection said in the same turn: the first gets no answer, the second the first's; once."""

    def __init__(self):
        self.said = []

    def __call__(self, opcode, payload):
        self.said.append(payload)
        return {1: b"", 2: honest(opcode, self.said[0])}.get(len(self.said), honest(opcode, payload))


def tokens(access, status="200 OK"):
    body = json.dumps({"access": access, "refresh": "a.b.c", "token_type": "Bearer", "expires_in": 3600}).encode()
    return (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


class Lies(unittest.TestCase):
    def against(self, answer, mode, *args, accept=lambda key: key):
        with contextlib.closing(Peer(answer, accept)) as peer:
            scheme = "http" if mode == "claims" else "ws"
            return load(mode, "--url", f"{scheme}://127.0.0.1:{peer.port}/", *args)

    def test_an_honest_peer(self):
        """The peer of these tests is right as long as it does not lie."""
        for size in (1, 128, 4000):
            status, result, err = self.against(honest, "echo", "--size", size, "--connections", 3, "--seconds", 0.3)
            self.assertEqual((status, result["wrong_bytes"]), (0, 0), err)
        self.assertEqual(self.against(honest, "idle", "--connections", 3)[0], 0)
        self.assertEqual(self.against(honest, "handshake", "--seconds", 0.3)[0], 0)

    def test_wrong_echoes(self):
        lies = {
            "a bit": flipped,
            "cut": lambda o, p: honest(o, p[:-1]),
            "longer": lambda o, p: honest(o, p + b"x"),
            "twice": lambda o, p: 2 * honest(o, p),
            "binary": lambda o, p: honest(2, p),
            "empty": lambda o, p: honest(o, b""),
            "the last again": Late(),
            "another connection's": Swapped(),
            "in two, the second wrong": lambda o, p: (bytes([o, 64]) + p[:64] +
                                                      frame(0, p[64:-1] + b"!")),
        }
        for name, lie in lies.items():
            with self.subTest(name):
                status, result, err = self.against(lie, "echo", "--connections", 2, "--seconds", 5)  # it ends at once
                self.assertEqual(status, 1)
                self.assertGreater(result["wrong_bytes"], 0)
                self.assertIn("not what was said came back", err)

    def test_a_message_in_two_frames_is_fine(self):
        status, _, err = self.against(lambda o, p: bytes([o, 64]) + p[:64] + frame(0, p[64:]), "echo", "--seconds", 0.3)
        self.assertEqual(status, 0, err)

    def test_a_wrong_session_echo(self):
        """Its members may come in any order and spacing, but all of them must be right."""
        def says(seq, **more):
            def answer(opcode, payload):
                message = {"type": "echo", "seq": seq(), "text": payload.decode(), "done": True, **more}
                return frame(1, json.dumps(message).encode())
            return answer

        def counter():
            n = iter(range(1, 1 << 40))
            return lambda: next(n)

        args = ("echo", "--format", "teddy", "--seconds", 0.3)
        self.assertEqual(self.against(says(counter()), *args)[0], 0)  # spaced otherwise than ours
        args = ("echo", "--format", "teddy", "--seconds", 5)
        self.assertEqual(self.against(says(lambda: 1), *args)[0], 1)
        self.assertEqual(self.against(says(counter(), done=False), *args)[0], 1)
        self.assertEqual(self.against(says(counter(), text="else"), *args)[0], 1)

    def test_a_wrong_pong_and_a_wrong_key(self):
        for mode in ("idle", "storm"):
            status, result, err = self.against(flipped, mode)
            self.assertEqual((status, result["wrong_bytes"] > 0), (1, True), err)
        status, _, err = self.against(honest, "idle", accept=lambda key: ("C" if key[0] == "B" else "B") + key[1:])
        self.assertEqual(status, 1)
        self.assertIn("the upgrade was answered 101", err)

    def test_a_claim_without_its_tokens(self):
        with tempfile.NamedTemporaryFile("w") as devices:
            devices.write(f"load-1 {secrets.token_hex(32)}\n")
            devices.flush()
            args = ("claims", "--devices-file", devices.name, "--operations", 1)
            self.assertEqual(self.against(lambda o, p: tokens("a.b.c"), *args)[0], 0)
            for access in ("", "a.b", "a.b.c!"):
                status, result, _ = self.against(lambda o, p: tokens(access), *args)
                self.assertEqual((status, result["wrong_bytes"] > 0), (1, True), access)
            self.assertEqual(self.against(lambda o, p: tokens("a.b.c", "202 Accepted"), *args)[0], 1)

    def test_nobody_there(self):
        port = harness.lasting_port()
        for mode in ("echo", "idle", "handshake", "storm"):
            self.assertEqual(load(mode, "--url", f"ws://127.0.0.1:{port}/")[0], 1, mode)


class Usage(unittest.TestCase):
    def test_wrong_usage(self):
        for args in (["echo"], ["dance", "--url", "ws://127.0.0.1:1"], ["claims", "--url", "http://127.0.0.1:1"],
                     ["echo", "--url", "ws://127.0.0.1:1", "--size", "0"], ["echo", "idle", "--url", "ws://127.0.0.1:1"],
                     ["echo", "--url", "ws://127.0.0.1:1", "--format", "xml"]):
            self.assertEqual(load(*args)[0], 2, args)
        self.assertEqual(load("echo", "--url", "ftp://127.0.0.1")[0], 1)


if __name__ == "__main__":
    harness.main()
