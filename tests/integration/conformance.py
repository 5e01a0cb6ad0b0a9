"""What the tests of the conformance program share: a teddyd with the vectors' toy, and the desk of bad servers beside it."""

import os
import re
import subprocess
import sys
import tempfile

import harness

SOURCE = os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../.."))
DESK = os.path.join(SOURCE, "sdk/port/conformance/desk.py")


class Desk:
    def __init__(self, server):
        self.process = subprocess.Popen([sys.executable, DESK, "--ca-dir", server.data], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        lines = []
        for line in self.process.stdout:
            if line == "ready\n":
                break
            lines.append(line)
        self.file = tempfile.NamedTemporaryFile("w", suffix=".desk")
        self.file.write("".join(lines))
        self.file.flush()

    def close(self):
        self.process.terminate()
        self.process.wait(harness.PATIENCE)
        self.process.stdout.close()
        self.file.close()


class Ports(harness.unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server(access_ttl_s=20, claims_per_device_min=0)
        cls.addClassCleanup(cls.server.close)
        cls.server.add(harness.VECTOR_DEVICE, harness.VECTOR_SECRET)
        cls.desk = Desk(cls.server)
        cls.addClassCleanup(cls.desk.close)

    def conformance(self, program, *args, desk=True):
        with tempfile.TemporaryDirectory() as folder:
            command = [harness.program(program), "--server", self.server.url, "--ca", self.server.ca, "--state",
                       os.path.join(folder, "state"), "--call-max", "150", *args]
            if desk:
                command += ["--desk", self.desk.file.name]
            return subprocess.run(command, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=280)

    def lines(self, done, verdict):
        return re.findall(rf"(?m)^{verdict}  (.*)$", done.stdout)

    def broken(self, how, only, titles):
        """The port broken so fails in the checks with these pieces of titles, and in no other."""
        self.server.ctl("message", "clear", harness.VECTOR_DEVICE)
        self.server.ctl("send", harness.VECTOR_DEVICE, "hello")
        args = ["--break", how] + (["--only", only] if only else [])
        done = self.conformance("tests/conformance_broken", *args)
        failed = self.lines(done, "FAIL")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for title in titles:
            self.assertEqual(len([f for f in failed if title in f]), 1, f"{how}: {title}\n{done.stdout}")
        self.assertEqual(len(failed), len(titles), done.stdout)
