"""A claim that is late: its toy has given it up, and claimed again, before the server gets it."""

import contextlib
import socket
import threading

from harness import PATIENCE

APPLICATION_DATA = 23  # so is all marked that is encrypted: the end of the handshake, too


class Late:
    """A network that keeps what the first connection sends, from the first record that is encrypted on, until told to
    deliver it."""

    def __init__(self, server):
        self.server, self.late = server, b""
        self.given_up = threading.Event()  # the first connection has ended at the toy's end
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                toy = self.listener.accept()[0]
                there = socket.create_connection(("127.0.0.1", self.server.port), PATIENCE)
                there.settimeout(None)
                first = not self.sockets
                self.sockets += [toy, there]
                threading.Thread(target=self._keep if first else self._pass, args=(toy, there), daemon=True).start()
                threading.Thread(target=self._pass, args=(there, toy), daemon=True).start()
        except OSError:
            pass  # closed: the test is over

    def _pass(self, here, there):
        try:
            while data := here.recv(65536):
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _keep(self, toy, there):
        with contextlib.suppress(OSError), toy.makefile("rb") as stream:
            while header := stream.read(5):  # of a TLS record: its type, and in the end its length
                record = header + stream.read(int.from_bytes(header[3:]))
                if self.late or header[0] == APPLICATION_DATA:
                    self.late += record
                else:
                    there.sendall(record)
        self.given_up.set()

    def deliver(self):
        there = self.sockets[1]
        there.sendall(self.late)
        there.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for s in (self.listener, *self.sockets):
            s.close()
