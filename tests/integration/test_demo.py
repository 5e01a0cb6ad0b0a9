"""scripts/demo without a terminal: it ends by itself with 0, and a second run uses what is there."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import BUILD, PATIENCE, main

SOURCE = os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../.."))


class Demo(unittest.TestCase):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="teddy-demo-")
        self.addCleanup(shutil.rmtree, self.data)

    def start(self, **env):
        return subprocess.Popen([os.path.join(SOURCE, "scripts/demo")], text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env={**os.environ, "DEMO_BUILD": os.path.abspath(BUILD), "DEMO_DATA": self.data, **env})

    def servers_left(self):
        left = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if self.data.encode() in f.read():
                        left.append(pid)
            except OSError:
                pass
        return left

    def test_twice(self):
        first = self.start()
        shown, _ = first.communicate(timeout=PATIENCE * 3)
        self.assertEqual(first.returncode, 0, shown)
        for part in ("claim:", "certificate: verified", "session: open", "echo: Hello!", "teddy: ", "Mia"):
            self.assertIn(part, shown)
        self.assertRegex(shown, r"(?m)^https://127\.0\.0\.1:\d+/console/#once=[A-Za-z0-9_-]{43}$")
        self.assertEqual(os.stat(os.path.join(self.data, "toy/secret")).st_mode & 0o777, 0o600)
        self.assertEqual(self.servers_left(), [])
        second = self.start()
        shown, _ = second.communicate(timeout=PATIENCE * 3)
        self.assertEqual(second.returncode, 0, shown)
        self.assertNotIn("claim:", shown, "its tokens were not used again")
        self.assertIn("echo: Hello!", shown)
        # Without its secret it gets another one.
        os.unlink(os.path.join(self.data, "toy/secret"))
        third = self.start()
        shown, _ = third.communicate(timeout=PATIENCE * 3)
        self.assertEqual(third.returncode, 0, shown)

    def test_it_stops_its_server_when_interrupted(self):
        demo = self.start()
        while "teddyd serves" not in demo.stdout.readline():
            self.assertIsNone(demo.poll())
        demo.send_signal(signal.SIGTERM)
        demo.stdout.read()
        demo.wait(PATIENCE)
        demo.stdout.close()
        self.assertNotEqual(demo.returncode, 0)
        self.assertEqual(self.servers_left(), [])

    def test_it_says_why_it_failed(self):
        demo = self.start(TEDDY_LOG_LEVEL="nonsense")
        shown, _ = demo.communicate(timeout=PATIENCE)
        self.assertEqual(demo.returncode, 1, shown)
        self.assertIn("TEDDY_LOG_LEVEL", shown)


if __name__ == "__main__":
    main()
