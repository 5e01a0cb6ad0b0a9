"""Messages to toys: queued durably, delivered at least once and in order, kept until acked, and nobody else's."""

import asyncio
import json
import os
import shutil
import tempfile
import time

from harness import PATIENCE, Case, Server, answer, hello, main, receive

WORDS = "hush little teddy"  # in every message's words, and never in the log


def number(message_id):
    epoch, n = message_id.split(".")
    return int(epoch), int(n)


class Downlink(Case):
    CONFIG = {"messages_per_s": 0, "claims_per_device_min": 0, "claim_policy": "allow", "metrics_listen": "127.0.0.1:0"}

    async def asyncSetUp(self):
        self.toy = self.server.add()
        self.access = self.toy.claim()["access"]

    @classmethod
    def tearDownClass(cls):
        try:
            assert WORDS not in cls.server.all_logs(), "words were logged"
        finally:
            super().tearDownClass()

    def send(self, n, *options, toy=None, server=None):
        """Queues message n; returns its id."""
        toy = toy or self.toy
        made = json.loads((server or self.server).ctl("send", toy.device_id, f"{WORDS} {n}", *options).stdout)
        self.assertEqual((set(made), made["device_id"]), ({"id", "device_id", "expires"}, toy.device_id))
        return made["id"]

    def waiting(self, toy=None, server=None):
        out = (server or self.server).ctl("--json", "message", "list", (toy or self.toy).device_id).stdout
        self.assertNotIn(WORDS, out)
        return [m["id"] for m in json.loads(out)["messages"]]

    async def join(self, toy=None, access=None, **members):
        ws = await (toy or self.toy).connect(access or self.access)
        await hello(ws, **members)
        return ws

    async def hears(self, ws, n, message_id=None):
        message = await receive(ws)
        self.assertEqual((message["type"], message.get("text")), ("message", f"{WORDS} {n}"), message)
        self.assertEqual(set(message), {"type", "id", "text", "expires"})
        if message_id:
            self.assertEqual(message["id"], message_id)
        return message["id"]

    async def hears_no_more(self, ws):
        """What was due has come before this answer: a message would be in front of it."""
        await ws.send('{"type":"ping","t":"end"}')
        message = await receive(ws)
        self.assertEqual((message["type"], message.get("t")), ("pong", "end"), message)

    async def ack(self, ws, message_id):
        await ws.send(json.dumps({"type": "ack", "id": message_id}))

    async def acked(self, ws, message_id, toy=None, server=None):
        """Acks, and waits until that is durable: what is queued next is only fetched behind it."""
        await self.ack(ws, message_id)
        n = "barrier"
        barrier = self.send(n, toy=toy, server=server)
        await self.hears(ws, n, barrier)
        return barrier

    async def test_online_at_once_in_order(self):
        ws = await self.join()
        ids = []
        for n in range(5):
            ids.append(self.send(n))
            await self.hears(ws, n, ids[-1])
        self.assertEqual(ids, sorted(set(ids), key=number))
        made = json.loads(self.server.ctl("send", self.toy.device_id, "--object", '{"volume": [3, "ä"]}', "--expires", "60").stdout)
        message = await receive(ws)
        self.assertEqual((set(message), message["id"], message["data"]),
                         ({"type", "id", "data", "expires"}, made["id"], {"volume": [3, "ä"]}))
        self.assertLess(abs(message["expires"] - time.time() - 60), 30)
        await ws.close()

    async def test_offline_on_return_and_acks_are_cumulative(self):
        ids = [self.send(n) for n in range(5)]
        self.assertEqual(self.waiting(), ids)
        ws = await self.join()
        for n in range(5):
            await self.hears(ws, n, ids[n])
        await self.ack(ws, ids[2])
        barrier = self.send("barrier")
        await self.hears(ws, "barrier", barrier)
        self.assertEqual(self.waiting(), [ids[3], ids[4], barrier])
        await self.ack(ws, ids[0])  # behind what is acked: nothing
        await self.acked(ws, barrier)
        self.assertEqual(len(self.waiting()), 1)
        await ws.close()

    async def test_again_after_a_cut_without_ack(self):
        ids = [self.send(n) for n in range(3)]
        ws = await self.join()
        for n in range(3):
            await self.hears(ws, n, ids[n])
        await self.acked(ws, ids[0])
        ws.transport.abort()
        ws = await self.join()
        await self.hears(ws, 1, ids[1])
        await self.hears(ws, 2, ids[2])
        await self.hears(ws, "barrier")
        await ws.close()
        ws = await self.join(last=ids[2])  # kept, but its ack was lost
        barrier = await self.hears(ws, "barrier")
        self.assertEqual(self.waiting(), [barrier])
        await self.hears_no_more(ws)
        await ws.close()

    async def test_eight_unacked_at_most(self):
        ids = [self.send(n) for n in range(20)]
        ws = await self.join()
        for n in range(8):
            await self.hears(ws, n, ids[n])
        await self.hears_no_more(ws)
        await self.ack(ws, ids[2])
        for n in range(8, 11):
            await self.hears(ws, n, ids[n])
        await self.hears_no_more(ws)
        await self.ack(ws, ids[10])
        for n in range(11, 19):
            await self.hears(ws, n, ids[n])
        await self.ack(ws, ids[18])
        await self.hears(ws, 19, ids[19])
        await ws.close()

    async def test_nobody_elses(self):
        other = self.server.add()
        other_id = self.send("other", toy=other)
        mine = self.send("mine")
        ws = await self.join()
        await self.hears(ws, "mine", mine)
        await self.acked(ws, mine)
        self.assertEqual(self.waiting(other), [other_id])
        await ws.close()

    async def test_without_hello_nothing(self):
        ws = await self.toy.connect(self.access)
        first = self.send(1)
        await self.hears_no_more(ws)
        await self.ack(ws, first)
        self.assertEqual((await receive(ws))["code"], "bad_message")
        await self.hears_no_more(ws)
        await hello(ws)
        await self.hears(ws, 1, first)
        await ws.close()

    async def test_what_is_no_ack(self):
        first = self.send(1)
        epoch, n = number(first)
        ws = await self.join()
        await self.hears(ws, 1, first)
        for bad in (f'"{epoch}.{n + 1}"', f'"{epoch + 1}.0"', '"x"', '""', "1", "null", f'"{epoch}"', f'" {first}"', '"0.0"',
                    f'"0{first}"', '"1099511627777.1"', '"99999999999999999999.1"'):
            with self.subTest(bad):
                await ws.send('{"type":"ack","id":%s}' % bad)
                self.assertEqual((await receive(ws))["code"], "bad_message")
        await ws.send('{"type":"ack"}')
        self.assertEqual((await receive(ws))["code"], "bad_message")
        self.assertEqual(self.waiting(), [first])
        await ws.close()
        ws = await self.toy.connect(self.access)
        for bad in ('"x"', "7", '"1.2.3"', '"1099511627777.1"', '"-1.1"'):
            await ws.send('{"type":"hello","last":%s}' % bad)
            self.assertEqual((await receive(ws))["code"], "bad_message")
        await self.hears_no_more(ws)  # none of them was a hello
        await ws.close()

    async def test_expired_ones_are_not_sent(self):
        short = self.send("short", "--expires", "1")
        ws = await self.toy.connect(self.access)
        end = time.monotonic() + PATIENCE
        while self.waiting() and time.monotonic() < end:
            pass
        self.assertEqual(self.waiting(), [], "still waits after its time")
        long = self.send("long")
        await hello(ws)
        self.assertNotEqual(await self.hears(ws, "long", long), short)
        await self.hears_no_more(ws)
        await ws.close()

    async def test_larger_than_the_toy_takes(self):
        ids = [self.send(1), self.send("x" * 400), self.send(2)]
        ws = await self.join(max=256)
        await self.hears(ws, 1, ids[0])
        await self.hears(ws, 2, ids[2])
        await self.acked(ws, ids[0])
        self.assertNotIn(ids[1], self.waiting())
        self.server.log.wait(f"downlink_dropped.*{self.toy.device_id}.*{ids[1]}")
        await ws.close()

    async def test_another_session_takes_over(self):
        first = self.send(1)
        ws = await self.join()
        await self.hears(ws, 1, first)
        new = await self.join()
        await self.hears(new, 1, first)
        self.assertEqual((await ws_closed(ws))[0], 4001)
        await self.hears(new, 2, self.send(2))
        await new.close()

    async def test_queue_ends_with_what_it_was_for(self):
        def again(child):
            self.toy.child_id = child
            return self.toy.claim()["access"]

        self.send("for the first child")
        access = again("child-2")
        self.assertEqual(self.waiting(), [], "another child")
        ws = await self.join(access=access)
        first = self.send("for the second child")
        await self.hears(ws, "for the second child", first)
        await ws.close()
        again("child-2")
        self.assertEqual(self.waiting(), [first], "the same child")
        self.server.ctl("device", "release", self.toy.device_id)
        self.assertEqual(self.waiting(), [], "released")
        kept = self.send("for whoever comes")
        access = again("child-3")
        self.assertEqual(self.waiting(), [kept])
        ws = await self.join(access=access)
        await self.hears(ws, "for whoever comes", kept)
        self.server.ctl("child", "forget", "child-3")
        self.assertEqual(self.waiting(), [], "forgotten")
        await ws_closed(ws)
        self.send("gone")
        self.assertIn("1 withdrawn", self.server.ctl("message", "clear", self.toy.device_id).stdout)
        self.assertEqual(self.waiting(), [])

    async def test_a_toy_ahead_of_its_server(self):
        """It knows ids of a later state than the server's: of a server whose backup was restored, with a clock that is back."""
        ids = [self.send(n) for n in range(2)]
        ahead = f"{number(ids[0])[0] + 1000000}.7"
        ws = await self.join(last=ahead)
        got = [await self.hears(ws, n) for n in range(2)]
        self.assertGreater(number(got[0]), number(ahead))
        self.assertGreater(number(got[1]), number(got[0]))
        third = self.send(2)
        self.assertGreater(number(third), number(got[1]))
        await self.hears(ws, 2, third)
        self.server.log.wait(f"downlink_overtaken.*{self.toy.device_id}")
        other = self.server.add()
        self.assertEqual(number(self.send(1, toy=other))[0], number(ids[0])[0], "another toy's epoch moved")
        await ws.close()

    async def test_api(self):
        def ask(method, body=None, device=None, kind="application/json"):
            return self.server.admin(method, f"/devices/{device or self.toy.device_id}/messages", body, kind)

        for body, status, code, detail in (
                (b'{"text":"hi"}', 404, "device_not_found", "nobody"), (b"{", 400, "bad_json", ""), (b"[]", 400, "bad_json", ""),
                (b'{"text":"a","text":"b"}', 400, "bad_json", ""), (b'{"text":"\xff"}', 400, "bad_json", ""), (b"{}", 422, "bad_members", "text"),
                (b'{"text":""}', 422, "bad_members", "text"), (b'{"text":7}', 422, "bad_members", "text"), (b'{"text":null}', 422, "bad_members", "text"),
                (b'{"text":"a\\u0000b"}', 422, "bad_members", "text"), (b'{"text":"%s"}' % (b"x" * 1025), 422, "bad_members", "text"),
                (b'{"data":[1]}', 422, "bad_members", "data"), (b'{"data":{"a":"%s"}}' % (b"x" * 1020), 422, "bad_members", "data"),
                (b'{"text":"a","data":{}}', 422, "bad_members", "data"), (b'{"text":"a","urgent":true}', 422, "bad_members", "Members"),
                (b'{"data":' + b'{"a":' * 30 + b"1" + b"}" * 31, 400, "bad_json", "nested"),
                (b'{"text":"a","expires_in":0}', 422, "bad_members", "expires_in"), (b'{"text":"a","expires_in":7776001}', 422, "bad_members", "expires_in"),
                (b'{"text":"a","expires_in":"1"}', 422, "bad_members", "expires_in"), (b'{"text":"a","expires_in":1.5}', 422, "bad_members", "expires_in")):
            with self.subTest(body=body[:60]):
                got, answer = ask("POST", body, "nobody" if status == 404 else None)
                self.assertEqual((got, answer["code"]), (status, code), answer)
                self.assertIn(detail, answer["detail"])
        self.assertEqual(ask("POST", b"hi", kind="text/plain")[0], 415)
        self.assertEqual(ask("GET", device="nobody")[0], 404)
        self.assertEqual(ask("DELETE", device="nobody")[0], 404)
        self.assertEqual(ask("PUT", b"{}")[0], 405)
        self.assertEqual(ask("GET"), (200, {"device_id": self.toy.device_id, "messages": []}))
        status, made = ask("POST", json.dumps({"text": "é" * 512, "expires_in": 7776000}).encode())
        self.assertEqual(status, 201)
        status, listed = ask("GET")
        self.assertEqual(listed["messages"], [{"id": made["id"], "queued": listed["messages"][0]["queued"],
                                               "expires": made["expires"], "kind": "text", "bytes": 1024}])
        self.assertEqual(ask("DELETE"), (200, {"device_id": self.toy.device_id, "cleared": 1}))

    async def test_counted(self):
        def counts():
            return {k: self.server.metric(f"teddy_downlinks_{k}_total") for k in ("queued", "sent", "acked", "expired", "dropped")}

        before = counts()
        ids = [self.send(1), self.send("x" * 400)]
        ws = await self.join(max=256)
        await self.hears(ws, 1, ids[0])
        await self.acked(ws, ids[0])
        after = counts()
        self.assertEqual({k: after[k] - before[k] for k in before}, {"queued": 3, "sent": 2, "acked": 1, "expired": 0, "dropped": 1})
        await ws.close()

    async def test_resumed(self):
        ws = await self.toy.connect(self.access)
        self.assertFalse((await hello(ws))["resumed"])
        await ws.send('{"type":"text","text":"hi","id":"1"}')
        await answer(ws, 1)  # what is cut before its answer's end is no longer known
        await ws.close()
        ws = await self.toy.connect(self.access)
        self.assertTrue((await hello(ws))["resumed"])
        await ws.close()
        self.toy.child_id = "another"
        ws = await self.toy.connect(self.toy.claim()["access"])
        self.assertFalse((await hello(ws))["resumed"])
        await ws.close()


async def ws_closed(ws):
    await asyncio.wait_for(ws.wait_closed(), PATIENCE)
    return ws.close_code, ws.close_reason


class Lives(Downlink):
    """What a server does not live through, its queue does."""

    CONFIG = {**Downlink.CONFIG, "downlink_queue_max": 3}

    async def test_killed_between_send_and_ack(self):
        ids = [self.send(n) for n in range(2)]
        ws = await self.join()
        for n in range(2):
            await self.hears(ws, n, ids[n])
        barrier = await self.acked(ws, ids[0])
        self.server.kill()
        self.server.start()
        ws = await self.join()
        await self.hears(ws, 1, ids[1])
        await self.hears(ws, "barrier", barrier)
        await self.hears_no_more(ws)
        last = await self.acked(ws, barrier)
        self.assertGreater(number(last)[0], number(barrier)[0], "a start opens an epoch")
        await self.acked(ws, last)
        self.server.kill()
        self.server.start()
        self.assertEqual(len(self.waiting()), 1)
        await ws.close()

    async def test_queued_while_no_server_runs(self):
        first = self.send(1)
        self.server.terminate()
        second = self.send(2)
        self.server.start()
        third = self.send(3)
        self.assertEqual([first, second, third], sorted({first, second, third}, key=number))
        ws = await self.join()
        for n, message_id in enumerate((first, second, third), 1):
            await self.hears(ws, n, message_id)
        await ws.close()

    async def test_a_bound(self):
        for n in range(3):
            self.send(n)
        done = self.server.ctl("send", self.toy.device_id, "one too many", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("3 messages wait", done.stderr)
        status, answer = self.server.admin("POST", f"/devices/{self.toy.device_id}/messages", b'{"text":"x"}')
        self.assertEqual((status, answer["code"]), (409, "downlink_queue_full"))
        ws = await self.join()
        for n in range(2):
            await self.hears(ws, n)
        last = await self.hears(ws, 2)
        await self.ack(ws, last)
        end = time.monotonic() + PATIENCE
        while self.waiting() and time.monotonic() < end:
            pass
        await self.hears(ws, 3, self.send(3))
        await ws.close()

    async def test_a_restored_backup(self):
        """Nothing that is queued after it is taken for what the toy has, and nothing that the toy has comes again."""
        seen = []
        old = [self.send(n) for n in ("old 1", "old 2")]
        self.server.terminate()
        with tempfile.TemporaryDirectory() as backup:
            for name in os.listdir(self.server.data):
                if name.startswith("teddy.db"):
                    shutil.copy(os.path.join(self.server.data, name), backup)
            self.server.start()
            ws = await self.join()
            for n, message_id in zip(("old 1", "old 2"), old):
                seen.append(await self.hears(ws, n, message_id))
            seen.append(await self.acked(ws, old[1]))
            seen.append(await self.acked(ws, seen[-1]))
            await ws.close()
            self.server.kill()
            for name in os.listdir(self.server.data):
                if name.startswith("teddy.db"):
                    os.remove(os.path.join(self.server.data, name))
            for name in os.listdir(backup):
                shutil.copy(os.path.join(backup, name), self.server.data)
        while time.time() < number(seen[-1])[0] + 1:
            pass  # nobody restores within the second; epochs are seconds
        self.server.start()
        self.assertEqual(self.waiting(), old, "as they were")
        new = self.send("new")
        self.assertGreater(number(new), number(seen[-1]))
        ws = await self.join(last=seen[-1])
        await self.hears(ws, "new", new)
        await self.hears_no_more(ws)
        self.assertEqual(self.waiting(), [new])
        await ws.close()


# Those of the other class run there.
for name in [n for n in dir(Downlink) if n.startswith("test_")]:
    setattr(Lives, name, None)

if __name__ == "__main__":
    main()
