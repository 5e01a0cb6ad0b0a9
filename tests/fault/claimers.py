"""Independent claimers for the storm: each a toy in a few lines of Python that knows its nonces, so that it can tell
whether one was ever accepted twice, and whether an answered token is ever unknown."""

import json
import random
import secrets
import ssl
import socket
import threading


class Lost(Exception):
    """No whole answer came: it may have happened or not."""


class Claimer(threading.Thread):
    """Claims and refreshes without pause until told to stop. Findings go to `wrong`."""

    def __init__(self, toy, source, ca, port, seed):
        super().__init__(daemon=True)
        self.toy, self.source, self.port = toy, source, port
        self.tls = ssl.create_default_context(cafile=ca)
        self.random = random.Random(seed)
        self.ending = threading.Event()
        self.wrong = []
        self.answered = {}   # nonce -> the claim's body; answered 200
        self.refresh = None  # the refresh token last answered and not spent with success
        self.claims = self.refreshes = self.lost = 0

    def post(self, path, body):
        """(status, object); Lost when the connection broke anywhere."""
        data = json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n").encode()
        got = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5, (self.source, 0)) as plain:
                with self.tls.wrap_socket(plain, server_hostname="127.0.0.1") as s:
                    s.settimeout(5)
                    s.sendall(head + data)
                    while piece := s.recv(65536):
                        got += piece
        except OSError:
            pass  # what arrived may still be whole
        if b"\r\n\r\n" not in got:
            raise Lost
        answer, text = got.split(b"\r\n\r\n", 1)
        try:
            return int(answer.split(b" ")[1]), json.loads(text)
        except ValueError:
            raise Lost from None

    def until_answered(self, path, body):
        while True:
            try:
                status, answer = self.post(path, body)
                if status not in (503, 429):
                    return status, answer
            except Lost:
                self.lost += 1
            # A server that is down refuses at once: a breath between tries.
            self.ending.wait(0.05)

    def claim(self):
        body = self.toy.body(nonce=secrets.token_hex(16))
        status, answer = self.until_answered("/api/v1/pair/claim", body)
        if status == 200:
            self.claims += 1
            self.answered[body["nonce"]] = body
            self.refresh = answer["refresh"]
        elif status == 409:
            self.refresh = None  # accepted once, its answer lost: whatever was held before is superseded
        else:
            self.wrong.append(f"{self.toy.device_id}: claim answered {status} {answer}")

    def rotate(self):
        status, answer = self.until_answered("/api/v1/token/refresh", {"refresh": self.refresh})
        if status == 200:
            self.refreshes += 1
            self.refresh = answer["refresh"]
        else:
            self.wrong.append(f"{self.toy.device_id}: an answered token was refused: {status} {answer}")
            self.refresh = None

    def run(self):
        while not self.ending.is_set():
            if self.refresh and self.random.random() < 0.6:
                self.rotate()
            else:
                self.claim()

    def check(self):
        """When all is calm: the last token is known, and no nonce is accepted again."""
        if self.refresh:
            self.rotate()
        for nonce in self.random.sample(sorted(self.answered), min(5, len(self.answered))):
            status, answer = self.until_answered("/api/v1/pair/claim", self.answered[nonce])
            if status != 409:
                self.wrong.append(f"{self.toy.device_id}: nonce {nonce} was answered {status} again: {answer}")
        return self.wrong
