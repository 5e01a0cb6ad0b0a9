"""Sockets that the service manager hands over: a restart refuses nobody, and what cannot be meant is refused."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from harness import PATIENCE, Server, main

# Puts the descriptors given in order at 3, 4, …, names itself in LISTEN_PID as systemd does, and becomes the program.
LAUNCH = """
import os, sys
count = int(sys.argv[1])
fds = [os.dup(int(fd)) for fd in sys.argv[2:2 + count]]
high = [__import__("fcntl").fcntl(fd, 0, 100) for fd in fds]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.environ["LISTEN_PID"] = str(os.getpid() + int(os.environ.pop("LISTEN_OFF", "0")))
os.closerange(3 + count, 200)
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


class Activated(Server):
    """A server started the way systemd starts it; `sockets` is name: listening socket."""

    def __init__(self, sockets, fds=None, **config):
        self.sockets, self.fds = sockets, fds
        super().__init__(start=False, **config)

    def arguments(self):
        args = super().arguments()
        numbers = [str(s.fileno()) for s in self.sockets.values()]
        self.env = {**self.env, "LISTEN_FDS": self.fds or str(len(numbers)), "LISTEN_FDNAMES": ":".join(
            name.split("#")[0] for name in self.sockets)}
        return [sys.executable, "-c", LAUNCH, str(len(numbers)), *numbers, *args]

    def start(self):
        for s in self.sockets.values():
            s.set_inheritable(True)
        popen = subprocess.Popen
        try:  # the harness closes what is not for its children
            subprocess.Popen = lambda *a, **kw: popen(*a, **{**kw, "close_fds": False})
            return super().start()
        finally:
            subprocess.Popen = popen


def listening(host="127.0.0.1"):
    return socket.create_server((host, 0), backlog=4096)


class Restart(unittest.TestCase):
    def test_no_connection_is_refused(self):
        with listening() as public, listening() as admin, listening() as metrics:
            server = Activated({"public": public, "metrics": metrics, "admin": admin}, drain_timeout_ms=2000)
            server.start()
            self.addCleanup(server.close)
            self.assertEqual(server.port, public.getsockname()[1])
            server.log.wait(rf"event=admin_listening host=127.0.0.1 port={admin.getsockname()[1]}\b")
            server.log.wait(rf"event=metrics_listening host=127.0.0.1 port={metrics.getsockname()[1]}\b")
            self.assertIn("teddy_", self.plain(metrics))
            counts = {"answered": 0, "unanswered": 0}
            wrong, changed, over = [], threading.Condition(), threading.Event()

            def connect():
                context = server.tls()
                while not over.is_set():
                    try:
                        plain = socket.create_connection(public.getsockname(), PATIENCE)
                    except OSError as e:
                        wrong.append(e)
                        return
                    with plain, contextlib.suppress(OSError):
                        got = b""
                        with contextlib.suppress(OSError), context.wrap_socket(plain, server_hostname="127.0.0.1") as s:
                            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                            got = s.recv(4096)
                    with changed:
                        counts["answered" if got.startswith(b"HTTP/1.1 200") else "unanswered"] += 1
                        changed.notify_all()

            def more(count):
                with changed:
                    goal = counts["answered"] + count
                    self.assertTrue(changed.wait_for(lambda: wrong or counts["answered"] >= goal, PATIENCE), counts)

            clients = [threading.Thread(target=connect) for _ in range(4)]
            for c in clients:
                c.start()
            try:
                more(10)
                for _ in range(3):
                    server.terminate()
                    with socket.create_connection(public.getsockname(), PATIENCE):  # with nobody there
                        server.start()
                    more(10)
                server.kill()
                server.start()
                more(10)
            finally:
                over.set()
                for c in clients:
                    c.join(PATIENCE)
            self.assertEqual(wrong, [], counts)
            # What a server had accepted as it left may be closed before its first request: one of each client's, and once
            # more where who comes again at once still meets the server that leaves.
            self.assertLessEqual(counts["unanswered"], 2 * 4 * 4)

    def plain(self, listener):
        with socket.create_connection(listener.getsockname(), PATIENCE) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()


class Refused(unittest.TestCase):
    def refused(self, sockets, *mentions, fds=None, **config):
        server = Activated(sockets, fds=fds, **config)
        try:
            with self.assertRaises(AssertionError) as caught:
                server.start()
            for mention in mentions:
                self.assertIn(mention, str(caught.exception))
        finally:
            for s in sockets.values():
                s.close()
            with contextlib.suppress(AssertionError):
                server.close()

    def test_a_name_that_nobody_knows(self):
        self.refused({"teddyd.socket": listening()}, "teddyd.socket", "FileDescriptorName=")

    def test_a_name_twice(self):
        self.refused({"public": listening(), "public#2": listening()}, "two of that name")

    def test_what_does_not_listen_for_tcp(self):
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        with tempfile.TemporaryDirectory() as d:
            unix = socket.socket(socket.AF_UNIX)
            unix.bind(os.path.join(d, "s"))
            unix.listen()
            for s in socket.socket(socket.AF_INET, socket.SOCK_DGRAM), bound, unix:
                self.refused({"public": s}, "does not listen for TCP")

    def test_a_count_that_cannot_be_meant(self):
        for fds in "-1", "17", "x", "1x":
            self.refused({"public": listening()}, "LISTEN_FDS", fds=fds)
        self.refused({"public": listening()}, "socket ''", fds="2")

    def test_without_tls_the_same_is_forbidden_as_of_listen(self):
        self.refused({"public": listening("0.0.0.0")}, "trusted_proxies", tls="off")
        self.refused({"public": listening(), "admin": listening()}, "never taken without TLS", tls="off")

    def test_sockets_of_another_process_are_left_alone(self):
        with listening() as public:
            server = Activated({"public": public})
            server.env = {"LISTEN_OFF": "1"}
            server.start()
            self.addCleanup(server.close)
            self.assertNotEqual(server.port, public.getsockname()[1])
            self.assertEqual(server.get("/healthz").status_code, 200)


if __name__ == "__main__":
    main()
