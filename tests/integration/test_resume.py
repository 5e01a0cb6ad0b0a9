"""TLS sessions are resumed across restarts and reloads, while the keys of their tickets last: by Python's client and by a toy."""

import json
import os
import shutil
import signal
import socket
import ssl
import tempfile
import unittest

from harness import PATIENCE, Server, lasting_port, main
from test_toy import Device

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class Client:
    """Remembers its session, as a toy does."""

    def __init__(self, server, version):
        self.server, self.session = server, None
        self.context = ssl.create_default_context(cafile=server.ca)
        self.context.minimum_version = self.context.maximum_version = version

    def visit(self):
        """One request; True when the session of the last visit was resumed."""
        plain = socket.create_connection((self.server.host, self.server.port), PATIENCE)
        with self.context.wrap_socket(plain, server_hostname=self.server.host, session=self.session) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200 OK" in s.recv(4096)
            self.session = s.session  # behind the answer: the ticket of TLS 1.3 has come
            return s.session_reused


class Resume(unittest.TestCase):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="teddy-resume-")
        self.addCleanup(shutil.rmtree, self.data)

    def server(self, **config):
        server = Server(data=self.data, **config)
        self.addCleanup(server.close)
        return server

    def clients(self, server):
        clients = [Client(server, version) for version in VERSIONS]
        self.assertEqual([c.visit() for c in clients], [False, False])
        return clients

    def resumed(self, clients):
        return [c.visit() for c in clients]

    @property
    def keys(self):
        return os.path.join(self.data, "ticket-keys")

    def test_a_restart_and_a_power_cut(self):
        server = self.server(loops=2)
        clients = self.clients(server)
        self.assertEqual(self.resumed(clients), [True, True])
        server.restart()
        self.assertEqual(self.resumed(clients), [True, True])
        server.kill()
        server.start()
        self.assertEqual(self.resumed(clients), [True, True])
        self.assertNotIn("event=ticket_keys ", server.all_logs())

    def test_a_reload(self):
        server = self.server()
        clients = self.clients(server)
        for _ in range(2):
            lines = len(server.log.lines)
            server.process.send_signal(signal.SIGHUP)
            server.log.wait("event=certificate_reloaded", start=lines)
            self.assertEqual(self.resumed(clients), [True, True])

    def test_keys_that_are_lost_or_seen_by_others(self):
        server = self.server()
        clients = self.clients(server)

        def lose():
            os.unlink(self.keys)

        def show():
            os.chmod(self.keys, 0o644)

        def damage():
            os.truncate(self.keys, os.path.getsize(self.keys) - 1)

        for spoil, said in ((lose, None), (show, "others could read or write"), (damage, "damaged")):
            server.terminate()
            spoil()
            server.start()
            self.assertEqual(self.resumed(clients), [False, False], said)
            self.assertEqual(self.resumed(clients), [True, True], said)
            if said:
                server.log.wait("level=warn .*event=ticket_keys .*" + said)
            self.assertEqual(os.stat(self.keys).st_mode & 0o777, 0o600)

    def test_keys_change_and_end(self):
        server = self.server(tls_ticket_s=2)
        clients = self.clients(server)
        with open(self.keys, "rb") as f:
            before = f.read()
        for _ in range(3):  # after the third not even the oldest ticket is good
            lines = len(server.log.lines)
            server.log.wait("event=ticket_keys_rotated", start=lines)
        self.assertEqual(self.resumed(clients), [False, False])
        with open(self.keys, "rb") as f:
            self.assertNotIn(before[16:16 + 88], f.read())

    def test_off(self):
        server = self.server(tls_ticket_s=0)
        clients = self.clients(server)
        self.assertEqual(self.resumed(clients), [False, False])
        self.assertFalse(os.path.exists(self.keys))

    def toy_over_a_restart(self, between):
        # It does not come while the server goes: a handshake that is cut off costs it the session.
        server = self.server(listen=f"127.0.0.1:{lasting_port()}", retry_min_ms=4000, retry_max_ms=4100)
        toy = server.add()
        device = Device(server, toy, self.data, "--json")
        self.addCleanup(lambda: device.process.poll() is None and device.kill())
        device.out.wait('"state":"online"')
        server.terminate()
        between()
        lines = len(device.out.lines)
        server.start()
        return json.loads(device.out.wait('.*"event":"connected".*', start=lines)[0])["resumed"]

    def test_a_toy_over_a_restart(self):
        self.assertTrue(self.toy_over_a_restart(lambda: None))

    def test_a_toy_over_a_restart_with_other_keys(self):
        self.assertFalse(self.toy_over_a_restart(lambda: os.unlink(self.keys)))


if __name__ == "__main__":
    main()
