"""What answers: chat completions, against a server that misbehaves in every way. However that fails, the toy hears an answer, and its
session stays."""

import asyncio
import json
import os
import re
import subprocess
import tempfile
import time

from harness import PATIENCE, Case, Server, answer, main, receive, receive_type
from openai_server import Backend, as_openai

RULES = "lost LOST\nrule ping\nhear ping\nsay pong\ndefault\nsay FALLBACK\n"
QUICK = {"backend_first_token_ms": 4000, "backend_idle_ms": 2000, "backend_total_ms": 6000}  # for a machine that is busy


class WithBackend(Case):
    """A server whose default processor asks a Backend of the test's own; self.say is one toy's utterance."""

    SCRIPTS = {}
    BACKEND = {}
    loops = 1

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.backend = Backend(cls.SCRIPTS, **cls.BACKEND)
        config = {"messages_per_s": 0, "claims_per_device_min": 0, "metrics_listen": "0", "loops": cls.loops,
                  "script_rules": cls.file("rules", RULES)}
        cls.CONFIG = {**config, **cls.processor(), **cls.CONFIG}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        cls.backend.close()
        super().tearDownClass()
        cls.dir.cleanup()

    @classmethod
    def processor(cls):
        return {"processor": "chat", "chat_url": cls.backend.url, "chat_model": "bear-1"}

    @classmethod
    def file(cls, name, text, mode=0o600):
        path = os.path.join(cls.dir.name, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    async def asyncSetUp(self):
        self.open = []
        self.ws = await self.join()

    async def asyncTearDown(self):
        self.backend.release.set()
        for ws in self.open:
            await ws.close()
        self.backend.release.clear()

    async def join(self, toy=None):
        toy = toy or self.server.add()
        ws = await toy.connect(toy.claim()["access"])
        ws.seq = 0
        self.open.append(ws)
        return ws

    async def say(self, text, ws=None):
        """The whole reply."""
        return "".join(m["text"] for m in await self.parts(text, ws))

    async def parts(self, text, ws=None):
        ws = ws or self.ws
        ws.seq += 1
        await ws.send(json.dumps({"type": "text", "text": text}))
        got = await answer(ws, ws.seq)
        self.assertEqual(got[0]["type"], "echo")
        self.assertTrue(all(m["type"] == "reply" for m in got[1:]), got)
        return got[1:]

    async def recovered(self, ws=None):
        """The breaker may have opened: until the backend is asked again, and answers."""
        for n in range(400):
            if await self.say("well?", ws) == "re: well?":
                return
            await asyncio.sleep(0.05)
        self.fail("the backend is not asked again")

    def counted(self, result, backend="chat"):
        return self.server.metric(f'teddy_backend_requests_total{{backend="{backend}",result="{result}"}}')


def split(pieces):
    def script(x):
        x.head()
        for piece in pieces:
            x.send(piece)
        x.wait_gone() if pieces[-1] == b"" else None
    return script


def bytewise(text):
    """One byte a segment, as far as the system lets us."""
    def script(x):
        x.head()
        sent = "".join("data: " + json.dumps({"choices": [{"delta": {"content": c}}]}, ensure_ascii=False) + "\r\n\r\n" for c in text)
        for b in (sent + "data: [DONE]\r\n\r\n").encode():
            x.send(bytes([b]))
    return script


def deltas(*texts, finish="stop"):
    def script(x):
        x.head()
        for t in texts:
            x.delta(t)
        x.delta(finish=finish)
        x.event("[DONE]")
    return script


def raw(text):
    def script(x):
        x.head()
        x.send(text)
    return script


def chunk(text):
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


END = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Forms(WithBackend):
    """Everything that servers in the field make of the format."""

    loops = 2

    SCRIPTS = {
        "bytes": bytewise("Grüße, 小熊 🧸!"),
        "cr": raw(f"data: {chunk('one')}\r\rdata: {chunk(' two')}\r\r" + END.replace("\n", "\r")),
        "bom": raw("\ufeffdata: " + chunk("first") + "\n\n" + END),
        "comments": raw(": keep-alive\n\n:\n\nevent: message\nid: 7\nretry: 10\nfoo: bar\n" f"data:{chunk('hi')}\n\n" + END),
        "lines": raw("data: {\"choices\":\ndata: [{\"delta\": {\"content\":\"joined\"}}]}\n\n" + END),
        "role first": raw('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}\n\n'
                          f"data: {chunk('said')}\n\n" + END),
        "usage": raw(f"data: {chunk('counted')}\n\n"
                     'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
                     'data: {"choices":[],"usage":{"total_tokens":9}}\n\ndata: [DONE]\n\n'),
        "filter first": raw('data: {"choices":[],"prompt_filter_results":[]}\n\n' f"data: {chunk('fine')}\n\n" + END),
        "no done": raw(f"data: {chunk('whole')}\n\n" + 'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'),
        "only done": raw(f"data: {chunk('whole')}\n\ndata: [DONE]\n\n"),
        "json": lambda x: x.whole(json.dumps({"choices": [{"message": {"content": "at once"}, "finish_reason": "stop"}]})),
        "halves": raw('data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\ndata: {"choices":[{"delta":{"content":"\\ude00b"}}]}\n\n' + END),
        "bad bytes": lambda x: (x.head(), x.send(b'data: {"choices":[{"delta":{"content":"a\xf0\x9fb\xff\\u0000c"}}]}\n\n'), x.send(END)),
        "thinking": deltas("<th", "ink>What", " is 2</thi", "nk>\n\nIt is", " four."),
        "reasoning": raw('data: {"choices":[{"delta":{"reasoning_content":"secret","reasoning":"secret"}}]}\n\n'
                         f"data: {chunk('open')}\n\n" + END),
        "second choice": raw('data: {"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"yes"}}]}\n\n' + END),
    }
    WANT = {
        "bytes": "Grüße, 小熊 🧸!", "cr": "one two", "bom": "first", "comments": "hi", "lines": "joined",
        "role first": "said", "usage": "counted", "filter first": "fine", "no done": "whole", "only done": "whole",
        "json": "at once", "halves": "a\ufffd\ufffdb", "bad bytes": "a\ufffdb\ufffd\ufffdc", "thinking": "It is four.",
        "reasoning": "open", "second choice": "yes",
    }

    async def test_forms(self):
        before = self.counted("ok")
        for said, want in self.WANT.items():
            with self.subTest(said):
                self.assertEqual(await self.say(said), want)
        self.assertEqual(self.counted("ok"), before + len(self.WANT))
        self.assertEqual(self.counted("error"), 0)

    async def test_what_is_asked(self):
        self.assertEqual(await self.say('say "it" \\ \n ü🧸'), 're: say "it" \\ \n ü🧸')
        x = self.backend.wait(1, 'say "it" \\ \n ü🧸')
        self.assertEqual((x.method, x.path), ("POST", "/v1/chat/completions"))
        self.assertEqual(x.headers["content-type"], "application/json")
        self.assertIn("text/event-stream", x.headers["accept"])
        self.assertEqual((x.body["model"], x.body["stream"]), ("bear-1", True))
        self.assertEqual([m["role"] for m in x.body["messages"]], ["system", "user"])
        for absent in ("authorization", "cookie", "expect", "transfer-encoding"):
            self.assertNotIn(absent, x.headers)

    async def test_connections_are_used_again(self):
        await self.say("one")
        before = self.backend.connections
        for n in range(5):
            self.assertEqual(await self.say(f"again {n}"), f"re: again {n}")
        self.assertLessEqual(self.backend.connections, before + 1)

    async def test_a_connection_that_was_closed_meanwhile(self):
        """The backend does not say that it closes; the next utterance goes over a new one."""
        def closes(x):
            as_openai(x)
            x.keep = False

        self.backend.scripts["closes"] = closes
        for n in range(5):
            self.assertEqual(await self.say("closes"), "re: closes")
            self.assertEqual(await self.say(f"next {n}"), f"re: next {n}")

    async def test_parts_come_as_they_are_made(self):
        def slowly(x):
            x.head()
            x.delta("First. ")
            x.server.release.wait(PATIENCE)
            x.delta("Second.")
            x.stop()

        self.backend.scripts["slowly"] = slowly
        self.ws.seq += 1
        await self.ws.send("slowly")
        self.assertEqual((await receive_type(self.ws, "reply"))["text"], "First.")
        self.backend.release.set()
        rest = await answer(self.ws, self.ws.seq)
        self.assertEqual("".join(m["text"] for m in rest), " Second.")


class AskedForTime(WithBackend):
    SCRIPTS = {"too much": lambda x: x.whole("{}", status="429 Too Many Requests", extra="Retry-After: 1\r\n"),
               "too much, no word when": lambda x: x.whole("{}", status="429 Too Many Requests")}

    async def test_retry_after(self):
        self.assertEqual(await self.say("too much, no word when"), "FALLBACK")
        self.assertEqual(await self.say("at once"), "re: at once")
        self.assertEqual(await self.say("too much"), "FALLBACK")
        end = time.monotonic() + 0.5
        self.assertEqual(await self.say("not yet"), "FALLBACK")
        if time.monotonic() < end:  # else the machine was too slow to tell
            self.assertNotIn("not yet", [x.said for x in self.backend.seen])
            self.assertEqual(self.counted("down"), 1)
        self.server.log.wait("event=backend_down")
        await self.recovered()
        self.server.log.wait("event=backend_up")


class Failures(WithBackend):
    """Each way to fail, before the first word and after it."""

    CONFIG = {**QUICK, "backend_reply_max": 1000}

    @staticmethod
    def first(x):
        x.head()
        x.delta("Once. ")
        x.server.heard.wait(PATIENCE)

    @staticmethod
    def hang(x):
        x.wait_gone()

    BEFORE = {
        "429": lambda x: x.whole('{"error":{"message":"slow down"}}', status="429 Too Many Requests"),
        "500": lambda x: x.whole("oops", kind="text/html", status="500 Internal Server Error"),
        "503": lambda x: x.whole("", status="503 Service Unavailable", extra="Retry-After: 1\r\n"),
        "401": lambda x: x.whole('{"error":{"message":"bad key"}}', status="401 Unauthorized"),
        "400": lambda x: x.whole('{"error":{"message":"too long"}}', status="400 Bad Request"),
        "redirect": lambda x: x.whole("", status="302 Found", extra="Location: /v1/elsewhere\r\n"),
        "html": lambda x: x.whole("<html>hello</html>", kind="text/html"),
        "no type": lambda x: x.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        "nothing": lambda x: None,
        "no http": lambda x: x.send("hello, I am no HTTP\r\n\r\n"),
        "half head": lambda x: x.send("HTTP/1.1 200 OK\r\nContent-Ty"),
        "endless head": lambda x: (x.send("HTTP/1.1 200 OK\r\n"), [x.send("X-A: " + "a" * 1000 + "\r\n") for _ in range(10000)]),
        "empty": lambda x: (x.head(), x.stop()),
        "empty json": lambda x: x.whole("{}"),
        "json array": lambda x: x.whole("[1]"),
        "json cut": lambda x: x.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"),
        "json deep": lambda x: x.whole("[" * 60000),
        "json huge": lambda x: x.whole('{"a":"' + "a" * 100000 + '"}'),
        "only think": lambda x: (x.head(), x.delta("<think>I wonder"), x.stop()),
        "filtered": lambda x: (x.head(), x.delta(finish="content_filter")),
        "error object": lambda x: (x.head(), x.event({"error": {"message": "overloaded"}})),
    }
    SILENT = {
        "hang": lambda x: x.wait_gone(),
        "head, then hang": lambda x: (x.head(), x.wait_gone()),
        "comments only": lambda x: (x.head(), [x.send(": ping\n\n") or x.server.release.wait(0.1) for _ in range(200)]),
    }
    AFTER = {
        "malformed": lambda x: (Failures.first(x), x.event("{oops")),
        "not json": lambda x: (Failures.first(x), x.event("<html>")),
        "number": lambda x: (Failures.first(x), x.event("7")),
        "error after": lambda x: (Failures.first(x), x.event({"error": {"message": "overloaded"}})),
        "error event": lambda x: (Failures.first(x), x.send("event: error\ndata: {}\n\n")),
        "vllm error": lambda x: (Failures.first(x), x.event({"object": "error", "message": "x", "code": 400})),
        "finish error": lambda x: (Failures.first(x), x.delta(finish="error")),
        "half closed": lambda x: Failures.first(x),
        "half event": lambda x: (Failures.first(x), x.send("data: " + chunk(" a time") + "\n")),
        "huge line": lambda x: (Failures.first(x), x.send("data: " + "x" * 100000)),
        "huge event": lambda x: (Failures.first(x), [x.send("data: " + "x" * 1000 + "\n") for _ in range(100)]),
        "stalls": lambda x: (Failures.first(x), x.wait_gone()),
        "endless comments": lambda x: (Failures.first(x), [x.send(": ping\n\n") or x.server.release.wait(0.1) for _ in range(200)]),
        "reset": lambda x: (Failures.first(x), x.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")),
        "bad chunk": lambda x: (x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"),
                                [x.send(f"{len(d):x}\r\n{d}\r\n") for d in ["data: " + chunk("Once. ") + "\n\n"]],
                                x.server.heard.wait(PATIENCE),
                                x.send("zz\r\n")),
    }
    SCRIPTS = {**BEFORE, **SILENT, **AFTER}

    async def one(self, said):
        """The whole answer; the backend goes on once its first words are heard."""
        self.backend.heard.clear()
        self.ws.seq += 1
        await self.ws.send(said)
        text = ""
        while True:
            message = await receive(self.ws)
            self.assertIn(message["type"], ("echo", "reply"))
            if message["type"] == "reply":
                text += message["text"]
                self.backend.heard.set()
            if message.get("done"):
                self.assertEqual(self.backend.wait(1, said).said, said)
                return text

    async def test_before_the_first_word(self):
        for said in self.BEFORE:
            with self.subTest(said):
                self.assertEqual(await self.one(said), "FALLBACK")
            await self.recovered()

    async def test_silence(self):
        toys, before = [await self.join() for _ in self.SILENT], self.counted("timeout")
        got = await asyncio.gather(*(self.say(said, ws) for said, ws in zip(self.SILENT, toys)))
        self.assertEqual(got, ["FALLBACK"] * len(got))
        self.assertEqual(self.counted("timeout"), before + len(got))
        for said in self.SILENT:
            if said != "comments only":
                self.assertTrue(await asyncio.to_thread(self.backend.wait(1, said).gone.wait, PATIENCE))

    async def test_after_it(self):
        for said in self.AFTER:
            with self.subTest(said):
                self.assertEqual(await self.one(said), "Once. LOST")
            await self.recovered()

    async def test_endless(self):
        """Is cut where an answer is long enough, and the other side hears no more."""
        def endless(x):
            x.head()
            while True:
                x.delta("ä" * 50)

        self.backend.scripts["endless"] = endless
        text = await self.say("endless")
        self.assertEqual(text, "ä" * 500)
        self.assertTrue(await asyncio.to_thread(self.backend.wait(1, "endless").gone.wait, PATIENCE))
        self.assertEqual(self.counted("cut"), 1)

    async def test_a_trickle_ends_with_the_whole_time(self):
        def trickle(x):
            x.head()
            while not x.server.release.wait(0.2):
                x.delta("Drip. ")

        self.backend.scripts["trickle"] = trickle
        self.assertRegex(await self.say("trickle"), r"^(Drip\. ?)+ LOST$")
        self.assertTrue(await asyncio.to_thread(self.backend.wait(1, "trickle").gone.wait, PATIENCE))

    async def test_refused(self):
        server = Server(processor="chat", chat_url="http://127.0.0.1:1", chat_model="m", script_rules=self.CONFIG["script_rules"])
        try:
            toy = server.add()
            async with toy.connect(toy.claim()["access"]) as ws:
                ws.seq = 0
                for n in range(8):
                    self.assertEqual(await self.say("anybody?", ws), "FALLBACK")
            server.log.wait("event=backend_down .*backend=chat")
            self.assertNotIn("anybody", server.all_logs())
        finally:
            server.close()


class Leaving(WithBackend):
    """Nobody waits for an answer that nobody wants."""

    loops = 2

    SCRIPTS = {"hang": lambda x: x.wait_gone(), "wait": lambda x: x.wait_gone(), "begin": lambda x: (x.head(), x.delta("Once. "), x.wait_gone())}

    async def test_cancel(self):
        for n, said in enumerate(("hang", "begin"), 1):
            self.ws.seq += 1
            await self.ws.send(said)
            x = await asyncio.to_thread(self.backend.wait, 1, said)
            if said == "begin":
                await receive_type(self.ws, "reply")
            self.assertFalse(x.gone.is_set())
            await self.ws.send(json.dumps({"type": "cancel", "seq": self.ws.seq}))
            self.assertTrue(await asyncio.to_thread(x.gone.wait, PATIENCE))
            end = (await answer(self.ws, self.ws.seq))[-1]
            self.assertEqual((end["type"], end["text"], end["done"]), ("reply", "", True))
            self.assertEqual(self.counted("cancelled"), n)
        self.assertEqual(await self.say("still there?"), "re: still there?")

    async def test_gone(self):
        toy = await self.join()
        await toy.send("wait")
        x = await asyncio.to_thread(self.backend.wait, 1, "wait")
        before = len(self.backend.seen)
        toy.transport.abort()
        self.assertTrue(await asyncio.to_thread(x.gone.wait, PATIENCE))
        self.assertEqual(len(self.backend.seen), before)
        self.assertEqual(self.server.metric('teddy_backend_inflight{backend="chat"}'), 0)


def held(x):
    x.server.release.wait(PATIENCE)
    as_openai(x)


class Fair(WithBackend):
    """Two places, many toys."""

    CONFIG = {"backend_concurrency": 1, "backend_queue_max": 5, "backend_first_token_ms": 20000}
    BACKEND = {"default": held}

    async def test_a_chatty_toy_waits_behind_the_others(self):
        """It said five things before the others said one; theirs are asked before its second."""
        for n in range(5):
            await self.ws.send(f"chatty {n}")
        await asyncio.to_thread(self.backend.wait, 1)
        others = [await self.join() for _ in range(3)]
        for n, ws in enumerate(others):
            await ws.send(f"quiet {n}")
            await receive_type(ws, "echo")  # the one is heard before the next
        while self.server.metric('teddy_backend_queue{backend="chat"}') < 3:
            await asyncio.sleep(0.01)
        self.assertEqual(len(self.backend.seen), 1, "one at a time")
        self.backend.release.set()
        await answer(self.ws, 5)
        self.assertEqual([x.said for x in self.backend.seen],
                         ["chatty 0", "quiet 0", "quiet 1", "quiet 2", "chatty 1", "chatty 2", "chatty 3", "chatty 4"])
        self.assertEqual(self.server.metric('teddy_backend_queue{backend="chat"}'), 0)

    async def test_more_than_may_wait(self):
        toys = [await self.join() for _ in range(8)]
        for n, ws in enumerate(toys):
            await ws.send(f"number {n}")
            await receive_type(ws, "echo")
        last = [(await answer(ws, 1))[-1]["text"] for ws in toys[6:]]
        self.assertEqual(last, ["FALLBACK"] * 2)
        self.assertEqual(self.counted("busy"), 2)
        self.backend.release.set()
        self.assertEqual(["".join(m["text"] for m in await answer(ws, 1)) for ws in toys[:6]],
                         [f"re: number {n}" for n in range(6)])


class Breaker(WithBackend):
    async def test_opens_and_recovers(self):
        self.backend.default = lambda x: x.whole("", status="500 Internal Server Error")
        for n in range(5):
            self.assertEqual(await self.say(f"down {n}"), "FALLBACK")
        self.server.log.wait("event=backend_down .*backend=chat .*status 500")
        self.assertEqual(self.server.metric('teddy_backend_breaker_open{backend="chat"}'), 1)
        for n in range(20):  # after a second it is asked once more, and again not for two
            asked = len(self.backend.seen)
            self.assertEqual(await self.say(f"not asked {n}"), "FALLBACK")
            if len(self.backend.seen) == asked:
                break
        self.assertEqual(len(self.backend.seen), asked)
        self.assertEqual(self.counted("down"), 1)
        self.backend.default = as_openai
        await self.recovered()
        self.server.log.wait("event=backend_up .*backend=chat")
        self.assertEqual(self.server.metric('teddy_backend_breaker_open{backend="chat"}'), 0)
        self.assertEqual(len(re.findall("event=backend_down", self.server.log.text())), 1, "said once")
        for said in ("not asked", "well?"):
            self.assertNotIn(said, self.server.all_logs())


class Secrets(WithBackend):
    """Keys, TLS, proxies, and what the configuration refuses."""

    @classmethod
    def certificate(cls, name):
        key, cert = os.path.join(cls.dir.name, name + ".key"), os.path.join(cls.dir.name, name + ".pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                        "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:{name}"],
                       check=True, capture_output=True)
        return cert, key

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.cert = cls.certificate("localhost")
        cls.BACKEND = {"cert": cls.cert}
        cls.temporary = cls.dir
        super().setUpClass()

    @classmethod
    def processor(cls):
        return {**super().processor(), "chat_key_file": cls.file("key", "sk-very-secret\n"), "backend_ca_file": cls.cert[0],
                "chat_prompt_file": cls.file("prompt", "You are Bär.\n"), "chat_temperature": "0.7", "chat_max_tokens": 50}

    async def test_over_tls_with_a_key(self):
        self.assertEqual(await self.say("hello"), "re: hello")
        x = self.backend.wait(1, "hello")
        self.assertEqual(x.headers["authorization"], "Bearer sk-very-secret")
        self.assertEqual(x.body["messages"][0], {"role": "system", "content": "You are Bär.\n"})
        self.assertEqual((x.body["temperature"], x.body["max_tokens"]), (0.7, 50))
        self.assertNotIn("very-secret", self.server.all_logs())
        with open(f"/proc/{self.server.process.pid}/cmdline", "rb") as f:
            self.assertNotIn(b"very-secret", f.read())

    async def asked(self, env=None, **config):
        """What a toy of another server hears."""
        server = Server(env=env, processor="chat", chat_model="m", script_rules=self.CONFIG["script_rules"], **config)
        try:
            toy = server.add()
            async with toy.connect(toy.claim()["access"]) as ws:
                ws.seq = 0
                return await self.say("hello?", ws)
        finally:
            server.close()

    async def test_certificates(self):
        wrong = Backend(cert=self.certificate("elsewhere.example"))
        try:
            self.assertEqual(await self.asked(chat_url=self.backend.url), "FALLBACK", "nobody vouches for it")
            self.assertEqual(await self.asked(chat_url=wrong.url, backend_ca_file=os.path.join(self.dir.name, "elsewhere.example.pem")),
                             "FALLBACK", "another's name")
            self.assertEqual(wrong.seen, [])
        finally:
            wrong.close()

    async def test_the_environment_names_no_proxy(self):
        plain = Backend()
        try:
            env = {"http_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
            self.assertEqual(await self.asked(env=env, chat_url=plain.url), "re: hello?")
            self.assertEqual(await self.asked(chat_url="http://nowhere.invalid", backend_proxy=plain.url), "re: hello?")
            self.assertEqual(plain.seen[-1].path, "http://nowhere.invalid/v1/chat/completions")
        finally:
            plain.close()

    def test_a_credential(self):
        with tempfile.TemporaryDirectory() as credentials:
            with open(os.path.join(credentials, "teddy-chat-key"), "w") as f:
                f.write("sk-of-systemd")
            os.chmod(f.name, 0o440)
            plain = Backend()
            try:
                asyncio.run(self.asked(env={"CREDENTIALS_DIRECTORY": credentials}, chat_url=plain.url))
                self.assertEqual(plain.wait(1).headers["authorization"], "Bearer sk-of-systemd")
            finally:
                plain.close()

    def refuses(self, why, **config):
        with self.subTest(why):
            with self.assertRaises(AssertionError) as e:
                Server(**{"processor": "chat", "chat_url": "http://h", "chat_model": "m", **config})
            self.assertIn(why, str(e.exception))
            self.assertNotIn("secret", str(e.exception).replace("secret if", ""))

    def test_refused_at_start(self):
        self.refuses("chat_url", chat_url="")
        self.refuses("chat_model", chat_model="")
        self.refuses("http://HOST", chat_url="ftp://host")
        self.refuses("without space, @", chat_url="https://user:pass@host")
        self.refuses("0 to 2", chat_temperature="2.1")
        self.refuses("chmod 600", chat_key_file=self.file("open", "sk-very-secret", 0o644))
        self.refuses("No such file", chat_key_file="/nonexistent")
        self.refuses("empty", chat_prompt_file=self.file("empty", ""))


if __name__ == "__main__":
    main()
