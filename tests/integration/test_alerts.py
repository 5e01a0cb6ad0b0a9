"""What may mean a child in danger: the toy answers at once, and the operator's service is told, until it takes it."""

import asyncio
import hashlib
import hmac
import json
import secrets
import threading
import time
from datetime import timedelta

from harness import PATIENCE, answer, closing, main, receive_type
from openai_server import Backend
from test_mind import WithMind, now

SECRET = "the-secret-of-alerts"
WORDS = "i want to kill myself"  # a line of the corpus has it, too


class Service(Backend):
    """The operator's: fails `failures` times, then takes what comes."""

    def __init__(self):
        super().__init__(default=self.take)
        self.failures, self.taken = 0, []

    def _one(self, sock):
        try:
            return super()._one(sock)
        except KeyError:
            return False

    def take(self, x):
        expected = hmac.new(SECRET.encode(), f"{x.headers['teddy-timestamp']}.".encode() + x.raw_body, hashlib.sha256).hexdigest()
        good = x.headers["teddy-signature"] == "v1=" + expected and abs(int(x.headers["teddy-timestamp"]) - time.time()) < 60
        with self.changed:
            fails = self.failures != 0
            self.failures -= self.failures > 0
            if good and not fails:
                self.taken.append(x.body)
            self.changed.notify_all()
        x.whole("{}", status="500 Not now" if fails else "200 OK" if good else "401 Who")

    def wait_taken(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.taken) >= count, PATIENCE), f"{len(self.taken)} of {count} came"
            return self.taken[count - 1]


class Alerts(WithMind):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        cls.service.close()
        super().tearDownClass()

    @classmethod
    def processor(cls):
        return {**super().processor(), "alert_url": cls.service.url + "/alerts", "alert_secret_file": cls.file("alert", SECRET + "\n")}

    def setUp(self):
        self.service.taken.clear()
        self.service.failures = 0

    def outbox(self):
        return self.rows("select child_id, words from alert order by n")

    async def until_empty(self):
        end = time.monotonic() + PATIENCE
        while self.outbox():
            self.assertLess(time.monotonic(), end)
            await asyncio.sleep(0.01)

    async def test_told_at_once_without_words(self):
        toy, ws = await self.talk()
        said = await self.say(WORDS, ws)
        self.assertNotIn("re:", said)
        self.assertIn("grown-up", said)
        told = await asyncio.to_thread(self.service.wait_taken, 1)
        self.assertEqual({**told, "at": None, "id": None},
                         {"id": None, "at": None, "category": "self_harm", "device_id": toy.device_id, "child_id": toy.child_id})
        await self.until_empty()
        self.assertEqual([x.said for x in self.backend.seen if x.said == WORDS], [], "nobody else is asked")
        events = self.server.ctl("--json", "audit", "tail", "-n", "20").stdout
        self.assertIn("talk.alert", events)
        self.assertNotIn("kill", events + self.server.all_logs())
        (day,) = await self.until_report(toy)
        self.assertEqual(day["blocked"], {"self_harm": 1})

    async def test_with_words_when_the_profile_says_so(self):
        toy, ws = await self.talk()
        await self.settings(toy, "alert_words=on")
        await self.say(WORDS + " my number is 030 12345678", ws)
        told = await asyncio.to_thread(self.service.wait_taken, 1)
        self.assertIn(WORDS, told["words"])
        self.assertNotIn("12345678", told["words"])

    async def test_again_until_it_is_taken(self):
        self.service.failures = 2
        toy, ws = await self.talk()
        other, ws2 = await self.talk()
        await self.say(WORDS, ws)
        await self.say(WORDS, ws2)
        await asyncio.to_thread(self.service.wait_taken, 2)
        await self.until_empty()
        self.assertEqual(sorted(a["device_id"] for a in self.service.taken), sorted([toy.device_id, other.device_id]))

    async def test_raised_when_the_day_is_over(self):
        toy, ws = await self.talk()
        noon = now() + timedelta(hours=12)  # half a day from now
        await self.settings(toy, f"quiet={noon + timedelta(minutes=1):%H:%M}-{noon:%H:%M}")
        self.assertIn("quiet time", await self.say("hello", ws))
        self.assertIn("grown-up", await self.say(WORDS, ws))
        told = await asyncio.to_thread(self.service.wait_taken, 1)
        self.assertEqual(told["child_id"], toy.child_id)
        await self.until_empty()

    async def test_raised_before_its_turn(self):
        """The child goes on while it is answered, and the toy leaves, or wants no answer any more."""
        self.backend.scripts["tell me a long story"] = lambda x: x.wait_gone()
        for how in ("waits", "cancels", "leaves", "is refused", "says too much"):
            with self.subTest(how):
                toy, ws = await self.talk()
                before = len(self.service.taken)
                if how != "says too much":
                    await ws.send("tell me a long story")
                if how == "is refused":
                    for n in range(4):
                        await ws.send(f"and {n}")
                await ws.send(WORDS + (" and so on" * 500 if how == "says too much" else ""))
                if how == "leaves":
                    ws.transport.abort()
                elif how == "cancels":
                    await ws.send(json.dumps({"type": "cancel", "seq": 2}))
                told = await asyncio.to_thread(self.service.wait_taken, before + 1)
                self.assertEqual((told["child_id"], told["category"]), (toy.child_id, "self_harm"))
                if how in ("is refused", "says too much"):
                    self.assertEqual((await receive_type(ws, "error"))["code"], "busy" if how == "is refused" else "too_big")
                elif how != "leaves":
                    await ws.send(json.dumps({"type": "cancel", "seq": 1}))
                    said = "".join(m["text"] for m in await answer(ws, 2) if m["type"] == "reply" and m["seq"] == 2)
                    self.assertEqual("grown-up" in said, how == "waits", said)
                await self.until_empty()
                self.assertEqual(len(self.service.taken), before + 1, "once")

    async def test_over_a_kill(self):
        self.service.failures = -1  # until further notice
        toy, ws = await self.talk()
        before = self.server.metric('teddy_alerts_total{event="counted"}')
        for _ in range(7):  # the first are kept, as nobody knows of them, and the rest is counted
            await self.say(WORDS, ws)
        await asyncio.to_thread(self.service.wait, 1)
        self.assertEqual(self.server.metric('teddy_alerts_total{event="counted"}') - before, 3)
        exported = json.loads(self.server.ctl("child", "export", toy.child_id).stdout)["conversations"][0]["alerts"]
        self.assertEqual([a.get("more") for a in exported], [None] * 3 + [3])
        self.assertGreaterEqual(exported[3]["last_at"], exported[3]["at"])
        await asyncio.to_thread(self.server.kill)
        self.assertEqual(self.rows("select child_id, more from alert order by n"), [(toy.child_id, 0)] * 3 + [(toy.child_id, 3)])
        with closing(self.server.database()) as db:
            db.execute("update alert set due_s = 0")
            db.commit()
        self.service.failures = 0
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.service.wait_taken, 4)
        await self.until_empty()
        self.assertEqual([(a["device_id"], a.get("more")) for a in self.service.taken], [(toy.device_id, None)] * 3 + [(toy.device_id, 3)])
        self.assertGreaterEqual(self.service.taken[3]["last_at"], self.service.taken[3]["at"])
        self.ws = await self.join()

    async def test_a_store_that_keeps_it(self):
        """It was taken but cannot be struck off: it is sent again, but not as fast as the service answers."""
        toy, ws = await self.talk()
        with closing(self.server.database()) as db:
            db.execute("create trigger keeps before delete on alert begin select raise(abort, 'kept'); end")
            db.commit()
            try:
                begun = time.monotonic()
                await self.say(WORDS, ws)
                await asyncio.to_thread(self.service.wait_taken, 2)
                self.assertLessEqual(len(self.service.taken), 2 + (time.monotonic() - begun))
            finally:
                db.execute("drop trigger keeps")
                db.commit()
        await self.until_empty()
        self.assertEqual(len({a["id"] for a in self.service.taken}), 1)

    async def test_forgotten_with_its_child(self):
        self.service.failures = -1
        toy, ws = await self.talk()
        await self.settings(toy, "alert_words=on")
        with closing(self.server.database()) as db:  # many wait: a service that is away is asked seldom
            db.execute("with recursive i (k) as (select 1 union all select k + 1 from i where k < 99) insert into alert"
                       " select null, row, ?, 'other', '', 1, 1, 0, 0, 1 from i, device where device_id = ?", (toy.child_id, toy.device_id))
            db.commit()
        before, begun = len(self.service.seen), time.monotonic()
        await self.say(WORDS, ws)
        await asyncio.to_thread(self.service.wait, before + 3)
        await asyncio.to_thread(self.server.ctl, "child", "forget", toy.child_id)
        self.assertLessEqual(len(self.service.seen) - before, 3 + (time.monotonic() - begun))
        self.assertEqual(self.outbox(), [])


if __name__ == "__main__":
    main()
