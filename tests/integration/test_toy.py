"""teddy-device against teddyd: it claims, talks, recovers by itself, keeps its tokens sealed; and `verify` finds nothing wrong."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import PATIENCE, Case, Output, Server, Toy, lasting_port, main, program
from late import Late


class Device:
    """A running teddy-device whose stdin is ours."""

    def __init__(self, server, toy, directory, *extra):
        self.toy, self.state = toy, os.path.join(directory, "tokens")
        self.secret_file = os.path.join(directory, "secret")
        with open(os.open(self.secret_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(toy.secret + "\n")
        self.args = [program("teddy-device"), "--server", server.url, "--ca", server.ca, "--id", toy.device_id, "--child",
                     toy.child_id, "--secret-file", self.secret_file, "--state", self.state, *extra]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, bufsize=1)
        self.out = Output(self.process.stdout)

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def finish(self):
        """End of input: what was said is answered, then it ends."""
        self.process.stdin.close()
        status = self.process.wait(PATIENCE * 2)
        self.out.thread.join(PATIENCE)
        self.process.stdout.close()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.out.thread.join(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()


class ToyCase(Case):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="teddy-toy-")
        self.addCleanup(shutil.rmtree, self.directory)

    def device(self, toy, *extra):
        device = Device(self.server, toy, self.directory, *extra)
        self.addCleanup(lambda: device.process.poll() is None and device.kill())
        return device


class Path(ToyCase):
    CONFIG = {"claims_per_device_min": 0}

    def test_claim_talk_end(self):
        toy = self.server.add()
        device = self.device(toy)
        for n in range(3):
            device.say(f"Hello number {n}")
        self.assertEqual(device.finish(), 0, device.out.text())
        shown = device.out.text()
        for n in range(3):
            self.assertIn(f"Hello number {n}", shown)
        # Its tokens are sealed, in files of their own mode.
        state = b""
        for name in os.listdir(self.directory):
            path = os.path.join(self.directory, name)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600, name)
            if name != "secret":
                with open(path, "rb") as f:
                    state += f.read()
        self.assertGreater(len(state), 100)
        for plain in (b"eyJ", toy.device_id.encode(), toy.child_id.encode(), bytes.fromhex(toy.secret), toy.secret.encode()):
            self.assertNotIn(plain, state)
        self.assertNotIn(toy.secret, shown)
        self.assertNotIn("eyJ", shown)

    def test_the_second_time_it_uses_its_tokens(self):
        toy = self.server.add()
        device = self.device(toy)
        device.say("first")
        self.assertEqual(device.finish(), 0, device.out.text())
        start = len(self.server.log.lines)
        device.start()
        device.say("second")
        self.assertEqual(device.finish(), 0, device.out.text())
        self.assertIn("second", device.out.text())
        self.assertFalse([l for l in self.server.log.lines[start:] if "claimed" in l], "it claimed though it had tokens")

    def test_damaged_tokens_are_claimed_anew(self):
        toy = self.server.add()
        device = self.device(toy)
        device.say("first")
        self.assertEqual(device.finish(), 0)
        with open(device.state, "r+b") as f:
            data = bytearray(f.read())
            data[len(data) // 2] ^= 1
            f.seek(0)
            f.write(data)
        device.start()
        device.say("second")
        self.assertEqual(device.finish(), 0, device.out.text())

    def test_revoked_tokens_are_claimed_anew(self):
        toy = self.server.add()
        device = self.device(toy)
        device.say("first")
        self.assertEqual(device.finish(), 0)
        self.server.ctl("token", "revoke", toy.device_id)
        device.start()
        device.say("second")
        self.assertEqual(device.finish(), 0, device.out.text())

    def test_it_does_not_trust_a_stranger(self):
        toy = self.server.add()
        stranger = Server()
        try:
            device = Device(self.server, toy, self.directory)
            device.kill()
            device.args[device.args.index("--ca") + 1] = stranger.ca
            device.start()
            device.out.wait("(?i)certificate|ECERT")
            device.kill()
        finally:
            stranger.close()

    def test_standard_streams_closed(self):
        """No file of its own takes their place: a closed stdin is at its end, a closed stdout says nothing."""
        device = self.device(self.server.add())
        device.finish()
        for closed in ("<&-", ">&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *device.args], input="hello\n", text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
                self.assertEqual(done.returncode, 0, done.stdout)

    def test_usage(self):
        for args in ((), ("--server", "https://127.0.0.1:1"), ("verify",), ("--nonsense",)):
            with self.subTest(args):
                done = subprocess.run([program("teddy-device"), *args], capture_output=True, text=True, timeout=PATIENCE,
                                      stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)


class Stranger(ToyCase):
    def test_an_answer_without_a_code(self):
        """Whoever stands in front of the server answers in its own words: the status is all there is to show."""
        with socket.create_server(("127.0.0.1", 0)) as front:
            device = self.device(self.server.add())
            device.kill()
            device.args += ["--server", f"http://127.0.0.1:{front.getsockname()[1]}", "--allow-plain"]
            device.start()
            front.settimeout(PATIENCE)
            with front.accept()[0] as s:
                s.settimeout(PATIENCE)
                s.recv(65536)
                s.sendall(b"HTTP/1.1 503 Unavailable\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nnope")
                device.out.wait(r"answered 503; again in 3\.\d")


class Recovery(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="teddy-toy-")
        self.addCleanup(shutil.rmtree, self.directory)
        # What a server that ends asks its toys to wait must stay well within what they wait at their end.
        self.server = Server(listen=f"127.0.0.1:{lasting_port()}", claims_per_device_min=0, retry_min_ms=100, retry_max_ms=300)
        self.addCleanup(self.server.close)

    def test_all_lines_are_answered_though_the_server_dies(self):
        toy = self.server.add()
        device = Device(self.server, toy, self.directory)
        self.addCleanup(lambda: device.process.poll() is None and device.kill())
        lines = [f"line number {n}" for n in range(8)]
        for n, line in enumerate(lines):
            device.say(line)
            if n in (2, 5):
                device.out.wait(lines[n - 1])
                self.server.kill()
                device.say("said while nobody listened " + str(n))
                self.server.start()
        self.assertEqual(device.finish(), 0, device.out.text())
        shown = device.out.text()
        for line in lines:
            self.assertIn(line, shown)
        for n in (2, 5):
            self.assertIn(f"said while nobody listened {n}", shown)

    def test_a_restart_in_order(self):
        toy = self.server.add()
        device = Device(self.server, toy, self.directory)
        self.addCleanup(lambda: device.process.poll() is None and device.kill())
        device.say("before")
        device.out.wait("before")
        self.server.terminate()
        self.server.start()
        device.say("after")
        self.assertEqual(device.finish(), 0, device.out.text())
        self.assertIn("after", device.out.text())


class Overtaken(ToyCase):
    CONFIG = {"claims_per_device_min": 0}

    def test_a_claim_that_was_given_up_arrives_behind_the_next(self):
        """It takes the place of what the toy holds, which claims once more, by itself."""
        network = Late(self.server)
        self.addCleanup(network.close)
        toy = self.server.add()
        device = self.device(toy, "--server", network.url, "--json", "--step-timeout-ms", "1000", "--backoff-base-ms", "100",
                             "--backoff-refused-ms", "100")
        device.out.wait('"state":"online"', 3 * PATIENCE)
        self.assertTrue(network.given_up.wait(PATIENCE))
        self.assertGreaterEqual(device.out.text().count('"event":"connected","purpose":"claim"'), 2)  # one was on its way
        start = len(device.out.lines)
        network.deliver()
        for line in ('"close":1008,"code":"superseded"', '"event":"claimed"', '"state":"online"'):
            device.out.wait(line, start=start)
        device.say("and all is well")
        self.assertEqual(device.finish(), 0, device.out.text())
        self.assertIn("and all is well", device.out.text())
        self.assertNotIn("superseded", "\n".join(device.out.lines[:start]))


class Verify(ToyCase):
    def verify(self, toy, *extra):
        secret = os.path.join(self.directory, "secret")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(toy.secret)
        return subprocess.run([program("teddy-device"), "verify", "--server", self.server.url, "--ca", self.server.ca, "--id",
                               toy.device_id, "--secret-file", secret, *extra], capture_output=True, text=True, timeout=PATIENCE * 4,
                              stdin=subprocess.DEVNULL)

    def test_all_pass(self):
        toy = self.server.add()
        done = self.verify(toy)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(len(re.findall(r"(?im)\bpass\b", done.stdout)), 10, done.stdout)
        self.assertFalse(re.findall(r"(?im)^\s*fail", done.stdout), done.stdout)

    def test_it_can_fail(self):
        wrong = Toy(self.server, self.server.add().device_id, "00" * 32)
        done = self.verify(wrong)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?i)fail")


if __name__ == "__main__":
    main()
