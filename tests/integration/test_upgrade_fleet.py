"""A fleet through an upgrade: the old server drains, the new one changes the database of it, all toys come back by themselves.
TEST_TOYS=10000 takes so many, and prints what the simulator has seen."""

import contextlib
import json
import os
import re
import subprocess
import tempfile
import unittest
from collections import Counter
from datetime import datetime

import harness
from harness import rounds
from simulator import OPEN, QUICK, Restarts, plain_server, register, sim

TOYS = int(os.environ.get("TEST_TOYS", rounds(300, 100)))
SPREAD_MS = 200, max(8000, TOYS)  # at most 1,000 toys a second come back, and some when a server is there that took seconds
TIME = r"^time=(\S+) level=info "


def seconds(time):
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


class Upgrade(Restarts):
    def replace(self, server):
        server.terminate()
        database = os.path.join(server.data, "teddy.db")
        subprocess.run([harness.program("older-schema"), database, "8"], check=True, timeout=harness.PATIENCE)
        server.start()


class Fleet(unittest.TestCase):
    def test_no_message_is_lost(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = plain_server(listen=f"127.0.0.1:{harness.lasting_port()}", downlink_queue_max=100, log_level="info",
                                  retry_min_ms=SPREAD_MS[0], retry_max_ms=SPREAD_MS[1], connections_max=2 * TOYS + 100)
            stack.callback(server.close)
            register(server, folder, TOYS, 12)
            upgrade = stack.enter_context(contextlib.closing(Upgrade(folder, [server])))
            done = sim("--server", server.url, "--devices", TOYS, "--seed", 12, "--start-rate", 1000, "--say", 4, "--rate",
                       max(200, TOYS // 5), "--down", 3, "--admin", server.data, "--faults", "restart", "--restart-command",
                       upgrade.command, "--restarts", 1, "--duration", max(12, TOYS // 400), "--json", *QUICK)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            report = json.loads(done.stdout)
            up, down = report["up"], report["down"]
            self.assertEqual((report["ok"], report["online"], upgrade.count), (True, TOYS, 1))
            self.assertEqual((up["said"], up["echoed"]), (4 * TOYS, 4 * TOYS))
            self.assertGreaterEqual(down["received"], down["posted"])
            for way in (up, down):
                self.assertEqual((way["lost"], way["doubled"], way["out_of_order"]), (0, 0, 0))
            self.assertEqual(report["claims"], TOYS, "tokens outlive it")
            self.assertIn("event=upgrade_backup ", server.all_logs())
            self.check_spread(server)
            if "TEST_TOYS" in os.environ:
                print(json.dumps(report, indent=1))

    def check_spread(self, server):
        """Those whose time came after the server did are as spread as the times were that they were told."""
        lives = server.logs[0], server.log.text()
        ready = seconds(re.search(TIME + r"event=ready ", lives[1], re.M)[1])
        left = {toy: seconds(at) for at, toy in re.findall(TIME + r"event=session_closed device=(\S+) reason=restart", lives[0], re.M)}
        back = [seconds(at) - left[toy] for at, toy in re.findall(TIME + r"event=session_opened device=(\S+)", lives[1], re.M)
                if toy in left and seconds(at) > ready + 0.2]
        self.assertEqual(len(left), TOYS)
        low, high = SPREAD_MS[0] / 1000, SPREAD_MS[1] / 1000
        if ready - min(left.values()) > high / 2:
            self.skipTest("the machine was too slow to tell: most were waiting for the server by then")
        self.assertGreater(len(back), TOYS // 10)
        slots = Counter(int(10 * (wait - low) // (high - low)) for wait in back)
        self.assertLess(max(slots.values()), max(10, len(back) // 2), slots)
        self.assertGreater(len(slots), 3, slots)


if __name__ == "__main__":
    harness.main()
