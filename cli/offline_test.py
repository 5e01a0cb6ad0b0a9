"""teddyctl without a server: the registry's commands on a real store, each with its output and exit status.

Where teddyctl is comes as the first argument."""

import csv
import fcntl
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from terminal import read_to_end

CTL = sys.argv.pop(1)
PATIENCE = 60
ENV = {k: v for k, v in os.environ.items()
       if not k.startswith("TEDDY_") and k not in ("PORT", "STATE_DIRECTORY", "XDG_DATA_HOME")}


class Offline(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.data = os.path.join(self.folder.name, "data")

    def run_ctl(self, *args, stdin="", env=None, data=True):
        head = [CTL, "--data", self.data] if data else [CTL]
        return subprocess.run(head + list(args), input=stdin, text=True, capture_output=True, timeout=PATIENCE,
                              env=ENV | (env or {}))

    def ok(self, *args, **more):
        done = self.run_ctl(*args, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def refused(self, status, pattern, *args, **more):
        done = self.run_ctl(*args, **more)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("teddyctl: "), done.stderr)
        self.assertRegex(done.stderr, pattern)

    def test_add(self):
        made = json.loads(self.ok("device", "add", "Teddy-1"))
        self.assertEqual(list(made), ["device_id", "oob_secret"])
        self.assertEqual(made["device_id"], "Teddy-1")
        self.assertRegex(made["oob_secret"], r"^[0-9a-f]{64}$")
        other = json.loads(self.ok("device", "add", "Teddy-2"))
        self.assertNotEqual(made["oob_secret"], other["oob_secret"])
        given = "AB" * 32
        self.assertEqual(json.loads(self.ok("device", "add", "Teddy-3", "--secret", given))["oob_secret"], given.lower())
        self.refused(1, "Teddy-1 is registered already.*rotate-secret", "device", "add", "Teddy-1")
        self.refused(1, "Another device has this secret", "device", "add", "Teddy-4", "--secret", given)
        self.refused(1, "No device Teddy-4", "device", "show", "Teddy-4")

    @unittest.skipUnless(os.geteuid() == 0, "only root can work for another user")
    def test_root_leaves_the_owner_its_files(self):
        os.chmod(self.folder.name, 0o755)
        os.mkdir(self.data, 0o700)
        os.chown(self.data, 65534, 65534)
        self.ok("device", "add", "Teddy-1")
        owners = {name: os.stat(os.path.join(self.data, name)) for name in os.listdir(self.data)}
        self.assertTrue({"lock", "teddy.db"} <= set(owners))
        self.assertEqual({(s.st_uid, s.st_gid) for s in owners.values()}, {(65534, 65534)})
        # A batch's files are the caller's own, where the other could not write at all.
        out = os.path.join(self.folder.name, "out")
        self.ok("batch", "create", "--count", "2", "--prefix", "b-", "--out", out)
        found = [out] + [os.path.join(out, name) for name in os.listdir(out)]
        self.assertEqual({(s.st_uid, s.st_gid) for s in map(os.stat, found)}, {(0, 0)})
        self.assertEqual({os.stat(os.path.join(self.data, name)).st_uid for name in os.listdir(self.data)}, {65534})

    def test_admin_tokens(self):
        token = self.ok("admin-token", "create", "--role", "owner", "--name", "the first")
        self.assertRegex(token, r"^tdy_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\n$")
        made = json.loads(self.ok("--json", "admin-token", "create", "--role=viewer", "--prefix", "EU-", "--ttl", "12h"))
        seconds = [time.mktime(time.strptime(made[m], "%Y-%m-%dT%H:%M:%SZ")) for m in ("created", "expires")]
        self.assertEqual(seconds[1] - seconds[0], 12 * 3600)
        rows = json.loads(self.ok("--json", "admin-token", "list"))["tokens"]
        self.assertEqual([(r["role"], r["prefix"], r["name"], r["used"], r["revoked"]) for r in rows],
                         [("owner", None, "the first", None, None), ("viewer", "EU-", None, None, None)])
        self.assertNotIn(token.strip(), self.ok("admin-token", "list") + json.dumps(rows))
        self.assertEqual(self.ok("admin-token", "list").splitlines()[1].split("\t")[:3], [made["id"], "viewer", "EU-"])
        self.assertEqual(self.ok("admin-token", "revoke", made["id"]), made["id"] + " revoked\n")
        rows = json.loads(self.ok("--json", "admin-token", "list"))["tokens"]
        self.assertEqual([r["revoked"] is None for r in rows], [True, False])
        self.refused(1, "no admin token 00000000.*admin-token list", "admin-token", "revoke", "00000000")
        for bad in ("1a2b", "1A2B3C4D", token.strip()):
            self.refused(2, "8 hex digits", "admin-token", "revoke", bad)
        for text, seconds in (("1", 1), ("90m", 5400), ("2w", 1209600), ("365d", 31536000)):
            made = json.loads(self.ok("--json", "admin-token", "create", "--role", "viewer", "--ttl", text))
            at = [time.mktime(time.strptime(made[m], "%Y-%m-%dT%H:%M:%SZ")) for m in ("created", "expires")]
            self.assertEqual(at[1] - at[0], seconds, text)
        for bad in ("0", "366d", "1y", "", "d", "-1d", "1.5h", "99999999999999999999", "1dd"):
            self.refused(2, "--ttl takes", "admin-token", "create", "--role", "viewer", "--ttl", bad)
        for bad in ([], ["--role", "king"], ["--role", "-"]):
            self.refused(2, "--role viewer, operator or owner", "admin-token", "create", *bad)
        self.refused(1, "prefix has", "admin-token", "create", "--role", "viewer", "--prefix", "a b")
        self.refused(1, "name has", "admin-token", "create", "--role", "viewer", "--name", "\n")
        self.refused(2, "takes no --role", "device", "list", "--role", "viewer")
        self.refused(2, "takes no --prefix", "session", "list", "--prefix", "x")
        self.refused(2, "takes no --count", "admin-token", "create", "--role", "viewer", "--count", "2")
        self.refused(2, "takes no --role", "batch", "list", "--role", "viewer")
        self.assertIn("--ttl TIME", self.ok("admin-token", "create", "--help"))

    def test_secret_from_file_and_stdin(self):
        path = os.path.join(self.folder.name, "secret")
        with open(path, "w") as f:
            f.write("12" * 32 + "\n")
        self.assertEqual(json.loads(self.ok("device", "add", "a", "--secret-file", path))["oob_secret"], "12" * 32)
        self.assertEqual(json.loads(self.ok("device", "add", "b", "--secret-file=-", stdin="34" * 32))["oob_secret"],
                         "34" * 32)
        for bad in ("", "12", "zz" * 32, "12" * 33, "x" * 100000, "12" * 32 + "\0"):
            self.refused(1, "64 hex digits|is longer", "device", "add", "c", "--secret-file", "-", stdin=bad)
        self.refused(1, "No such file", "device", "add", "c", "--secret-file", path + "x")
        self.refused(2, "exclude", "device", "add", "c", "--secret-file", path, "--secret", "56" * 32)
        for bad in ("", "12", "zz" * 32, "12" * 33):
            self.refused(2, "64 hex digits", "device", "add", "c", "--secret", bad)

    def test_ids(self):
        for bad in ("", "a b", "a/b", "..", "ä", "x" * 65, "a\n", "a%20b", "a\x1b[2J"):
            self.refused(2, "is no id", "device", "add", bad)
            self.refused(2, "is no id", "device", "show", bad)
            for verb in "forget", "export", "revoke":
                self.refused(2, "is no id", "child", verb, bad)
        self.ok("device", "add", "x" * 64)
        self.ok("device", "add", "--", "--json")  # it is of the alphabet
        self.assertIn("device_id: --json", self.ok("device", "show", "--", "--json"))

    def test_life_of_a_device(self):
        first = json.loads(self.ok("device", "add", "toy"))["oob_secret"]
        self.assertEqual(self.ok("device", "disable", "toy"), "toy disabled\n")
        self.assertIn("enabled: no\n", self.ok("device", "show", "toy"))
        self.assertEqual(self.ok("device", "enable", "toy"), "toy enabled\n")
        self.assertIs(json.loads(self.ok("--json", "device", "show", "toy"))["enabled"], True)
        second = json.loads(self.ok("device", "rotate-secret", "toy"))["oob_secret"]
        self.assertNotEqual(first, second)
        self.assertEqual(self.ok("device", "release", "toy"), "toy released\n")
        third = json.loads(self.ok("device", "release", "toy", "--rotate"))["oob_secret"]
        self.assertEqual(self.ok("token", "revoke", "toy"), "toy revoked\n")
        self.assertEqual(sum(json.loads(self.ok("child", "forget", "kid"))["erased"].values()), 0)
        self.assertEqual(self.ok("child", "revoke", "kid"), "0 toys revoked\n")
        self.assertEqual(json.loads(self.ok("child", "export", "kid")),
                         {"child_id": "kid", "child": None, "limits": None, "bindings": [], "messages": [], "conversations": [], "history": [],
                          "events": [], "sessions": []})
        self.assertEqual(self.ok("device", "revoke", "toy"), "toy revoked\n")
        self.assertEqual(self.ok("family", "list", "toy"), "")
        self.assertEqual(json.loads(self.ok("--json", "family", "list", "toy")), {"device_id": "toy", "families": []})
        self.refused(1, "No token family of this sid .*family list shows", "family", "revoke", "toy", "0" * 32)
        for bad in ("", "0" * 31, "0" * 33, "x" * 32, "../" + "0" * 29):
            self.refused(2, "is no sid", "family", "revoke", "toy", bad)
        self.refused(2, "takes no --rotate", "device", "remove", "toy", "--rotate")
        shown = self.ok("device", "show", "toy") + self.ok("--json", "device", "show", "toy") + self.ok("device", "list")
        self.assertNotIn(first, shown)
        self.assertNotIn(second, shown)
        self.assertNotIn(third, shown)
        self.assertEqual(self.ok("device", "remove", "toy"), "toy removed\n")
        for command in (("device", "show"), ("device", "enable"), ("device", "disable"), ("device", "remove"),
                        ("device", "release"), ("device", "rotate-secret"), ("token", "revoke"), ("device", "revoke"),
                        ("device", "release", "--rotate"), ("family", "list")):
            self.refused(1, "No device toy is registered", *command, "toy")

    def test_list(self):
        self.refused(1, "No such file or directory; start teddyd", "device", "list")
        self.ok("device", "add", "b")
        self.ok("device", "add", "a")
        rows = [line.split("\t") for line in self.ok("device", "list").splitlines()]
        self.assertEqual([row[:4] for row in rows], [["a", "yes", "-", "-"], ["b", "yes", "-", "-"]])
        listed = json.loads(self.ok("device", "list", "--json"))
        self.assertEqual([d["device_id"] for d in listed["devices"]], ["a", "b"])
        self.assertEqual(listed["devices"][0]["child_id"], None)

    def test_table_on_a_terminal(self):
        self.ok("device", "add", "a-rather-long-name")
        master, slave = pty.openpty()
        done = subprocess.run([CTL, "--data", self.data, "device", "list"], stdout=slave, timeout=PATIENCE, env=ENV | {"NO_COLOR": "1"})
        os.close(slave)
        shown = read_to_end(master)
        os.close(master)
        shown = shown.decode().replace("\r", "").splitlines()
        self.assertEqual(done.returncode, 0)
        self.assertRegex(shown[0], r"^DEVICE {14}ENABLED  CHILD")
        self.assertRegex(shown[1], r"^a-rather-long-name  yes      -")

    def test_import(self):
        path = os.path.join(self.folder.name, "toys.csv")
        rows = [(f"bulk-{i}", os.urandom(32).hex()) for i in range(2500)]
        with open(path, "w", newline="") as f:
            csv.writer(f).writerows([("device_id", "oob_secret"), *rows])
        self.assertEqual(self.ok("import", path), "2500 imported\n")
        self.assertEqual([line.split("\t")[0] for line in self.ok("device", "list").splitlines()],  # three pages
                         sorted(r[0] for r in rows))
        bad = self.run_ctl("import", "-", stdin=f"fine,{os.urandom(32).hex()}\nbulk-1,{os.urandom(32).hex()}\nnonsense\n"
                                                f"other,{rows[0][1]}\na b,{os.urandom(32).hex()}\nx,12\n")
        self.assertEqual((bad.returncode, bad.stdout), (1, ""))
        lines = bad.stderr.splitlines()
        self.assertEqual({int(re.match(r"standard input:(\d+): ", line)[1]) for line in lines[:-1]}, {2, 3, 4, 5, 6})
        self.assertRegex(lines[-1], "Nothing was imported: 5 bad lines")
        self.refused(1, "No device fine", "device", "show", "fine")
        self.assertEqual(json.loads(self.ok("--json", "import", "-", stdin=f"one,{'9' * 64}"))["imported"], 1)
        self.refused(1, "No such file", "import", path + "x")
        self.refused(1, "Is a directory", "import", self.folder.name)
        self.refused(1, "is longer than 16777216 bytes", "import", "-", stdin="x" * ((16 << 20) + 1))

    def test_wrong_usage(self):
        for bad in ((), ("dance",), ("device",), ("device", "dance"), ("device", "add"), ("device", "add", "a", "b"),
                    ("device", "show"), ("device", "list", "x"), ("import",), ("import", "a", "b"), ("routes", "x"),
                    ("token",), ("token", "revoke"), ("family", "revoke", "a"), ("family", "list", "a", "b"), ("child", "forget"), ("child", "export"), ("child", "verify-receipt", "x"), ("child", "revoke", "x", "--out", "y"),
                    ("child", "forget", "x", "--key", "y"), ("--bogus", "status"), ("status", "-x"),
                    ("device", "list", "--secret", "12"), ("device", "add", "a", "--secret"), ("", "x"),
                    ("device", "add", *"abcdefghij"), ("session",), ("a" * 500,), ("\x1b[2J",), ("send",),
                    ("send", "a"), ("send", "a", "b", "c"), ("send", "a", "b", "--object", "{}"), ("message", "list"),
                    ("send", "a", "b", "--expires"), ("status", "--expires", "1"), ("status", "--object", "{}")):
            with self.subTest(bad):
                self.refused(2, "--help|needs a value|takes no", *bad)
        self.refused(2, "--expires takes", "send", "a", "b", "--expires", "soon")
        self.refused(2, "--data takes", "--data", "", "status")
        self.refused(2, "--data takes", "--data", "x" * 600, "status")
        self.assertFalse(os.path.exists(self.data))

    def test_help(self):
        everything = self.ok("--help", data=False)
        self.assertEqual(everything, self.ok("help", data=False))
        commands = re.findall(r"(?m)^  ((?:[a-z-]+ )?[a-z-]+)(?: [A-Z_=]+(?:\.csv|…)?)*  +\S", everything.split("Options")[0])
        self.assertEqual(len(commands), 52)
        for command in commands:
            shown = self.ok(*command.split(), "--help", data=False)
            self.assertTrue(shown.startswith(f"usage: teddyctl {command}"), shown)
            self.assertRegex(shown, rf"Examples:\n(.*\n)*.*teddyctl .*{command}")
        self.assertIn("rotate-secret ID", self.ok("device", "--help", data=False))
        self.assertRegex(self.ok("--version", data=False), r"^teddyctl \d+\.\d+\.\d+\n$")

    def test_messages(self):
        self.ok("device", "add", "a")
        first = json.loads(self.ok("send", "a", 'Good "night"'))
        self.assertEqual((set(first), first["device_id"]), ({"id", "device_id", "expires"}, "a"))
        second = json.loads(self.ok("send", "a", "-", stdin="from a pipe\n"))
        third = json.loads(self.ok("send", "a", "--object", '{"volume": 3}', "--expires", "60"))
        ids = [[int(n) for n in m["id"].split(".")] for m in (first, second, third)]
        self.assertEqual(ids, sorted(ids))
        self.assertEqual(len({epoch for epoch, _ in ids}), 3, "each start opens an epoch")
        rows = [line.split("\t") for line in self.ok("message", "list", "a").splitlines()]
        self.assertEqual([(r[0], *r[3:]) for r in rows],
                         [(first["id"], "text", "12"), (second["id"], "text", "11"), (third["id"], "data", "13")])
        self.refused(1, "text is a string of 1 to 1024 bytes", "send", "a", "x" * 1025)
        self.refused(1, "text is a string", "send", "a", "")
        self.refused(1, "data is a JSON object", "send", "a", "--object", "[1]")
        self.refused(1, "is a JSON object", "send", "a", "--object", "{")
        self.refused(1, "expires_in is", "send", "a", "b", "--expires", "0")
        self.refused(1, "not UTF-8", "send", "a", b"\xff")
        self.refused(1, "No device b", "send", "b", "hello")
        self.refused(1, "No device b", "message", "list", "b")
        self.assertEqual(self.ok("message", "clear", "a"), "a: 3 withdrawn\n")
        self.assertEqual(self.ok("message", "list", "a"), "")

    def test_what_needs_a_server_says_so(self):
        self.ok("device", "add", "a")
        for command in (("session", "list"), ("drain",), ("status",)):
            self.refused(1, "no server is running on .*/data", *command)

    def test_routes(self):
        rows = [line.split("\t") for line in self.ok("routes").splitlines()]  # no data directory needed either
        self.assertIn(["POST", "/api/v1/pair/claim", "none", "claim", "-"], rows)
        self.assertIn(["GET", "/api/v1/admin/devices", "admin", "admin_device_list", "viewer"], rows)
        self.assertTrue(all(len(row) == 5 for row in rows))
        self.assertEqual(len(json.loads(self.ok("--json", "routes"))["routes"]), len(rows))

    def test_data_directory_is_the_server_s(self):
        home = self.folder.name
        self.ok("device", "add", "a", data=False, env={"TEDDY_DATA": os.path.join(home, "1")})
        self.ok("device", "add", "a", data=False, env={"STATE_DIRECTORY": os.path.join(home, "2"), "XDG_DATA_HOME": "/x"})
        self.ok("device", "add", "a", data=False, env={"XDG_DATA_HOME": os.path.join(home, "3")})
        self.ok("device", "add", "a", data=False, env={"HOME": os.path.join(home, "4")})
        conf = os.path.join(home, "teddy.conf")
        with open(conf, "w") as f:
            f.write(f"data = {home}/5\n")
        self.ok("--config", conf, "device", "add", "a", data=False)
        for made in ("1", "2", "3/teddy", "4/.local/share/teddy", "5"):
            self.assertTrue(os.path.exists(os.path.join(home, made, "teddy.db")), made)
            self.assertEqual(os.stat(os.path.join(home, made)).st_mode & 0o777, 0o700)
        with open(conf, "w") as f:
            f.write("\ndatta = x\n")
        self.refused(1, "teddy.conf:2: unknown key 'datta'; did you mean 'data'", "--config", conf, "device", "list",
                     data=False)

    def test_lock(self):
        """While somebody holds the data directory and does not answer, nothing is touched; once he lets go, it goes on."""
        self.ok("device", "add", "a")
        held = open(os.path.join(self.data, "lock"), "r+")
        fcntl.flock(held, fcntl.LOCK_EX)
        self.refused(1, "is in use by process", "device", "list")
        done = []
        waiting = threading.Thread(target=lambda: done.append(self.run_ctl("device", "list")))
        waiting.start()
        held.close()
        waiting.join(PATIENCE)
        self.assertEqual(done[0].returncode, 0, done[0].stderr)

    def test_two_at_once(self):
        self.ok("device", "add", "first")
        programs = [subprocess.Popen([CTL, "--data", self.data, "device", "add", f"d{i}"], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, env=ENV) for i in range(8)]
        for p in programs:
            out, err = p.communicate(timeout=PATIENCE)
            self.assertEqual((p.returncode, err), (0, b""))
        self.assertEqual(len(self.ok("device", "list").splitlines()), 9)

    def test_damaged_store(self):
        self.ok("device", "add", "a")
        with open(os.path.join(self.data, "teddy.db"), "r+b") as f:
            f.write(b"not a database at all, but quite long" * 100)
        self.refused(1, "teddy.db", "device", "list")

    def test_output_that_nobody_gets(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([CTL, "--data", self.data, "device", "add", "a"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=PATIENCE, env=ENV)
        self.assertEqual(done.returncode, 1)
        self.assertIn("rotate-secret", done.stderr)
        for words, told in ((["device", "list"], ""), (["device", "list", "--json"], ""), (["device", "rotate-secret", "a"], "rotate-secret")):
            reader, writer = os.pipe()
            os.close(reader)  # as head has, once it has seen enough
            done = subprocess.run([CTL, "--data", self.data, *words], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, env=ENV)
            os.close(writer)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(told, done.stderr)
            self.assertEqual(bool(done.stderr), bool(told), done.stderr)  # there is nothing to do about it


if __name__ == "__main__":
    unittest.main()
