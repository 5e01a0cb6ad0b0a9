"""Bad input: each has a bound and a documented answer, and the server goes on serving the others."""

import json
import os
import re
import select
import socket
import ssl
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

from harness import CLAIM, PATIENCE, Case, RawWs, main, read_all, status_of


class Hostile(Case):
    CONFIG = {"output_max": 65536, "messages_per_s": 0, "processor": "echo", "requests_per_address_min": 0}

    def tearDown(self):
        self.assertEqual(self.server.get("/healthz").status_code, 200)

    def tcp(self):
        return socket.create_connection((self.server.host, self.server.port), PATIENCE)

    def answers(self, data):
        """The statuses of all answers to these bytes, until the server closes."""
        got = self.server.exchange(data)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)], got


class Slow(Hostile):
    """Who is slow is not waited for; all of them at once."""

    WAIT = 3  # seconds; a machine may be busy for a while
    CONFIG = {**Hostile.CONFIG, "head_timeout_ms": 1000 * WAIT, "body_timeout_ms": 1000 * WAIT, "handshake_timeout_ms": 1000 * WAIT}

    def test_the_slow_and_the_silent(self):
        ways = (self.slow_head, self.drip, self.slow_body, self.silence, self.nobody_speaks, self.half_a_hello)
        with ThreadPoolExecutor(len(ways)) as pool:
            for done in [pool.submit(way) for way in ways]:
                done.result()

    def waited(self, start):
        """From before the connection was made on; less than would be waited without these settings."""
        self.assertTrue(self.WAIT <= time.monotonic() - start < 10, time.monotonic() - start)

    def slow_head(self):
        start = time.monotonic()
        with self.server.raw() as s:
            s.sendall(b"GET /healthz HTT")
            self.assertEqual(status_of(read_all(s)), 408)
            self.waited(start)

    def drip(self):
        """A byte at a time does not push the deadline on."""
        start, got = time.monotonic(), b""
        with self.server.raw() as s:
            s.settimeout(0.1)
            for byte in b"GET /healthz HTTP/1.1\r\nHost: " + b"a" * 500:
                try:
                    s.sendall(bytes([byte]))
                    got = s.recv(4096)
                    break
                except (socket.timeout, ssl.SSLWantReadError):
                    continue
                except OSError:
                    break
            self.assertLess(time.monotonic() - start, 10)
            self.assertTrue(got == b"" or status_of(got) == 408, got)

    def slow_body(self):
        with self.server.raw() as s:
            s.sendall(f"POST {CLAIM} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
            self.assertEqual(status_of(read_all(s)), 408)

    def silence(self):
        start = time.monotonic()
        with self.server.raw() as s:
            got = read_all(s)
            self.waited(start)
            self.assertTrue(got == b"" or status_of(got) == 408, got)

    def nobody_speaks(self):
        start = time.monotonic()
        held = [self.tcp() for _ in range(150)]
        for s in held:
            with s:
                self.assertEqual(read_all(s), b"")
        self.waited(start)

    def half_a_hello(self):
        out = ssl.MemoryBIO()
        client = self.server.tls().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = out.read()
        start = time.monotonic()
        held = [self.tcp() for _ in range(3)]
        for s, cut in zip(held, (1, 5, len(hello) // 2)):
            s.sendall(hello[:cut])
        for s in held:
            with s:
                read_all(s)
        self.waited(start)


class Heads(Hostile):
    def test_oversized_head(self):
        for data in (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8192 + b"\r\n\r\n",
                     b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 2000,
                     b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"x" * 20000):
            with self.subTest(data[:40]):
                self.assertEqual(self.answers(data)[0], [431])

    def test_the_largest_head(self):
        head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: "
        head += b"x" * (8192 - len(head) - 4) + b"\r\n\r\n"
        self.assertEqual(len(head), 8192)
        self.assertEqual(self.answers(head)[0], [200])

    def test_malformed(self):
        bad = {
            "garbage": os.urandom(300).replace(b"\n", b"x") + b"\r\n\r\n",
            "no version": b"GET /healthz\r\n\r\n",
            "lower case version": b"GET /healthz http/1.1\r\nHost: a\r\n\r\n",
            "two spaces": b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            "tab": b"GET\t/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            "bare lf": b"GET /healthz HTTP/1.1\nHost: a\n\n",
            "bare cr": b"GET /healthz HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            "folded": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
            "space before colon": b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
            "no colon": b"GET /healthz HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
            "empty name": b"GET /healthz HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
            "nul": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
            "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "non-ascii target": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        }
        for name, data in bad.items():
            with self.subTest(name):
                statuses, got = self.answers(data)
                self.assertEqual(statuses, [400], got)

    def test_other_versions(self):
        for version in (b"HTTP/2.0", b"HTTP/3.0", b"HTTP/0.9"):
            with self.subTest(version):
                statuses, got = self.answers(b"GET /healthz " + version + b"\r\nHost: a\r\n\r\n")
                self.assertEqual(len(statuses), 1, got)
                self.assertIn(statuses[0], (400, 505))
        statuses, got = self.answers(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertEqual(len(statuses), 1, got)
        self.assertIn(statuses[0], (400, 505))

    def test_smuggling(self):
        inner = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        base = f"POST {CLAIM} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
        bad = {
            "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            "two equal lengths": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            "a list of lengths": b"Content-Length: 2, 2\r\n\r\n{}",
            "signed length": b"Content-Length: +2\r\n\r\n{}",
            "negative length": b"Content-Length: -1\r\n\r\n{}",
            "hex length": b"Content-Length: 0x2\r\n\r\n{}",
            "huge length": b"Content-Length: 99999999999999999999999\r\n\r\n{}",
            "space in length": b"Content-Length: 1 0\r\n\r\n{}",
            "empty length": b"Content-Length: \r\n\r\n{}",
            "odd coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "two codings": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "chunked not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "chunked with a control": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
            "space before colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "chunk size signed": b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
            "chunk size 0x": b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
            "chunk size huge": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
            "chunk longer than said": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
            "chunk line with lf": b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
        }
        for name, rest in bad.items():
            with self.subTest(name):
                statuses, got = self.answers(base + rest + inner)
                self.assertEqual(len(statuses), 1, got)  # what follows is never taken for a request
                self.assertIn(statuses[0], (400, 411, 413, 501), got)

    def test_a_body_where_none_is_taken(self):
        statuses, got = self.answers(b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        self.assertEqual(len(statuses), 1, got)
        self.assertIn(statuses[0], (200, 400, 413))

    def test_pipelining(self):
        one = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        missing = b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        statuses, got = self.answers(one + missing + one + one + last)
        self.assertEqual(statuses, [200, 404, 200, 200, 200], got)

    def test_pipelined_claims_keep_their_order(self):
        toy = self.server.add()
        requests, expected = b"", []
        for n in range(6):
            body = json.dumps(toy.body() if n % 2 == 0 else {}).encode()
            requests += (f"POST {CLAIM} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {len(body)}\r\n" + ("Connection: close\r\n" if n == 5 else "") + "\r\n").encode() + body
            expected.append(200 if n % 2 == 0 else 422)
        self.assertEqual(self.answers(requests)[0], expected)

    def test_a_request_cut_everywhere(self):
        request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        for at in range(1, len(request), 7):
            with self.server.raw() as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.sendall(request[:at])
                s.sendall(request[at:])
                self.assertEqual(status_of(read_all(s)), 200)
            with self.server.raw() as s:  # and left there
                s.sendall(request[:at])

    def test_head_is_get_without_its_body(self):
        got = self.server.exchange(b"HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(status_of(got), 200)
        self.assertEqual(got.split(b"\r\n\r\n", 1)[1], b"")


class Tls(Hostile):
    def test_plain_http_and_garbage(self):
        for data in (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", os.urandom(2000), b"\x16\x03\x01\xff\xff" + b"x" * 3000):
            with self.subTest(data[:8]), self.tcp() as s:
                s.sendall(data)
                self.assertNotIn(b"HTTP/1.1 200", read_all(s))

    def test_versions(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.server.tls()
            context.minimum_version = context.maximum_version = version
            with self.server.raw(context=context) as s:
                self.assertEqual(s.version(), {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version])
                self.assertNotRegex(s.cipher()[0], "CBC|RC4|3DES|NULL|MD5")
        context = self.server.tls()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, OSError)):
            self.server.raw(context=context).close()

    def test_the_certificate_names_this_host(self):
        import requests
        for host in ("localhost", "127.0.0.1"):
            self.assertEqual(requests.get(f"https://{host}:{self.server.port}/healthz", verify=self.server.ca).status_code, 200)
        with self.assertRaises(requests.exceptions.SSLError):
            requests.get(self.server.url + "/healthz")  # nobody else vouches for it
        self.assertEqual(os.stat(os.path.join(self.server.data, "ca.key")).st_mode & 0o777, 0o600)


class Readers(Hostile):
    CONFIG = {**Hostile.CONFIG, "write_stall_timeout_ms": 2000}

    def test_a_peer_that_never_reads(self):
        toy, lively = self.server.add(), self.server.add()
        path = f"/ws/esp32/{toy.device_id}?token={toy.claim()['access']}"
        lively_path = f"/ws/esp32/{lively.device_id}?token={lively.claim()['access']}"
        with RawWs(self.server, path) as deaf, RawWs(self.server, lively_path) as other:
            deaf.s.settimeout(1)
            frame = deaf.frame(1, b"x" * 4000)
            start, dropped = time.monotonic(), False
            while time.monotonic() - start < PATIENCE and not dropped:
                try:
                    deaf.s.sendall(frame)
                except socket.timeout:
                    dropped = False  # the server stopped reading too: it drops us once the stall is long enough
                except OSError:
                    dropped = True
            self.assertTrue(dropped, "a peer that never reads is still being served")
            other.text("still served")
            self.assertEqual(json.loads(other.receive()[1])["text"], "still served")
        self.assertNotIn(toy.device_id, self.server.ctl("session", "list").stdout)

    def test_many_half_open_at_once(self):
        """They hold up nobody; that they are not held for ever is above."""
        held = [self.tcp() for _ in range(150)]
        self.assertEqual(self.server.get("/healthz").status_code, 200)
        self.assertEqual(select.select(held, [], [], 0)[0], [], "served only when those were gone")
        for s in held:
            s.close()

    def test_resets_in_the_middle(self):
        toy = self.server.add()
        path = f"/ws/esp32/{toy.device_id}?token={toy.claim()['access']}"
        for _ in range(20):
            ws = RawWs(self.server, path)
            ws.text("hello")
            ws.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            ws.s.close()

    def test_garbage_storm(self):
        """Random bytes on many connections while claims go on."""
        stop = threading.Event()

        def storm():
            while not stop.is_set():
                try:
                    with self.server.raw() as s:
                        s.settimeout(0.2)
                        s.sendall(os.urandom(1500))
                        s.recv(100)
                except OSError:
                    pass

        threads = [threading.Thread(target=storm) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            for _ in range(10):
                self.assertEqual(self.server.add().post_claim().status_code, 200)
        finally:
            stop.set()
            for t in threads:
                t.join()


if __name__ == "__main__":
    main()
