"""What the audit trail does by itself when a minute is over. It only waits."""

import json
import subprocess
import unittest

from harness import PATIENCE, Case, Output, Server, closing, main, program


class Minute(unittest.TestCase):
    def test_what_is_refused_is_written_and_signed(self):
        """tail -f shows it when it comes."""
        server = Server(**Case.UNLIMITED)
        self.addCleanup(server.close)
        follow = subprocess.Popen([program("teddyctl"), "--data", server.data, "audit", "tail", "-f", "-n", "1"],
                                  stdout=subprocess.PIPE, text=True)
        out = Output(follow.stdout)
        try:
            server.post("/api/v1/pair/claim", "{")
            self.assertEqual(out.wait(r"claim\.refused.*\"count\":(\d+)", PATIENCE + 60)[1], "1")
        finally:
            follow.kill()
            follow.wait()
            out.thread.join()
            follow.stdout.close()
        with closing(server.database()) as db:
            newest, = db.execute("select max(n) from audit_head").fetchone()
        self.assertGreaterEqual(newest, 2)
        self.assertEqual(json.loads(server.ctl("--json", "audit", "verify").stdout)["unsigned"], 0)


if __name__ == "__main__":
    main()
