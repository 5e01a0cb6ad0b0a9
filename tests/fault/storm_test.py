"""The storm: 200 toys (the SDK's own core and port) and a few independent claimers, behind a proxy that cuts, stalls,
truncates and slows, while the server is killed with -9 at random moments. Afterwards every toy is online, everything
said was echoed, no nonce was accepted twice and no answered token is unknown.

STORM_SEED repeats a run; STORM_TOYS and STORM_KILLS make it longer."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
import harness  # noqa: E402
from claimers import Claimer  # noqa: E402
from proxy import Proxy  # noqa: E402

TOYS = int(os.environ.get("STORM_TOYS", "200"))
KILLS = int(os.environ.get("STORM_KILLS", "6"))
CLAIMERS = 8
SEED = int(os.environ.get("STORM_SEED", random.SystemRandom().randrange(1 << 32)))
PATIENCE = 4 * harness.PATIENCE


class Fleet:
    """The toys' process (tests/fault/fleet.c): reports events as JSON lines."""

    def __init__(self, server, port, folder):
        self.process = subprocess.Popen(
            [os.path.join(harness.BUILD, "tests", "fleet"), f"https://127.0.0.1:{port}", server.ca, folder, str(TOYS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.out = harness.Output(self.process.stdout)
        self.err = harness.Output(self.process.stderr)

    def wait_for(self, claims_and_onlines):
        """So many more have happened."""
        with self.out.changed:
            goal = len(self.out.lines) + claims_and_onlines
            if not self.out.changed.wait_for(lambda: len(self.out.lines) >= goal or self.out.ended, PATIENCE):
                raise AssertionError(f"the fleet makes no progress: {self.out.lines[-3:]} {self.err.lines[-3:]}")

    def settle(self):
        """No more faults: everybody says one thing more, and the report comes when all was echoed."""
        self.process.stdin.write("settle\n")
        self.process.stdin.flush()
        self.out.wait(r'^\{"settled"', PATIENCE)
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        report = json.loads(self.out.lines[-1])
        self.out.thread.join()
        self.err.thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        return status, report


def source(i):
    return f"127.{10 + i % 40}.{1 + i // 200}.{1 + i % 200}"


class Storm(unittest.TestCase):
    def test_storm(self):
        print(f"seed {SEED}", flush=True)
        chance = random.Random(SEED)
        server = harness.Server(listen=f"127.0.0.1:{harness.lasting_port()}",  # it comes back where it was
                                claims_per_device_min=0, refreshes_per_device_min=0, claim_failures_per_address_min=0,
                                refresh_failures_per_address_min=0, upgrade_refusals_per_address_min=0,
                                messages_per_s=0, retry_min_ms=100, retry_max_ms=1000, log_level="warn")
        self.addCleanup(server.close)
        with tempfile.TemporaryDirectory() as folder:
            rows = []
            for i in range(TOYS):
                rows.append((f"storm-{i:04}", os.urandom(32).hex()))
                with open(os.path.join(folder, rows[-1][0] + ".secret"), "w", opener=private) as f:
                    f.write(rows[-1][1] + "\n")
            csv = os.path.join(folder, "toys.csv")
            with open(csv, "w") as f:
                f.write("device_id,oob_secret\n" + "".join(f"{i},{s}\n" for i, s in rows))
            server.ctl("import", csv)
            proxy = Proxy(server.port, SEED)
            self.addCleanup(proxy.close)
            claimers = [Claimer(server.add(f"claimer-{i}"), f"127.99.0.{i + 1}", server.ca, proxy.port, SEED + i)
                        for i in range(CLAIMERS)]
            fleet = Fleet(server, proxy.port, folder)
            self.addCleanup(lambda: fleet.process.poll() is None and fleet.process.kill())
            for c in claimers:
                c.start()
            for kill in range(KILLS):
                fleet.wait_for(chance.randrange(TOYS // 4, TOYS))
                time.sleep(chance.uniform(0, 0.3))  # somewhere between two events: the random moment is the fault
                server.kill()
                server.start()
                print(f"kill {kill + 1}/{KILLS}", flush=True)
            for c in claimers:
                c.ending.set()
            proxy.calm()
            for c in claimers:
                c.join(PATIENCE)
                self.assertFalse(c.is_alive(), "a claimer never got an answer")
            status, report = fleet.settle()
            wrong = [w for c in claimers for w in c.check()]
            print("proxy", proxy.counts)
            print("claimers", {"claims": sum(c.claims for c in claimers), "refreshes": sum(c.refreshes for c in claimers),
                               "lost": sum(c.lost for c in claimers)})
            print("fleet", json.dumps(report), flush=True)
            self.assertEqual(wrong, [])
            self.assertEqual(status, 0, report)
            self.assertEqual(report["online"], TOYS)
            self.assertEqual(report["unechoed"], 0)
            self.assertEqual(report["unknown_tokens"], 0)
            self.assertGreater(report["reconnects"], TOYS)
            self.assertGreater(report["claims"], TOYS)
            self.assertGreater(sum(c.claims for c in claimers), CLAIMERS)
            self.assertGreater(min(proxy.counts.values()), 0)
            self.no_nonce_twice(server)

    def no_nonce_twice(self, server):
        """The store's own rows, read by another SQLite: each accepted nonce and MAC stands once for its device."""
        with harness.closing(server.database()) as db:
            nonces, = db.execute("select count(*) from claim_key where kind = 0").fetchone()
            macs, = db.execute("select count(*) from claim_key where kind = 1").fetchone()
            same, = db.execute("select count(*) from (select 1 from claim_key group by device_row, kind, key"
                               " having count(*) > 1)").fetchone()
        self.assertGreaterEqual(nonces, TOYS)
        self.assertEqual((macs, same), (nonces, 0))


def private(path, flags):
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    unittest.main(verbosity=2)
