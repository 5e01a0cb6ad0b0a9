"""What the service manager hears on $NOTIFY_SOCKET, and that a server in which something hangs stops the watchdog's pings."""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import PATIENCE, SANITIZED, Server, closing, main, program

PERIOD = 0.25  # seconds within which the watchdog wants to hear something
SILENCE = 3 * PERIOD


class Manager:
    """The manager's end: collects datagrams as lists of lines."""

    def __init__(self, name=None):
        self.dir = tempfile.TemporaryDirectory(prefix="teddy-notify-")
        self.path = name or os.path.join(self.dir.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path.replace("@", "\0"))
        self.heard = []
        self.changed = threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with contextlib.suppress(OSError):
            while True:
                lines = self.socket.recv(4096).decode().split("\n")
                with self.changed:
                    self.heard.append(lines)
                    self.changed.notify_all()

    def count(self, line):
        with self.changed:
            return sum(line in lines for lines in self.heard)

    def wait(self, line, beyond=0):
        """Until the line was heard more than `beyond` times."""
        with self.changed:
            heard = self.changed.wait_for(lambda: sum(line in lines for lines in self.heard) > beyond, PATIENCE)
        if not heard:
            raise AssertionError(f"{line} was not heard more than {beyond} times: {self.heard[-20:]}")

    def catch_up(self):
        """What was sent until now is heard: it stood before this in the queue."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            before = self.count("MARK")
            s.sendto(b"MARK", self.path.replace("@", "\0"))
        self.wait("MARK", beyond=before)

    def env(self):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(PERIOD * 1e6))}

    def close(self):
        self.socket.close()
        self.dir.cleanup()


@contextlib.contextmanager
def stopped(tid):
    """One thread of another process, held as a debugger does it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    attach, detach, wall = 16, 17, 0x40000000
    if libc.ptrace(attach, tid, None, None) != 0:
        raise unittest.SkipTest("this machine lets nobody trace: " + os.strerror(ctypes.get_errno()))
    os.waitpid(tid, wall)
    try:
        yield
    finally:
        libc.ptrace(detach, tid, None, None)


class Notify(unittest.TestCase):
    def server(self, manager, **config):
        server = Server(env=manager.env(), **config)
        self.addCleanup(manager.close)
        self.addCleanup(server.close)
        return server

    def test_a_life(self):
        manager = Manager()
        server = self.server(manager)
        manager.wait("READY=1")
        self.assertEqual(manager.heard[0], ["READY=1", "STATUS=Serving"])
        manager.wait("WATCHDOG=1")
        server.process.send_signal(signal.SIGHUP)
        manager.wait("READY=1", beyond=1)
        told = [lines[0] for lines in manager.heard if lines[0] != "WATCHDOG=1"]
        self.assertEqual(told, ["READY=1", "RELOADING=1", "READY=1"])
        self.assertEqual(manager.count("STOPPING=1"), 0)
        server.terminate()
        manager.wait("STOPPING=1")

    def test_an_abstract_socket(self):
        manager = Manager("@teddy-notify-" + os.urandom(8).hex())
        self.server(manager)
        manager.wait("READY=1")

    def test_a_watchdog_of_another_process_is_not_fed(self):
        manager = Manager()
        server = Server(start=False)
        server.env = {**manager.env(), "WATCHDOG_PID": "1"}
        self.addCleanup(manager.close)
        self.addCleanup(server.close)
        server.start()
        manager.wait("READY=1")
        time.sleep(SILENCE)
        self.assertEqual(manager.count("WATCHDOG=1"), 0)

    def test_what_cannot_be_meant_is_refused(self):
        for env in {"NOTIFY_SOCKET": "run/notify"}, {"NOTIFY_SOCKET": "/" + "x" * 200}, \
                {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"}:
            with self.subTest(env), tempfile.TemporaryDirectory() as data:
                done = subprocess.run([program("teddyd"), "--data", data, "--listen", "127.0.0.1:0"], text=True,
                                      env={**os.environ, **env}, capture_output=True, timeout=PATIENCE)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn("NOTIFY_SOCKET", done.stderr)

    def silent_while(self, manager, held):
        self.assertTrue(self.is_silent_while(manager, held))

    def is_silent_while(self, manager, held):
        """Whether nothing is heard while it is held, but for a round that was over already; it is heard again afterwards."""
        manager.wait("WATCHDOG=1", beyond=manager.count("WATCHDOG=1"))
        with held:
            manager.catch_up()
            before = manager.count("WATCHDOG=1")
            time.sleep(SILENCE)
            manager.catch_up()
            after = manager.count("WATCHDOG=1")
        manager.wait("WATCHDOG=1", beyond=manager.count("WATCHDOG=1"))
        return after - before <= 1

    def test_any_thread_that_hangs_ends_the_pings(self):
        manager = Manager()
        server = self.server(manager, loops=2, store_readers=1)
        threads = sorted(map(int, os.listdir(f"/proc/{server.process.pid}/task")))
        silent = [self.is_silent_while(manager, stopped(tid)) for tid in threads]
        # Two loops, the store's reader and its writer; a sanitizer has a thread of its own beside them.
        self.assertGreaterEqual(sum(silent), 4)
        self.assertTrue(all(silent) or SANITIZED, silent)

    def test_a_store_that_does_not_commit_ends_the_pings(self):
        manager = Manager()
        server = self.server(manager)

        @contextlib.contextmanager
        def locked():
            with closing(server.database()) as db:
                db.execute("begin immediate")
                yield
                db.execute("rollback")

        self.silent_while(manager, locked())
        server.log.wait(r"event=watchdog_late waits_for=\"the store's writer\"")

    def test_a_full_disk_does_not(self):
        """Claims are answered 503, sessions go on: starting anew would end these and not mend those."""
        manager = Manager()
        server = self.server(manager)
        toy = server.add()
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            self.assertEqual(toy.post_claim().status_code, 503)
            manager.wait("WATCHDOG=1", beyond=manager.count("WATCHDOG=1") + 3)
        finally:
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.assertEqual(toy.post_claim().status_code, 200)

    def test_a_store_that_cannot_be_read_ends_the_pings(self):
        manager = Manager()
        server = self.server(manager)
        self.silent_while(manager, server.broken_store())


if __name__ == "__main__":
    main()
