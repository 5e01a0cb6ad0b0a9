"""Messages: echo and reply in order, ids once, busy, cancel, and what is refused without losing the session."""

import asyncio
import json
import os
import tempfile
import time

from harness import PATIENCE, Case, RawWs, answer, hello, main, receive, receive_type


class Session(Case):
    """A toy with an open session for each test."""

    async def asyncSetUp(self):
        self.toy = self.server.add()
        self.access = self.toy.claim()["access"]
        self.ws = await self.toy.connect(self.access)

    async def asyncTearDown(self):
        await self.ws.close()


class Talk(Session):
    CONFIG = {"messages_per_s": 0, "claims_per_device_min": 0}

    async def error(self, sent, code):
        await self.ws.send(sent)
        message = await receive(self.ws)
        self.assertEqual((message["type"], message["code"]), ("error", code), message)
        self.assertIsInstance(message["detail"], str)

    async def test_plain_text(self):
        for n, text in enumerate(["Hello", "  with spaces  ", "ä€😀 \u0001", '"quoted\\"', "[1,2]", "x" * 4096], 1):
            await self.ws.send(text)
            got = await answer(self.ws, n)
            self.assertEqual(got[0]["type"], "echo")
            self.assertEqual((got[0]["seq"], got[0]["text"]), (n, text))
            self.assertNotIn("done", got[0])
            self.assertTrue(all(m["type"] == "reply" and m["seq"] == n for m in got[1:]), got)
            self.assertEqual([m["done"] for m in got[1:]], [False] * (len(got) - 2) + [True])
            self.assertTrue("".join(m["text"] for m in got[1:]).strip(), "the companion has something to say")

    async def test_to_a_toy_that_never_said_hello_only_echo_reply_error(self):
        await self.ws.send("Hello")
        await self.ws.send('{"type":"nonsense"}')
        await self.ws.send("Again")
        kinds = [m["type"] for m in await answer(self.ws, 1)] + [m["type"] for m in await answer(self.ws, 2)]
        self.assertLessEqual(set(kinds), {"echo", "reply", "error"})

    async def test_hello(self):
        welcome = await hello(self.ws, last="", max=4096)
        self.assertEqual(set(welcome), {"type", "session", "heartbeat_s", "time", "resumed"})
        self.assertRegex(welcome["session"], "^[0-9a-f]{14}$")
        self.assertEqual(welcome["heartbeat_s"], 30)
        self.assertRegex(welcome["session"], "^[0-9a-f]{14}$")
        self.assertIs(welcome["resumed"], False)
        self.assertLess(abs(float(welcome["time"]) - time.time()), 60)
        self.assertIn(self.toy.device_id, self.server.ctl("session", "list").stdout)

    async def test_text_messages(self):
        await self.ws.send('{"type":"text","text":"Hello \\u00e4\\n"}')
        got = await answer(self.ws, 1)
        self.assertEqual((got[0]["type"], got[0]["text"]), ("echo", "Hello ä\n"))
        self.assertNotIn("id", got[0])
        await self.ws.send(' \t\r\n{"type":"text","text":"Again","id":"a-1"} ')
        got = await answer(self.ws, 2)
        self.assertEqual({m["id"] for m in got}, {"a-1"})

    async def test_bad_message(self):
        for bad in ("{", "{}", '{"type":1}', '{"type":null}', ' \n{"a":1}', '{"type":"text"}', '{"type":"text","text":7}',
                    '{"type":"text","text":"a","text":"b"}', '{"type":"text","type":"text","text":"a"}',
                    '{"type":"text","text":"a"} x', '{"type":"text","text":"a"}{"type":"ping"}', "{'type':'text'}",
                    '{"type":"text","text":"\\ud800"}', '{"type":"text","text":"a","id":' + '"' + "i" * 65 + '"}',
                    '{"type":"text","text":"a","x":' + "[" * 100 + "]" * 100 + "}",
                    '{"type":"cancel"}', '{"type":"cancel","seq":"1"}', '{"type":"refresh"}'):
            with self.subTest(bad):
                await self.error(bad, "bad_message")
        await self.ws.send("alive?")
        self.assertEqual((await answer(self.ws, 1))[0]["text"], "alive?")

    async def test_unknown_type(self):
        await self.error('{"type":"dance"}', "unknown_type")
        await self.error('{"type":"echo","seq":1,"text":"x"}', "unknown_type")
        await self.ws.send("alive?")
        await answer(self.ws, 1)

    async def test_ping(self):
        await self.ws.send('{"type":"ping","t":12345}')
        pong = await receive(self.ws)
        self.assertEqual((pong["type"], pong["t"]), ("pong", 12345))
        self.assertLess(abs(float(pong["time"]) - time.time()), 60)

    async def test_telemetry_is_taken(self):
        await self.ws.send('{"type":"telemetry","battery":0.42,"rssi":-61,"heap":123456,"more":{"a":[1]}}')
        await self.ws.send('{"type":"ping","t":1}')
        self.assertEqual((await receive(self.ws))["type"], "pong")

    async def test_an_utterance_too_long(self):
        await self.ws.send("x" * 4097)
        message = await receive(self.ws)
        self.assertEqual(message["type"], "error", message)
        await self.ws.send("short")
        while True:
            message = await receive(self.ws)
            if message["type"] == "echo":
                self.assertEqual(message["text"], "short")
                break

    async def test_a_ping_frame_is_answered(self):
        await asyncio.wait_for(await self.ws.ping(b"payload"), PATIENCE)

    async def test_sessions_are_apart(self):
        other = self.server.add()
        async with other.connect(other.claim()["access"]) as second:
            await second.send("second")
            await self.ws.send("first")
            self.assertEqual((await answer(second, 1))[0]["text"], "second")
            self.assertEqual((await answer(self.ws, 1))[0]["text"], "first")


class Order(Session):
    """Many at once: order, no interleaving, one end each, `busy` for what does not fit, cancel."""

    CONFIG = {"messages_per_s": 0, "claims_per_device_min": 0}

    @classmethod
    def setUpClass(cls):
        cls.rules = tempfile.NamedTemporaryFile("w", suffix=".rules", delete=False)
        cls.rules.write(RULES)
        cls.rules.close()
        cls.CONFIG = {**cls.CONFIG, "script_rules": cls.rules.name}
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        os.unlink(cls.rules.name)

    def collect(self, ws, count):
        """Messages until `count` utterances have ended."""
        ended, seen = {}, []
        while len(ended) < count:
            message = json.loads(ws.receive()[1])
            seen.append(message)
            if message["type"] == "error" or message.get("done"):
                self.assertNotIn(message["seq"], ended, "an utterance ended twice")
                ended[message["seq"]] = message
        return seen, ended

    async def said(self, text, seq, **members):
        """Says it and returns the whole reply."""
        await self.ws.send(json.dumps({"type": "text", "text": text, **members}))
        got = await answer(self.ws, seq)
        self.assertEqual((got[0]["type"], got[0]["text"]), ("echo", text))
        self.assertTrue(all(m.get("id") == members.get("id") for m in got), got)
        return "".join(m["text"] for m in got[1:])

    async def test_an_id_is_processed_once(self):
        """`count` is answered with the next number, round 1 to 10: the answer tells how often it was processed."""
        first = int(await self.said("count", 1, id="once"))
        for seq in (2, 3):
            self.assertIn(await self.said("count", seq, id="once"), (str(first), ""), "processed a second time")
        self.assertEqual(int(await self.said("count", 4)), first % 10 + 1)

    async def test_also_over_sessions(self):
        """The toy did not hear the echo before it lost its session. What was processed would be remembered."""
        self.assertEqual(await self.said("my name is Mia", 1, id="name"), "hello Mia")
        await self.ws.close()
        self.ws = await self.toy.connect(self.access)
        await self.said("my name is Mia", 1, id="name")
        self.assertEqual(await self.said("who am i", 2), "nobody", "processed a second time")
        await self.said("my name is Mia", 3, id="another")
        self.assertEqual(await self.said("who am i", 4), "Mia")

    async def test_the_last_32_ids(self):
        first = int(await self.said("count", 1, id="i0"))

        def after(n):  # what the n-th processing after the first answers
            return str((first - 1 + n) % 10 + 1)

        for n in range(1, 33):
            self.assertEqual(await self.said("count", n + 1, id=f"i{n}"), after(n))
        await self.said("count", 34, id="i1")  # among the last 32
        self.assertEqual(await self.said("count", 35), after(33))
        self.assertEqual(await self.said("count", 36, id="i0"), after(34), "forgotten by now, so a new utterance")

    async def test_ids_are_the_devices_own(self):
        await self.said("my name is Mia", 1, id="x")
        other = self.server.add()
        async with other.connect(other.claim()["access"]) as ws:
            await ws.send('{"type":"text","text":"my name is Tom","id":"x"}')
            self.assertEqual((await answer(ws, 1))[1]["text"], "hello Tom")
            await ws.send("who am i")
            self.assertEqual((await answer(ws, 2))[1]["text"], "Tom")
        self.assertEqual(await self.said("who am i", 2), "Mia")

    async def test_busy(self):
        toy = self.server.add()
        with RawWs(self.server, f"/ws/esp32/{toy.device_id}?token={toy.claim()['access']}") as ws:
            # In one piece: the first is being answered when the last is heard.
            ws.s.sendall(b"".join(ws.frame(1, f"slow {n}".encode()) for n in range(9)))
            seen, ended = self.collect(ws, 9)
        busy = sorted(s for s, m in ended.items() if m["type"] == "error")
        self.assertTrue(all(ended[s]["code"] == "busy" for s in busy), ended)
        self.assertTrue(4 <= 9 - len(busy) <= 5, f"busy: {busy}")  # 4 wait, perhaps one more is being answered
        replies = [m["seq"] for m in seen if m["type"] == "reply"]
        self.assertEqual(replies, sorted(replies), "replies interleave")
        echoes = [m["seq"] for m in seen if m["type"] == "echo"]
        self.assertEqual(echoes, sorted(echoes))
        for s in set(echoes) - set(busy):
            first = next(i for i, m in enumerate(seen) if m["type"] == "reply" and m["seq"] == s)
            self.assertLess(next(i for i, m in enumerate(seen) if m["type"] == "echo" and m["seq"] == s), first)

    async def test_cancel(self):
        await self.ws.send("endless one")
        await self.ws.send("endless two")
        await self.ws.send("slow three")
        await receive_type(self.ws, "reply")
        await self.ws.send('{"type":"cancel","seq":2}')  # waiting
        await self.ws.send('{"type":"cancel","seq":1}')  # being answered
        await self.ws.send('{"type":"cancel","seq":77}')  # never was
        ended = {}
        while len(ended) < 3:
            message = await receive(self.ws)
            if "seq" in message and (message["type"] == "error" or message.get("done")) and message["seq"] != 77:
                self.assertNotIn(message["seq"], ended)
                ended[message["seq"]] = message
        self.assertEqual(set(ended), {1, 2, 3})
        self.assertEqual(ended[3]["type"], "reply")

    async def test_leaving_in_the_middle(self):
        await self.ws.send("slow")
        await receive_type(self.ws, "reply")
        await self.ws.close()
        self.ws = await self.toy.connect(self.access)
        await self.ws.send("slow again")
        self.assertEqual((await answer(self.ws, 1))[0]["text"], "slow again")


class EchoProcessor(Case):
    CONFIG = {"processor": "echo", "messages_per_s": 0}

    async def test_the_echo_is_the_answer(self):
        toy = self.server.add()
        async with toy.connect(toy.claim()["access"]) as ws:
            for n in range(1, 50):
                await ws.send(f"number {n}")
            for n in range(1, 50):
                echo = await receive(ws)
                self.assertEqual(echo, {"type": "echo", "seq": n, "text": f"number {n}", "done": True})
            await ws.send(json.dumps({"type": "text", "text": "x", "id": "7"}))
            self.assertEqual(await receive(ws), {"type": "echo", "seq": 50, "text": "x", "done": True, "id": "7"})


RULES = """
unknown name nobody

rule name
hear my name is +
keep name 1
say hello {name}

rule ask
hear who am i
say {name}

rule slow
hear slow *
say one
pause 500
then two
pause 500
then three

rule endless
hear endless *
say one
pause 60000
then two

rule count
hear count
""" + "".join(f"say {n}\n" for n in range(1, 11)) + """
default
say fine
"""

if __name__ == "__main__":
    main()
