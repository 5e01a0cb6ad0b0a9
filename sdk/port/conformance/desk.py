#!/usr/bin/python3
"""The bad servers that a port is checked against: one TCP port for each fault, on the desk beside teddyd.

    desk.py --ca-dir DATA --listen 0.0.0.0 --name desk.local

DATA is teddyd's data directory: the certificates of the desk are signed by the development authority that teddyd
made there (ca.crt, ca.key), so that the toy need trust but one. A directory without them gets them made.

Prints what the conformance program is to be given, and then serves until it is stopped:

    host desk.local
    closed 40001
    silent 40002
    ...
    ready
"""

import argparse
import base64
import datetime
import hashlib
import ipaddress
import json
import os
import re
import secrets
import signal
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

UTC = datetime.timezone.utc
NOW = datetime.datetime.now(UTC)
DAY = datetime.timedelta(days=1)


# ---- certificates ----

def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Teddy desk"),
                      x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def write_private(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)


class Authority:
    def __init__(self, certificate=None, key=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.certificate = certificate or self._made()

    def _made(self):
        name = name_of("Teddy desk CA")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(NOW - DAY).not_valid_after(NOW + 3650 * DAY)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(usage, critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
                .sign(self.key, hashes.SHA256()))

    @classmethod
    def of(cls, directory):
        """The authority of a data directory of teddyd's, or one made there."""
        paths = [os.path.join(directory, n) for n in ("ca.crt", "ca.key")]
        there = [os.path.exists(p) for p in paths]
        if not any(there):
            os.makedirs(directory, mode=0o700, exist_ok=True)
            made = cls()
            write_private(paths[1], pem_key(made.key))
            write_private(paths[0], made.certificate.public_bytes(serialization.Encoding.PEM))
            return made
        if not all(there):
            sys.exit(f"desk.py: {directory} has ca.crt or ca.key, not both: give teddyd's data directory, or an "
                     "empty one")
        with open(paths[0], "rb") as f:
            certificate = x509.load_pem_x509_certificate(f.read())
        with open(paths[1], "rb") as f:
            return cls(certificate, serialization.load_pem_private_key(f.read(), None))

    def leaf(self, host, start=NOW - DAY, end=NOW + 365 * DAY, use=ExtendedKeyUsageOID.SERVER_AUTH, own=False):
        """A certificate for the host and its key, both in PEM. own: signed by its own key."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            san = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            san = x509.DNSName(host)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        made = (x509.CertificateBuilder().subject_name(name_of(host))
                .issuer_name(name_of(host) if own else self.certificate.subject)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(start).not_valid_after(end)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(usage, critical=True)
                .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
                .add_extension(x509.SubjectAlternativeName([san]), critical=False)
                .sign(key if own else self.key, hashes.SHA256()))
        return made.public_bytes(serialization.Encoding.PEM), pem_key(key)


def context_of(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as f:  # 0600, and gone with the block
        f.write(b"".join(pair))
        f.flush()
        context.load_cert_chain(f.name)
    return context


def contexts(authority, host):
    old = datetime.datetime(2024, 1, 1, tzinfo=UTC)  # no clock of a toy is that far behind
    leaf = authority.leaf
    return {kind: context_of(pair) for kind, pair in {
        "good": leaf(host),
        "other_ca": Authority().leaf(host),
        "self_signed": leaf(host, own=True),
        "other_name": leaf("other.teddy.test"),
        "wrong_use": leaf(host, use=ExtendedKeyUsageOID.CLIENT_AUTH),
        "expired": leaf(host, start=old, end=old + 300 * DAY),
        "not_yet": leaf(host, start=NOW + 3000 * DAY, end=NOW + 3300 * DAY),
    }.items()}


# ---- one connection ----

class Gone(Exception):
    """The toy closed, or broke off."""


class Tls:
    """TLS over a socket whose bytes we hand on ourselves: one at a time, or only so many."""

    def __init__(self, sock, context, trickle=False, most=None):
        self.sock, self.trickle, self.most = sock, trickle, most
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self._do(self.tls.do_handshake)

    def _flush(self):
        data = self.outgoing.read()
        if self.most is not None:
            data, self.most = data[:self.most], self.most - len(data[:self.most])
        step = 1 if self.trickle else max(len(data), 1)
        for at in range(0, len(data), step):
            self.sock.sendall(data[at:at + step])

    def _do(self, call, *args):
        while True:
            try:
                result = call(*args)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(65536)
                if not data:
                    raise Gone from None
                self.incoming.write(data)

    def send(self, data):
        self._do(self.tls.write, data)

    def receive(self):
        data = self._do(self.tls.read, 65536)
        if not data:
            raise Gone
        return data

    def goodbye(self):
        """Our close_notify, without waiting for the other's."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()


def until_gone(sock):
    """Reads and forgets what comes until the toy goes."""
    while sock.recv(65536):
        pass


def end(sock):
    """FIN; then all that still comes is read, for a reset would take back what we sent."""
    sock.shutdown(socket.SHUT_WR)
    until_gone(sock)


# ---- HTTP and WebSocket, as far as a toy needs them ----

class Request:
    def __init__(self, tls):
        data = b""
        while b"\r\n\r\n" not in data:
            data += tls.receive()
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ")
        self.fields = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        while len(body) < int(self.fields.get("content-length", "0")):
            body += tls.receive()
        self.body = body

    def token(self):
        """Of an upgrade, presented in either way."""
        query = re.search(r"[?&]token=([^&]+)", self.path)
        return query[1] if query else self.fields.get("authorization", "").removeprefix("Bearer ")


def pair_of_tokens():
    mark = secrets.token_hex(8)
    return {"access": f"desk.access.{mark}", "refresh": f"desk.refresh.{mark}", "token_type": "Bearer",
            "expires_in": 3600}


def answer(tls, status, body):
    data = json.dumps(body).encode()
    tls.send(f"HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
             "Connection: close\r\nCache-Control: no-store\r\n\r\n".encode() + data)


def upgrade(tls, request, wrong=False):
    key = request.fields.get("sec-websocket-key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(b"wrong" if wrong else key.encode()).digest()).decode()
    tls.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())


class Session:
    """The server's end of a WebSocket: whole, small frames."""

    def __init__(self, tls, request):
        self.tls, self.data = tls, b""
        upgrade(tls, request)

    def _take(self, n):
        while len(self.data) < n:
            self.data += self.tls.receive()
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def receive(self):
        """The next frame: (opcode, payload)."""
        first, size = self._take(2)
        size &= 0x7F
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        mask = self._take(4)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(self._take(size)))

    def message(self, kind):
        """The next message of that type."""
        while True:
            opcode, payload = self.receive()
            if opcode == 8:
                raise Gone
            if opcode == 1 and payload[:1] == b"{":
                message = json.loads(payload)
                if message.get("type") == kind:
                    return message

    def send(self, opcode, payload):
        size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
        self.tls.send(bytes([0x80 | opcode]) + size + payload)

    def say(self, **message):
        self.send(1, json.dumps(message).encode())

    def welcome(self):
        self.say(type="welcome", session="desk", heartbeat_s=30, time=int(time.time()), resumed=False)

    def close(self, code, reason):
        self.send(8, struct.pack(">H", code) + reason.encode())

    def drain(self):
        while True:
            opcode, payload = self.receive()
            if opcode == 8:
                raise Gone


# ---- the servers: each is given the socket of one connection ----

def after_claim(tls, in_session):
    """A good answer to a claim or refresh; in_session(tls, request) has what comes after an upgrade."""
    request = Request(tls)
    if request.method == "POST":
        answer(tls, 200, pair_of_tokens())
        tls.goodbye()
    else:
        in_session(tls, request)


def welcoming(tls, request):
    session = Session(tls, request)
    session.message("hello")
    session.welcome()
    session.drain()


def good(tls):
    after_claim(tls, welcoming)


def with_hello(do):
    """A server that behaves until the toy has said hello in its session."""
    def in_session(tls, request):
        session = Session(tls, request)
        session.message("hello")
        do(session)
        session.drain()
    return lambda tls: after_claim(tls, in_session)


def frame(data):
    return with_hello(lambda session: session.tls.send(data))


def close(code, reason):
    return with_hello(lambda session: session.close(code, reason))


def ws_cut(tls):
    def in_session(tls, request):
        session = Session(tls, request)
        session.message("hello")
        tls.send(b"\x81\x7d{\"type\":\"wel")
        end(tls.sock)
    after_claim(tls, in_session)


def ping(session):
    session.send(9, b"desk-ping")
    while True:
        if session.receive() == (10, b"desk-ping"):
            break
    session.welcome()


class Refresh:
    """Has the toy refresh its tokens, then ends the session, and takes only the new ones."""

    def __init__(self):
        self.tokens, self.done = None, False

    def __call__(self, tls):
        request = Request(tls)
        if request.method == "POST":
            self.tokens, self.done = pair_of_tokens(), False
            answer(tls, 200, self.tokens)
            tls.goodbye()
            return
        session = Session(tls, request)
        if not self.tokens or request.token() != self.tokens["access"]:
            session.close(1008, "bad_token")
            session.drain()
        session.message("hello")
        session.welcome()
        if not self.done:
            session.say(type="token_expiring", expires_in=120)
            asked = session.message("refresh")
            if asked["refresh"] != self.tokens["refresh"]:
                session.close(1008, "bad_token")
                session.drain()
            self.tokens, self.done = pair_of_tokens(), True
            session.say(type="tokens", **{k: self.tokens[k] for k in ("access", "refresh", "expires_in")})
            session.close(1012, "restart retry_ms=1")
        session.drain()


def no_answer(tls):
    Request(tls)
    until_gone(tls.sock)


def cut_head(tls):
    Request(tls)
    tls.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    tls.goodbye()


def cut_body(tls):
    Request(tls)
    tls.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"access\":\"a.b")


def endless_head(tls):
    Request(tls)
    tls.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        tls.send(b"X-More: " + b"m" * 1000 + b"\r\n")


def endless_body(tls):
    Request(tls)
    tls.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        tls.send(b"400\r\n" + b" " * 1024 + b"\r\n")


def bad_accept(tls):
    def in_session(tls, request):
        upgrade(tls, request, wrong=True)
        until_gone(tls.sock)
    after_claim(tls, in_session)


def mirror(tls):
    while True:
        tls.send(tls.receive())


def bye(tls):
    tls.send(b"bye")
    tls.goodbye()


def cut(tls):
    tls.send(b"bye")


def reset(tls):
    tls.send(b"bye")
    tls.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls.sock.close()


def plain(sock):
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    end(sock)


class Deaf:
    """Reads nothing after the handshake: not even that the toy is gone, so the next connection ends this one."""

    def __init__(self):
        self.relieved = threading.Event()

    def __call__(self, tls):
        self.relieved.set()
        self.relieved = mine = threading.Event()
        mine.wait(60)
        raise Gone


def over_tls(serve, context="good", **how):
    def run(desk, sock):
        tls = Tls(sock, desk.contexts[context], **how)
        serve(tls)
        end(tls.sock)
    return run


def over_tcp(serve):
    return lambda desk, sock: serve(sock)


SERVERS = {
    "closed": None,  # a port where nobody listens
    "silent": over_tcp(until_gone),
    "hangup": over_tcp(lambda sock: None),
    "plain": over_tcp(plain),
    "tls_stall": over_tls(good, most=150),
    "other_ca": over_tls(good, "other_ca"),
    "self_signed": over_tls(good, "self_signed"),
    "other_name": over_tls(good, "other_name"),
    "wrong_use": over_tls(good, "wrong_use"),
    "expired": over_tls(good, "expired"),
    "not_yet": over_tls(good, "not_yet"),
    "no_answer": over_tls(no_answer),
    "cut_head": over_tls(cut_head),
    "cut_body": over_tls(cut_body),
    "endless_head": over_tls(endless_head),
    "endless_body": over_tls(endless_body),
    "bad_accept": over_tls(bad_accept),
    "ws_masked": over_tls(frame(b"\x81\x82\x01\x02\x03\x04\x7a\x7f")),
    "ws_reserved": over_tls(frame(b"\xc1\x02{}")),
    "ws_oversized": over_tls(frame(b"\x81\x7f\x00\x00\x00\x00\x7f\xff\xff\xff")),
    "ws_utf8": over_tls(frame(b"\x81\x02\xc3\x28")),
    "ws_cut": over_tls(ws_cut),
    "close_1008": over_tls(close(1008, "token_revoked")),
    "close_1012": over_tls(close(1012, "restart retry_ms=1500")),
    "close_4001": over_tls(close(4001, "replaced")),
    "slow": over_tls(good, trickle=True),
    "ping": over_tls(with_hello(ping)),
    "refresh": over_tls(Refresh()),
    "mirror": over_tls(mirror),
    "drip": over_tls(mirror, trickle=True),
    "bye": over_tls(bye),
    "cut": over_tls(cut),
    "reset": over_tls(reset),
    "deaf": over_tls(Deaf()),
}


class Desk:
    def __init__(self, address, kinds, verbose):
        self.address, self.contexts, self.verbose = address, kinds, verbose
        self.sockets = []

    def note(self, text):
        if self.verbose:
            print(text, file=sys.stderr, flush=True)

    def open(self, name, port):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if name == "deaf":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.bind((self.address, port))
        self.sockets.append(s)  # a socket that is bound and does not listen keeps its port closed
        if SERVERS[name]:
            s.listen(64)
            threading.Thread(target=self._accept, args=(name, s), daemon=True).start()
        return s.getsockname()[1]

    def _accept(self, name, listener):
        while True:
            sock, peer = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.note(f"{name}: {peer[0]}:{peer[1]} connected")
            threading.Thread(target=self._serve, args=(name, sock), daemon=True).start()

    def _serve(self, name, sock):
        try:
            SERVERS[name](self, sock)
        except (Gone, OSError, ValueError) as e:  # ssl.SSLError is an OSError
            self.note(f"{name}: {type(e).__name__} {e}")
        finally:
            sock.close()


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ca-dir", required=True, metavar="DIR", help="where ca.crt and ca.key are: teddyd's data directory")
    p.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="numeric; default 127.0.0.1")
    p.add_argument("--name", metavar="HOST", help="what the toy calls this machine; default: the address")
    p.add_argument("--base", type=int, default=0, metavar="PORT",
                   help="ports from this one on, so that a firmware may know them; default: any free ones")
    p.add_argument("--certificate", metavar="PREFIX",
                   help="writes PREFIX.crt and PREFIX.key for HOST, for teddyd's tls_cert and tls_key, and ends")
    p.add_argument("--verbose", action="store_true", help="each connection on stderr")
    return p.parse_args()


def main():
    args = arguments()
    host = args.name or args.listen
    authority = Authority.of(args.ca_dir)
    if args.certificate:
        certificate, key = authority.leaf(host)
        write_private(args.certificate + ".key", key)
        write_private(args.certificate + ".crt", certificate)
        return
    desk = Desk(args.listen, contexts(authority, host), args.verbose)
    lines = [f"host {host}"]
    for at, name in enumerate(SERVERS):
        try:
            lines.append(f"{name} {desk.open(name, args.base + at if args.base else 0)}")
        except OSError as e:
            sys.exit(f"desk.py: cannot listen on {args.listen} port {args.base + at if args.base else 'any'}: {e}")
    print("\n".join(lines + ["ready"]), flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
