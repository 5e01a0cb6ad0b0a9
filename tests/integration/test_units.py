"""The units of packaging/systemd: systemd reads them without complaint, and finds little exposed."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import PATIENCE, main, program

UNITS = os.path.join(os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../..")), "packaging/systemd")
EXPOSED_MOST = 1.2  # of 10, by systemd 252: what is left is the network and the group that may read the certificate's key


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
class Units(unittest.TestCase):
    def analyze(self, *args):
        return subprocess.run(["systemd-analyze", "--no-pager", *args], text=True, capture_output=True, timeout=PATIENCE,
                              env={**os.environ, "LC_ALL": "C"})

    def test_verify(self):
        with tempfile.TemporaryDirectory() as d:
            for path in glob.glob(UNITS + "/*"):
                with open(path) as f, open(os.path.join(d, os.path.basename(path)), "w") as out:
                    out.write(f.read().replace("/usr/bin/teddyd", program("teddyd")))
            done = self.analyze("verify", "--man=no", *sorted(glob.glob(d + "/*")))
        ours = [line for line in (done.stdout + done.stderr).splitlines() if "teddy" in line]
        self.assertEqual((ours, done.returncode), ([], 0), done.stderr)

    def test_security(self):
        done = self.analyze("security", "--offline=true", os.path.join(UNITS, "teddyd.service"))
        found = re.search(r"Overall exposure level for teddyd.service: ([0-9.]+)", done.stdout)
        self.assertTrue(found, done.stdout + done.stderr)
        self.assertLessEqual(float(found[1]), EXPOSED_MOST, done.stdout)


if __name__ == "__main__":
    main()
