"""The specifications in spec/, replayed: every request and message that they document goes to a running server as its example has it, every
status of the toys' own routes is provoked, and whatever comes back is as documented. Those of administrators: test_admin_spec.py."""

import json
import re
import socket
import ssl
import unittest

import requests

from harness import CLAIM, PATIENCE, Case, Server, answer, closed, main, receive
from spec import ADMIN, AsyncApi, OpenApi

SECRET = "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"


class References(unittest.TestCase):
    def test_every_reference_leads_somewhere(self):
        for document in (OpenApi(), AsyncApi()):
            document.check_references()


class Public(Case):
    """The routes that are not an administrator's."""

    CONFIG = {"claims_per_device_min": 0, "refreshes_per_device_min": 0, "claim_failures_per_address_min": 0,
              "refresh_failures_per_address_min": 0, "head_timeout_ms": 60000, "body_timeout_ms": 500}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api = OpenApi()

    def checked(self, operation_id, got, status):
        self.assertEqual(got.status_code, status, got.text)
        self.api.check(self.api.operation(operation_id)[3], got)
        return got

    def example(self, operation_id):
        content = self.api.operation(operation_id)[3]["requestBody"]["content"]["application/json"]
        self.api.validate(content["schema"], content["example"])
        return content["example"]

    def raw(self, text):
        """Bytes as they are, over TLS; what comes back, as `requests` would have it."""
        with socket.create_connection((self.server.host, self.server.port), PATIENCE) as plain, \
                self.server.tls().wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(text)
            got = b""
            try:
                while piece := s.recv(65536):
                    got += piece
            except ssl.SSLEOFError:
                pass
        head, body = got.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        made = requests.Response()
        made.status_code = int(lines[0].split()[1])
        made.headers.update(line.split(": ", 1) for line in lines[1:])
        made._content = body
        return made

    def test_the_routes_are_those_of_the_document(self):
        shown = self.server.ctl("routes").stdout
        served = {(m, p) for m, p, who in re.findall(r"(?m)^(\w+)\s+(/\S*)\s+(\w+)", shown) if who in ("none", "device", "console")}
        served.remove(("GET", "/console/"))  # /console in the document, whose paths end in no slash
        served.add(("GET", "/console/session"))  # the handler of /console/{file} has it
        self.assertEqual(served, {(m, p) for _, m, p, _ in self.api.operations() if not p.startswith(ADMIN)})

    def provoke(self, operation_id, path, valid, statuses):
        """Those that any request with a body can get; the rest of what the document names must be in `statuses`."""
        post = lambda data, **kw: self.server.post(path, data, **kw)  # noqa: E731
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n".encode()
        common = {
            200: lambda: post(valid()),
            400: lambda: post(b"{"),
            405: lambda: requests.get(self.server.url + path, verify=self.server.ca, timeout=PATIENCE),
            408: lambda: self.raw(head + b"Content-Length: 9\r\n\r\n{"),
            411: lambda: self.raw(head + b"Transfer-Encoding: chunked\r\n\r\n"),
            413: lambda: self.raw(head + b"Content-Length: 99999999\r\n\r\n"),
            415: lambda: post(json.dumps(valid()).encode(), headers={"Content-Type": "text/plain"}),
            422: lambda: post({}),
            431: lambda: self.raw(head + b"X: " + b"x" * 70000 + b"\r\n\r\n"),
        }
        documented = {int(s) for s in self.api.operation(operation_id)[3]["responses"]}
        self.assertEqual(documented, {*common, *statuses})
        for status, provoke in {**common, **statuses}.items():
            with self.subTest(operation_id, status=status):
                self.checked(operation_id, provoke(), status)

    def test_claim(self):
        example = self.example("claim")
        self.server.add(example["device_id"], SECRET)
        toy, disabled = self.server.add(), self.server.add()
        self.server.ctl("device", "disable", disabled.device_id)

        def busy():
            limited = self.limited(claims_per_device_min=1)
            bear = limited.add()
            bear.claim()
            return bear.post_claim()

        def broken():
            with self.server.broken_store():
                return toy.post_claim()
        self.checked("claim", self.server.post(CLAIM, example), 200)
        self.provoke("claim", CLAIM, toy.body, {
            401: lambda: self.server.post(CLAIM, {**toy.body(), "hmac_hex": "0" * 64}),
            403: disabled.post_claim,
            404: lambda: self.server.post(CLAIM, {**toy.body(), "device_id": "nobody"}),
            409: lambda: self.server.post(CLAIM, example),
            429: busy, 503: broken})

    def limited(self, **config):
        server = Server(**{**self.CONFIG, **config})
        self.addCleanup(server.close)
        return server

    def test_refresh(self):
        toy, disabled = self.server.add(), self.server.add()
        pair = toy.claim()
        self.assertEqual(set(self.example("refresh")), {"refresh"})
        stopped = disabled.claim()["refresh"]
        self.server.ctl("device", "disable", disabled.device_id)

        def again():
            pair.update(toy.post_refresh(pair["refresh"]).json())
            return {"refresh": pair["refresh"]}

        def busy():
            limited = self.limited(refreshes_per_device_min=1)
            bear = limited.add()
            last = bear.claim()["refresh"]
            return bear.post_refresh(bear.post_refresh(last).json()["refresh"])

        def broken():
            fresh = toy.claim()["refresh"]
            with self.server.broken_store():
                return toy.post_refresh(fresh)
        path = self.api.operation("refresh")[2]
        self.provoke("refresh", path, again, {401: lambda: self.server.post(path, self.example("refresh")),
                                              403: lambda: disabled.post_refresh(stopped), 429: busy, 503: broken})

    async def test_session_upgrade(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        async with toy.connect(access):
            pass  # 101
        path = f"/ws/esp32/{toy.device_id}"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}

        def ask(method="GET", **headers):
            return requests.request(method, self.server.url + path, headers={**upgrade, **headers}, verify=self.server.ca,
                                    timeout=PATIENCE)
        limited = self.limited(upgrade_refusals_per_address_min=1)

        bear = limited.add()
        self.assertEqual((await closed(await bear.connect("no.such.token")))[0], 1008)
        busy = requests.get(f"{limited.url}/ws/esp32/{bear.device_id}", headers=upgrade, verify=limited.ca, timeout=PATIENCE)
        for status, got in ((400, ask(**{"Sec-WebSocket-Key": "short"})), (405, ask("POST")),
                            (426, ask(**{"Sec-WebSocket-Version": "8"})), (429, busy)):
            with self.subTest(status):
                self.checked("session", got, status)

    def test_around(self):
        for operation_id in ("jwks", "healthz", "readyz"):
            got = requests.get(self.server.url + self.api.operation(operation_id)[2], verify=self.server.ca, timeout=PATIENCE)
            self.checked(operation_id, got, 200)
        with self.server.broken_store():
            got = requests.get(self.server.url + "/readyz", verify=self.server.ca, timeout=PATIENCE)
            self.checked("readyz", got, 503)


class Session(Case):
    """Every message of the document, in a session."""

    CONFIG = {"messages_per_s": 0, "access_ttl_s": 10, "claims_per_device_min": 0}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api = AsyncApi()

    def test_examples_are_as_documented(self):
        for operation in self.api.all["operations"]:
            for name in self.api.names(operation):
                self.api.check(name, self.api.example(name))

    async def test_replayed(self):
        toy = self.server.add()
        pair = toy.claim()
        said, heard = set(), set()
        ws = await toy.connect(pair["access"])
        self.addAsyncCleanup(ws.close)

        async def say(name, **members):
            example = self.api.example(name)
            self.api.check(name, example)
            said.add(name)
            await ws.send(example if name == "utterance" else json.dumps({**example, **members}))

        async def hear(name):
            while True:
                message = await receive(ws)
                self.api.check(message["type"], message)
                heard.add(message["type"])
                if message["type"] == name:
                    return message

        await say("hello")
        await hear("welcome")
        await say("ping")
        self.assertEqual((await hear("pong"))["t"], self.api.example("ping")["t"])
        await say("telemetry")
        for name in ("utterance", "text"):
            await say(name)
            echo = await hear("echo")
            self.assertEqual(echo.get("id"), self.api.example("text")["id"] if name == "text" else None)
            while not (await hear("reply"))["done"]:
                pass
        await say("cancel")  # of one that has ended: nothing
        await ws.send('{"type":"nonsense"}')
        self.assertEqual((await hear("error"))["code"], "unknown_type")
        self.server.ctl("send", toy.device_id, "Dinner is ready")
        first = await hear("message")
        await say("ack", id=first["id"])
        self.server.ctl("send", toy.device_id, "--object", '{"volume":3}')
        self.assertEqual((await hear("message"))["data"], {"volume": 3})
        if "token_expiring" not in heard:
            await hear("token_expiring")
        await say("refresh", refresh=pair["refresh"])
        fresh = await hear("tokens")
        await ws.close()
        self.assertEqual(said, set(self.api.names("fromToy")))
        self.assertEqual(heard, set(self.api.names("toToy")))
        # A refresh token that is not one costs the session nothing but the answer.
        async with toy.connect(fresh["access"]) as ws:
            await say("hello")
            await hear("welcome")
            await say("refresh")
            await hear("error")

    async def test_whatever_else_it_sends(self):
        """Of a session that goes wrong in each way, all is documented."""
        toy = self.server.add()
        async with toy.connect(toy.claim()["access"]) as ws:
            for n, text in enumerate(("{", '{"type":"text"}', '{"type":"cancel","seq":0}', '{"type":"ack","id":"x"}', "Hello",
                                      '{"type":"text","text":"x","id":""}', '{"type":"ping","t":{}}')):
                await ws.send(text)
                message = await receive(ws)
                self.api.check(message["type"], message)
                if message["type"] == "echo":
                    for part in await answer(ws, message["seq"]):
                        self.api.check(part["type"], part)
            await ws.send(b"binary")
            self.assertEqual((await closed(ws))[0], 1003)


if __name__ == "__main__":
    main()
