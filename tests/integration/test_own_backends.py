"""What an operator writes: a webhook, whose requests are signed, and a program that speaks lines. They misbehave, and the toy hears an
answer all the same."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

from harness import PATIENCE, Case, Server, answer, lasting_port, main, receive_type
from openai_server import Backend
from test_processors import QUICK, WithBackend

SECRET = "0123456789abcdef-webhook"


def as_webhook(x):
    x.head(kind="application/x-ndjson")
    x.send(json.dumps({"text": "re: "}) + "\n")
    x.send(json.dumps({"text": x.said}) + "\n" + '{"done":true}\n')


class Webhook(WithBackend):
    CONFIG = QUICK
    BACKEND = {"default": as_webhook}
    SCRIPTS = {
        "json": lambda x: x.whole('{"text":"whole"}', kind="application/json; charset=utf-8"),
        "status": lambda x: x.whole('{"text":"no"}', status="500 Internal Server Error"),
        "type": lambda x: x.whole("whole", kind="text/plain"),
        "malformed": lambda x: (x.head(kind="application/x-ndjson"), x.send("oops\n")),
        "early": lambda x: (x.head(kind="application/x-ndjson"), x.send('{"text":"Once. "}\n'), x.server.heard.wait(PATIENCE)),
        "huge": lambda x: (x.head(kind="application/x-ndjson"), x.send('{"text":"' + "a" * 100000)),
        "hang": lambda x: x.wait_gone(),
    }

    @classmethod
    def processor(cls):
        return {"processor": "webhook", "webhook_url": cls.backend.url + "/teddy?x=1",
                "webhook_secret_file": cls.file("secret", SECRET + "\n")}

    async def test_signed(self):
        self.assertEqual(await self.say('"Hällo"'), 're: "Hällo"')
        x = self.backend.wait(1, '"Hällo"')
        stamp = x.headers["teddy-timestamp"]
        self.assertLess(abs(time.time() - int(stamp)), 60)
        want = hmac.new(SECRET.encode(), stamp.encode() + b"." + x.raw_body, hashlib.sha256).hexdigest()
        self.assertEqual(x.headers["teddy-signature"], "v1=" + want)
        self.assertEqual(x.path, "/teddy?x=1")
        self.assertEqual(set(x.body), {"id", "speaker", "text", "profile", "history"})
        self.assertEqual((x.body["profile"], x.body["history"]), ({}, []))

    async def test_names_tell_nothing(self):
        """The same for a toy and its child, another for each other toy, and neither's id."""
        names, ids = [], []
        for said, ws in (("a", self.ws), ("b", self.ws), ("c", await self.join())):
            await self.say(said, ws)
            x = self.backend.wait(1, said)
            names.append(x.body["speaker"])
            ids.append(x.body["id"])
            self.assertNotRegex(x.raw_body.decode(), "toy-|child-1")
        self.assertEqual(names[0], names[1])
        self.assertNotEqual(names[0], names[2])
        self.assertEqual(len(set(ids)), 3)

    async def test_forms_and_failures(self):
        self.assertEqual(await self.say("json"), "whole")
        for said in ("status", "type", "malformed", "huge", "hang"):
            with self.subTest(said):
                self.assertEqual(await self.say(said), "FALLBACK")
                await self.recovered()
        self.ws.seq += 1
        await self.ws.send("early")
        self.assertEqual((await receive_type(self.ws, "reply"))["text"], "Once.")
        self.backend.heard.set()
        self.assertEqual((await answer(self.ws, self.ws.seq))[-1]["text"], " LOST")

    async def test_the_example_verifies(self):
        port = lasting_port()
        program = os.path.join(os.environ["TEST_SOURCE"], "examples/processors/webhook.py")
        example = subprocess.Popen([sys.executable, program, str(port), self.CONFIG["webhook_secret_file"]], stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", port)) == 0:
                        break
                await asyncio.sleep(0.05)
            for secret, want in ((SECRET, "You said: hi"), ("another-secret-0123", "FALLBACK")):
                server = Server(script_rules=self.CONFIG["script_rules"], processor="webhook", webhook_url=f"http://127.0.0.1:{port}",
                                webhook_secret_file=self.file("another", secret))
                try:
                    toy = server.add()
                    async with toy.connect(toy.claim()["access"]) as ws:
                        ws.seq = 0
                        self.assertEqual(await self.say("hi", ws), want)
                finally:
                    server.close()
        finally:
            example.kill()
            example.wait()

    def test_refused_at_start(self):
        for why, config in (("needs a webhook_secret_file", {}),
                            ("16 characters", {"webhook_secret_file": self.file("short", "short")}),
                            ("webhook_url", {"webhook_url": ""})):
            with self.subTest(why), self.assertRaisesRegex(AssertionError, why):
                Server(**{"processor": "webhook", "webhook_url": "http://h", **config})


PROGRAM = '''#!/usr/bin/python3 -u
import json, os, signal, sys
def say(**answer):
    print(json.dumps(answer), flush=True)
first = not os.path.exists(sys.argv[1])
open(sys.argv[1], "a").write(str(os.getpid()) + "\\n")
known = {}
for line in sys.stdin:
    asked = json.loads(line)
    if "cancel" in asked:
        open(sys.argv[1] + ".cancelled", "a").write(known.get(asked["cancel"], "?") + "\\n")
        continue
    id, text = asked["id"], asked["text"]
    known[id] = text
    if text == "die":
        sys.exit(3)
    elif text == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif text == "half":
        say(id=id, text="Once. ")
    elif text == "then die":
        say(id=id, text="Once. ")
        os._exit(1)
    elif text == "hang":
        pass
    elif text == "who":
        say(id=id, text="".join(chr(97 + int(d)) for d in str(os.getpid())), done=True)
    elif text == "stop reading":
        signal.pause()
    elif text == "close":
        os.close(1); signal.pause()
    elif text == "garbage":
        print("Traceback: oh"); print("{"); print('{"id":7}'); print('{"id":"0-99","text":"x"}'); print('{"id":"9-9","text":"x"}')
        say(id=id, text="through it all", done=True)
    elif text == "babble":
        while True:
            print("blah blah")
    elif text == "endless line":
        while True:
            sys.stdout.write("x" * 1000)
    elif text == "stderr":
        for n in range(300):
            print("trouble", n, "\\x1b[31m" + "y" * 1000, file=sys.stderr, flush=True)
        say(id=id, text="said", done=True)
    elif text == "error":
        say(id=id, error="no idea")
    elif text == "empty":
        say(id=id, done=True)
    elif text == "environment":
        fds = sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1]
        status = open("/proc/self/status").read()
        open(sys.argv[1] + ".environment", "w").write(json.dumps([dict(os.environ), fds, "NoNewPrivs:\\t1" in status, os.getcwd(), signal.getsignal(signal.SIGTERM).name,
                                    "SigBlk:\\t0000000000000000" in status, int(status.split("SigIgn:\\t")[1][:16], 16)]))
        say(id=id, text="written", done=True)
    elif text == "parts":
        say(id=id, text="One. "); say(id=id, text="Zwö. "); sys.stdout.buffer.write(b'{"id":"' + id.encode() + b'","text":"\\xf0\\x9f","done":true}\\n'); sys.stdout.flush()
    else:
        say(id=id, text="re: " + text, done=True)
'''


class Exec(WithBackend):
    CONFIG = {**QUICK, "backend_first_token_ms": 3000}
    loops = 2

    @classmethod
    def processor(cls):
        cls.lives = os.path.join(cls.dir.name, "lives")
        return {"processor": "exec", "exec_command": f"{cls.file('program', PROGRAM, 0o700)} {cls.lives}"}

    def pids(self):
        with open(self.lives) as f:
            return [int(line) for line in f]

    async def asyncSetUp(self):
        await super().asyncSetUp()
        await self.recovered()

    async def test_answers(self):
        toys = [await self.join() for _ in range(6)]  # of both loops
        got = await asyncio.gather(*(self.say(f"Hällo {n} \n\"", ws) for n, ws in enumerate(toys)))
        self.assertEqual(got, [f"re: Hällo {n} \n\"" for n in range(6)])
        self.assertEqual(await self.say("parts"), "One. Zwö. \ufffd")
        self.assertEqual(await self.say("garbage"), "through it all")
        self.server.log.wait("event=exec_garbage")
        self.assertNotIn("Traceback", self.server.log.text())

    async def test_nothing_of_ours_is_inherited(self):
        self.assertEqual(await self.say("environment"), "written")
        with open(self.lives + ".environment") as f:
            env, fds, no_new_privs, cwd, sigterm, nothing_blocked, ignored = json.load(f)
        self.assertEqual(set(env) - {"LC_CTYPE"}, {"PATH", "LANG"})
        self.assertEqual((fds, no_new_privs, cwd, sigterm), ([0, 1, 2], True, "/", "SIG_DFL"))
        self.assertTrue(nothing_blocked)
        self.assertEqual(ignored & 0x7fffffff, 0x1001000, "Python itself ignores SIGPIPE and SIGXFSZ")

    async def test_failures(self):
        other = await self.join()
        for said, want in (("die", "FALLBACK"), ("crash", "FALLBACK"), ("then die", "Once. LOST"), ("close", "FALLBACK"),
                           ("babble", "FALLBACK"), ("endless line", "FALLBACK"), ("error", "FALLBACK"), ("empty", "FALLBACK"),
                           ("hang", "FALLBACK"), ("half", "Once. LOST")):
            with self.subTest(said):
                self.assertEqual(await self.say(said), want)
                await self.recovered()
                await self.recovered(other)

    async def test_one_that_hangs_is_killed_and_started_again(self):
        others = [await self.join() for _ in range(4)]
        before = self.pids()[-1]
        self.assertEqual(await self.say("stop reading"), "FALLBACK")
        self.assertEqual(await asyncio.gather(*(self.say("anybody?", ws) for ws in others)), ["FALLBACK"] * 4)
        self.server.log.wait(f"event=exec_killed pid={before} ")
        await self.recovered()
        self.assertNotEqual(self.pids()[-1], before)

    async def test_killed_from_outside(self):
        os.kill(self.pids()[-1], signal.SIGKILL)
        self.server.log.wait("event=exec_ended .*signal=9")
        await self.recovered()

    async def test_cancel(self):
        self.ws.seq += 1
        await self.ws.send("half")
        await receive_type(self.ws, "reply")
        await self.ws.send(json.dumps({"type": "cancel", "seq": self.ws.seq}))
        await answer(self.ws, self.ws.seq)
        self.assertEqual(await self.say("next"), "re: next")
        with open(self.lives + ".cancelled") as f:
            self.assertIn("half\n", f.readlines())

    async def test_stderr_is_logged_within_bounds(self):
        start = len(self.server.log.lines)
        self.assertEqual(await self.say("stderr"), "said")
        line = self.server.log.wait("event=exec_stderr .*trouble 0", start=start).string
        self.assertLess(len(line), 400)
        self.assertNotIn("\x1b", line)
        await self.recovered()
        self.assertLess(self.server.log.text().count("trouble"), 100)

    async def test_the_example(self):
        with open(os.path.join(os.environ["TEST_SOURCE"], "docs/processors.md")) as f:
            page = f.read().split("```python\n")[1].split("```")[0]
        for program, want in ((os.path.join(os.environ["TEST_SOURCE"], "examples/processors/answer.py"),
                               "You said: hi. Tell me more, my friend!"), (self.file("page.py", page, 0o700), "You said: hi")):
            await self.answers_with(program, want)

    async def answers_with(self, program, want):
        server = Server(processor="exec", exec_command=program)
        try:
            toy = server.add()
            async with toy.connect(toy.claim()["access"]) as ws:
                ws.seq = 0
                self.assertEqual(await self.say("hi", ws), want)
            pid = int(server.log.wait("event=exec_started .*pid=([0-9]+)")[1])
        finally:
            server.close()
        self.assertFalse(os.path.exists(f"/proc/{pid}"), "it ends with the server")

    def test_refused_at_start(self):
        for why, command in (("absolute path", "python3 x.py"), ("can be run", "/nonexistent"), ("more than 32", "/bin/true" + " x" * 40),
                             ("exec_command", "")):
            with self.subTest(why), self.assertRaisesRegex(AssertionError, why):
                Server(processor="exec", exec_command=command)

    async def test_a_program_that_ends_at_once(self):
        begun = time.monotonic()
        server = Server(processor="exec", exec_command="/bin/false", script_rules=self.CONFIG["script_rules"])
        try:
            toy = server.add()
            async with toy.connect(toy.claim()["access"]) as ws:
                ws.seq = 0
                for n in range(10):
                    self.assertEqual(await self.say("anybody?", ws), "FALLBACK")
            again = server.log.text().count("exec_started") - 1  # after 0.25 s, 0.5 s more, 1 s more, …
            self.assertLessEqual(0.25 * (2 ** again - 1), time.monotonic() - begun, "started again and again")
        finally:
            server.close()


class Workers(WithBackend):
    CONFIG = {**QUICK, "backend_first_token_ms": 2000, "exec_workers": 3}
    loops = 2

    @classmethod
    def processor(cls):
        cls.lives = os.path.join(cls.dir.name, "lives")
        return {"processor": "exec", "exec_command": f"{cls.file('program', PROGRAM, 0o700)} {cls.lives}"}

    async def who(self, ws):
        return int("".join(str(ord(c) - 97) for c in await self.say("who", ws)))

    async def test_several(self):
        toys, pids = [], []
        while len(set(pids)) < 3 or Counter(pids).most_common(1)[0][1] < 5:  # which has which toys is drawn by lot
            toys.append(await self.join())
            self.assertLess(len(toys), 100)
            await self.recovered(toys[-1])
            pids.append(await self.who(toys[-1]))
        self.assertEqual([await self.who(ws) for ws in toys], pids, "a toy is always asked of the same one")
        # One dies: those of the others notice nothing.
        victim = pids[0]
        waiting = next(ws for ws, pid in zip(toys[1:], pids[1:]) if pid != victim)
        waiting.seq += 1
        await waiting.send("half")
        await receive_type(waiting, "reply")
        self.assertEqual(await self.say("die", toys[0]), "FALLBACK")
        await waiting.send(json.dumps({"type": "cancel", "seq": waiting.seq}))
        self.assertEqual([m["done"] for m in (await answer(waiting, waiting.seq))[-1:]], [True])
        for ws, pid in zip(toys, pids):
            await self.recovered(ws)
            self.assertEqual(await self.who(ws) == pid, pid != victim)
        # One that hangs while the others answer is found, too.
        pids = [await self.who(ws) for ws in toys]
        (victim, _), (other, _) = Counter(pids).most_common(2)
        its, others = ([ws for ws, pid in zip(toys, pids) if pid == p] for p in (victim, other))
        said = await asyncio.gather(*(self.say("hang", ws) for ws in its[:5]), self.recovered(others[0]))
        self.assertEqual(said[:5], ["FALLBACK"] * 5)
        self.server.log.wait(f"event=exec_killed pid={victim} ")
        await self.recovered(its[0])


del Case, WithBackend
if __name__ == "__main__":
    main()
