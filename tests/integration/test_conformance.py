"""The conformance program for ports: the POSIX port passes all of it, and a port that is broken in one way fails on
the lines that say so, and on no other (more ways: test_conformance_broken.py)."""

import subprocess

import harness
from conformance import Ports


class Conformance(Ports):
    def test_the_posix_port_passes(self):
        self.server.ctl("send", harness.VECTOR_DEVICE, "hello")
        done = self.conformance("teddy-conformance")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.lines(done, "FAIL"), [])
        self.assertEqual([s for s in self.lines(done, "skip") if "no-such-host" not in s], [])
        listed = subprocess.run([harness.program("teddy-conformance"), "--list"], text=True, capture_output=True,
                                check=True).stdout.splitlines()
        self.assertEqual(len(self.lines(done, "pass")) + len(self.lines(done, "skip")), len(listed))
        self.assertGreater(len(listed), 60)

    def test_without_a_desk_its_checks_are_skipped(self):
        done = self.conformance("teddy-conformance", "--only", "bad servers", desk=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual((self.lines(done, "pass"), self.lines(done, "FAIL")), ([], []))
        self.assertGreater(len(self.lines(done, "skip")), 20)

    def test_wrong_usage_is_2(self):
        for args in ([], ["--server", "https://127.0.0.1:1"], ["--bad"], ["--server", "x", "--ca"]):
            done = subprocess.run([harness.program("teddy-conformance"), *args], text=True, capture_output=True,
                                  timeout=harness.PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertIn("--help", done.stderr)
        self.assertEqual(self.conformance("teddy-conformance", "--only", "no such check").returncode, 2)

    def test_a_server_that_is_not_there_fails_in_words(self):
        done = subprocess.run([harness.program("teddy-conformance"), "--server", "https://127.0.0.1:1", "--ca",
                               self.server.ca, "--home-wait", "500", "--only", "is online"], text=True,
                              capture_output=True, timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("is teddyd up", self.lines(done, "FAIL")[0])

    def test_a_port_that_verifies_no_certificate_is_found(self):
        self.broken("verify", None, {"another authority", "signed by itself", "another host", "for clients",
                                     "has expired", "is not valid yet"})

    def test_a_port_that_loses_its_records_is_found(self):
        self.broken("lose", None, {"both survive a reboot", "the kept tokens open the session",
                                   "does not come again", "refreshed by teddyd"})


if __name__ == "__main__":
    harness.main()
