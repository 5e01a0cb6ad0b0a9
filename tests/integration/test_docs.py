"""The documentation's shell commands, run: each ```sh block as it stands, against a real server. What is changed in it beforehand are
names that the reader would put in; a block that cannot be run here stands in ELSEWHERE, with why."""

import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

SOURCE = os.path.abspath(os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../..")))
SECRET = "a1b2c3d4e5f6789012345678901234567890abcdef1234567890abcdef123456"
TOY = "Teddy-ESP32-0001"

IDF = "needs ESP-IDF or a chip"
SYSTEM = "changes a whole machine: the package is installed, upgraded and purged by `make test-deb`"
ITSELF = "make targets that install packages; each is run by CI, or builds what runs this"
ELSEWHERE = {
    "CONTRIBUTING.md: make test check size": ITSELF,
    "README.md: make demo": "test_demo.py",
    "README.md: #!/bin/sh": SYSTEM,
    "README.md: systemctl restart teddyd": SYSTEM,
    "README.md: teddy-device verify": "wants a public server; test_toy.py walks the same list against teddyd",
    "bench/README.md: make bench-quick": ITSELF,
    "docs/operations.md: apt install": SYSTEM,
    "docs/operations.md: python $IDF_PATH": IDF,
    "docs/operations.md: umask 077": SYSTEM,
    "docs/porting.md: sdk/port/conformance/desk.py": "serves until it is stopped; test_conformance.py runs it",
    "docs/simulator.md: teddy-sim --server http://127.0.0.1:18080": "some minutes; test_sim.py does it with fewer toys",
    "examples/esp32/README.md:": IDF,
    "sdk/port/esp_idf/README.md:": IDF,
}


def blocks():
    """(where, the block): where is its file and its first line."""
    files = [f for f in glob.glob("**/*.md", root_dir=SOURCE, recursive=True)
             if not re.match(r"build|.*node_modules", f)]
    for name in sorted(files):
        with open(os.path.join(SOURCE, name)) as f:
            for found in re.finditer(r"(?ms)^( *)```sh\n(.*?)^ *```", f.read()):
                text = re.sub(rf"(?m)^{found[1]}", "", found[2])
                yield f"{name}: {text.splitlines()[0]}", text


def is_elsewhere(where):
    return any(where.startswith(start) for start in ELSEWHERE)


class Place:
    """A directory to work in; the programs are found as `teddyctl` and as `build/teddyctl`; a server with a toy."""

    def __init__(self, test):
        self.test = test
        self.folder = tempfile.mkdtemp(prefix="teddy-docs-")
        test.addCleanup(shutil.rmtree, self.folder)
        os.symlink(os.path.abspath(harness.BUILD), os.path.join(self.folder, "build"))
        for name in ("bench", "scripts"):
            os.symlink(os.path.join(SOURCE, name), os.path.join(self.folder, name))
        data = os.path.join(self.folder, "share/teddy")  # where the programs look for it by themselves
        os.makedirs(data, mode=0o700)
        self.port = harness.lasting_port()
        self.server = harness.Server(data=data, listen=f"127.0.0.1:{self.port}", admin_listen="0", claims_per_device_min=0)
        test.addCleanup(self.server.close)
        self.toy = self.server.add(TOY, SECRET)
        self.toy.child_id = "child123"

    def run(self, text, stdin=""):
        env = {**os.environ, "PATH": os.path.abspath(harness.BUILD) + ":" + os.environ["PATH"], "HOME": self.folder,
               "XDG_DATA_HOME": os.path.join(self.folder, "share")}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, env=env, text=True, input=stdin,
                              capture_output=True, timeout=4 * harness.PATIENCE)
        self.test.assertEqual(done.returncode, 0, text + done.stdout + done.stderr)
        return done.stdout

    def ctl(self, *args):
        return json.loads(self.server.ctl("--json", *args).stdout)


# ---- What a block needs: takes the place and the text, returns what it printed ----

def as_it_stands(place, text):
    return place.run(text)


def by_hand(place, text):
    place.server.terminate()
    text = text.replace("make build\n", "").replace("/tmp/teddy", "here").replace(":8443", f":{place.port}")
    text = text.replace("--data here &", f"--data here --listen 127.0.0.1:{place.port} > out &\nserver=$!; until grep ready out; do :; done")
    text = re.sub(r"(device add bear-1\b)[^\n]*", r"\1 | tee added", text)
    text = text.replace("64-hex-digits-from-above", "$(grep -o '[0-9a-f]\\{64\\}' added)")
    shown = place.run(text + "kill $server; wait $server\n", "Good evening\n")
    place.test.assertIn("Good evening", shown)
    return shown


def backup(place, text):
    os.mkdir(os.path.join(place.folder, "backup"))
    text = re.sub(r"teddy-(\$\(date \+%F\)|[\d-]+)\.db", "teddy.db", text).replace(" /backup/", " backup/")
    shown = ""
    for piece in re.split(r"(?m)^(systemctl \w+) teddyd$", text):
        if piece == "systemctl stop":
            place.server.terminate()
        elif piece == "systemctl start":
            place.server.start()
        else:
            shown += place.run(piece)
    return shown


def batch(place, text):
    with open(os.path.join(place.folder, "makers.csv"), "w") as f:
        f.write(f"device_id,oob_secret\nTeddy-A1,{'ab' * 32}\n")
    place.server.ctl("device", "remove", TOY)
    shown = place.run(text.replace("10000", "30"))
    place.test.assertEqual(len(os.listdir(os.path.join(place.folder, "run-7"))) > 3, True)
    return shown


def with_child(place, text):
    place.toy.claim()
    return place.run(text)


def admin_tokens(place, text):
    text = re.sub(r"(create --role viewer[^\n]*)", r"\1 | tee made", text)
    return place.run(text.replace("1a2b3c4d", "$(grep -oE 'teddy_[0-9a-f]{8}|[0-9a-f]{8}' made | head -1 | sed s/teddy_//)"))


def console(place, text):
    place.server.terminate()
    place.server.config["admin_listen"] = "0"
    place.server.start()
    return place.run(text)


def keys(place, text):
    for line in text.splitlines(keepends=True):
        signing = next(k["kid"] for k in place.ctl("key", "list")["keys"] if k["state"] == "signing")
        place.run(line.replace("KID", signing))
    return "ran"


def audit(place, text):
    place.run("teddyctl audit head > heads.jsonl; teddyctl audit key > audit-key.pub")
    return place.run(text)


def audit_head(place, text):
    return place.run(text.replace("ssh audit@elsewhere", "sh -c") + "cat heads.jsonl")


def simulator(place, text):
    data = os.path.join("share", "teddy")
    for old, new in (("DIR", data), ("8443", str(place.port)), ("1000", "20"), ("--duration 60", "--duration 3")):
        text = text.replace(old, new)
    return place.run(text)


RUN = {
    "README.md: make build": by_hand,
    "bench/README.md: python3 bench/run.py": lambda place, text: place.run(text.splitlines()[-1]),
    "docs/operations.md: teddyctl backup": backup,
    "docs/operations.md: teddyctl batch create": batch,
    "docs/operations.md: teddyctl child set": with_child,
    "docs/operations.md: teddyctl device release": with_child,
    "docs/operations.md: teddyctl admin-token": admin_tokens,
    "docs/operations.md: teddyctl console link": console,
    "docs/operations.md: teddyctl key list": keys,
    "docs/operations.md: teddyctl audit tail": audit,
    "docs/operations.md: teddyctl audit key": audit_head,
    "docs/privacy.md: teddyctl child forget": with_child,
    "docs/simulator.md: build/teddy-sim": simulator,
}


class Commands(unittest.TestCase):
    def test_every_block_runs(self):
        seen = set()
        for where, text in blocks():
            if is_elsewhere(where):
                continue
            with self.subTest(where):
                way = next((start for start in RUN if where.startswith(start)), None)
                seen.add(way)
                shown = RUN.get(way, as_it_stands)(Place(self), text)
                self.assertTrue(shown.strip(), "it printed nothing")
                self.doCleanups()
        self.assertLessEqual(set(RUN), seen, "ways to run what is not there")

    def test_what_is_not_run_is_there(self):
        there = [where for where, _ in blocks()]
        for start in ELSEWHERE:
            self.assertTrue(any(where.startswith(start) for where in there), start)


if __name__ == "__main__":
    harness.main()
