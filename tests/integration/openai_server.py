"""A backend for the tests: an HTTP server on plain sockets, so that it can misbehave on every byte. What it does is decided by what the
child said: a script by that name in `scripts` gets the Exchange; else it answers like OpenAI, "re: " and what was said."""

import json
import socket
import ssl
import threading

PATIENCE = 30


class Exchange:
    """One request and the connection that it came on."""

    def __init__(self, server, sock, head, body):
        self.server, self.sock = server, sock
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ", 2)
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        self.raw_body = body
        self.body = json.loads(body)
        self.gone = threading.Event()  # the other side closed before we did
        self.keep = False

    @property
    def said(self):
        if "messages" in self.body:
            return self.body["messages"][-1]["content"]
        return self.body["text"] if "text" in self.body else self.body.get("input")

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def head(self, status="200 OK", kind="text/event-stream", extra=""):
        """The body then lasts until we close."""
        self.send(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Connection: close\r\n\r\n")

    def whole(self, body, kind="application/json", status="200 OK", extra=""):
        """A body of a known length; the connection stays."""
        body = body.encode() if isinstance(body, str) else body
        self.send(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.keep = True

    def event(self, data, end="\n\n"):
        self.send("data: " + (data if isinstance(data, str) else json.dumps(data)) + end)

    def delta(self, text=None, finish=None, **members):
        content = {} if text is None else {"content": text}
        self.event({"id": "c", "object": "chat.completion.chunk", "model": "m",
                    "choices": [{"index": 0, "delta": {**content, **members}, "finish_reason": finish}]})

    def stop(self):
        self.delta(finish="stop")
        self.event("[DONE]")

    def wait_gone(self):
        """Until the other side has closed; whatever it sends is dropped."""
        self.sock.settimeout(PATIENCE)
        try:
            while self.sock.recv(4096):
                pass
        except ConnectionError:
            pass
        self.gone.set()


def as_openai(x):
    """Chunked, keeping the connection, as uvicorn or a cloud sends it."""
    x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n")
    plain, x.send = x.send, None

    def chunk(data):
        data = data.encode() if isinstance(data, str) else data
        plain(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    x.send = chunk
    x.delta("", role="assistant")
    x.delta("re: ")
    x.delta(x.said)
    x.stop()
    plain("0\r\n\r\n")
    x.keep = True


class Backend:
    """Serves until closed. `seen` has every exchange, in order."""

    def __init__(self, scripts=None, default=as_openai, cert=None):
        self.scripts, self.default = scripts or {}, default
        self.seen, self.changed = [], threading.Condition()
        self.connections = 0
        self.release = threading.Event()  # for scripts that hold back
        self.heard = threading.Event()  # the toy has the first words
        self.tls = None
        if cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*cert)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}"

    def close(self):
        self.release.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE)

    def wait(self, count, said=None):
        """Until so many requests (for that utterance) have come; the last of them."""
        with self.changed:
            found = []

            def enough():
                found[:] = [x for x in self.seen if said is None or x.said == said]
                return len(found) >= count

            assert self.changed.wait_for(enough, PATIENCE), f"{len(found)} of {count} requests came"
            return found[count - 1]

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with self.tls.wrap_socket(sock, server_side=True) if self.tls else sock as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.settimeout(PATIENCE)
                while self._one(s):
                    pass
        except OSError:
            pass

    def _one(self, sock):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return False
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        while len(body) < length:
            piece = sock.recv(65536)
            if not piece:
                return False
            body += piece
        x = Exchange(self, sock, head, body)
        with self.changed:
            self.seen.append(x)
            self.changed.notify_all()
        try:
            self.scripts.get(x.said, self.default)(x)
        except OSError:
            x.gone.set()
            return False
        return x.keep
