"""teddyctl batch: what a production line is given, checked by parsers of this test's own and an independent QR decoder,
and that a batch exists whole or not at all, whoever is killed and when."""

import csv
import hashlib
import http.server
import json
import os
import pty
import random
import re
import shutil
import socketserver
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

from harness import PATIENCE, Server, Toy, closing, main, program, read_to_end, rounds

PREFIX = "Teddy-ESP32-"
LABELS = 40  # on a page


def env():
    return {k: v for k, v in os.environ.items() if not k.startswith("TEDDY_")}


def parse_mfg(config, values):
    """The two files as ESP-IDF's manufacturing utility reads them: for each device [(namespace, key, type, encoding, value)].

    A configuration line is key,type,encoding, the first one a namespace; the first line of the values names the keys in the
    configuration's order, each other line is a device."""
    with open(config, newline="") as f:
        lines = list(csv.reader(f))
    assert all(len(line) == 3 for line in lines), lines
    assert lines[0][1:] == ["namespace", ""], lines
    keys, namespace = [], None
    for key, kind, encoding in lines:
        assert 0 < len(key) <= 15, key  # NVS_KEY_NAME_MAX_SIZE
        if kind == "namespace":
            namespace = key
            continue
        assert kind == "data" and encoding in ("string", "hex2bin"), (key, kind, encoding)
        keys.append((namespace, key, kind, encoding))
    with open(values, newline="") as f:
        rows = list(csv.reader(f))
    assert rows[0] == [key for _, key, _, _ in keys], rows[0]
    assert all(len(row) == len(keys) for row in rows)
    return [[(*key, value) for key, value in zip(keys, row)] for row in rows[1:]]


def devices_of(folder):
    """{id: secret} of a batch."""
    found = {}
    for entries in parse_mfg(os.path.join(folder, "nvs-config.csv"), os.path.join(folder, "nvs-values.csv")):
        assert [e[:4] for e in entries] == [("teddy_factory", "device_id", "data", "string"),
                                            ("teddy_factory", "oob_secret", "data", "hex2bin")], entries
        device_id, secret = entries[0][4], entries[1][4]
        assert len(bytes.fromhex(secret)) == 32 and secret == secret.lower()
        assert device_id not in found
        found[device_id] = secret
    return found


def check_manifest(folder):
    """Every file is in the manifest with its size and digest, and nothing else is there."""
    with open(os.path.join(folder, "manifest.json")) as f:
        manifest = json.load(f)
    assert {f["name"] for f in manifest["files"]} | {"manifest.json"} == set(os.listdir(folder))
    for entry in manifest["files"]:
        with open(os.path.join(folder, entry["name"]), "rb") as f:
            data = f.read()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"]), entry
    return manifest


def decode(svg, number):
    """What an independent decoder reads on one label of a page, alone, as a scanner sees it."""
    x, y = 9.85 + 48.2 * (number % 4), 21.5 + 25.4 * (number // 4)
    alone, changed = re.subn(r'width="210mm" height="297mm" viewBox="0 0 210 297"',
                             f'width="45.7mm" height="25.4mm" viewBox="{x} {y} 45.7 25.4"', svg)
    assert changed == 1
    image = subprocess.run(["rsvg-convert", "-d", "300", "-p", "300"], input=alone.encode(), stdout=subprocess.PIPE,
                           check=True).stdout
    with tempfile.NamedTemporaryFile(suffix=".png") as f:
        f.write(image)
        f.flush()
        read = subprocess.run(["zbarimg", "--nodbus", "--quiet", "--raw", f.name], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL)
    return read.stdout.splitlines()


class Between(socketserver.ThreadingUnixStreamServer):
    """A data directory whose admin socket is this test's own. answer(method, path, body): the (status, object) of a request, which
    ask() has from the server; None: no answer, the connection ends."""

    def __init__(self, folder, server):
        self.server = server
        self.answer = self.ask
        self.data = os.path.join(folder, "between")
        os.mkdir(self.data, 0o700)
        super().__init__(os.path.join(self.data, "admin.sock"), self.Handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def ask(self, method, path, body):
        return self.server.admin(method, path.removeprefix("/api/v1/admin"), body, "text/csv")

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self):
            length = self.headers["Content-Length"]
            answer = self.server.answer(self.command, self.path, self.rfile.read(int(length)) if length else None)
            if answer is None:
                return
            body = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply

        def log_message(self, *_):
            pass


class Batches(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="teddy-batch-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = os.path.join(self.folder, "data")
        self.out = os.path.join(self.folder, "out")

    def serve(self):
        server = Server(data=self.data)
        self.addCleanup(server.close)
        return server

    def ctl(self, *args, data=None, **more):
        return subprocess.run([program("teddyctl"), "--data", data or self.data, *args], text=True, capture_output=True,
                              timeout=4 * PATIENCE, env=env(), **more)

    def ok(self, *args, **more):
        done = self.ctl(*args, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), args)
        return done.stdout

    def refused(self, status, pattern, *args, **more):
        done = self.ctl(*args, **more)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertRegex(done.stderr.splitlines()[-1], "^teddyctl: .*" + pattern)
        return done.stderr

    def command(self, count=50, out=None, prefix=PREFIX, *more):
        return ("batch", "create", "--count", str(count), "--prefix", prefix, "--out", out or self.out, *more)

    def create(self, count=50, out=None, prefix=PREFIX, *more):
        return json.loads(self.ok("--json", *self.command(count, out, prefix, *more)))

    def registry(self):
        """The ids of devices and batches, from another process's view, at one moment."""
        path = os.path.join(self.data, "teddy.db")
        if not os.path.exists(path):
            return set(), {}
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as db:
            try:
                db.execute("begin")  # a server may commit between the two
                return ({row[0] for row in db.execute("select device_id from device")},
                        {row[0]: row[1:] for row in db.execute("select id, prefix, first, count, digits from batch")})
            except sqlite3.OperationalError as e:  # killed before it had made them
                self.assertIn("no such table", str(e))
                return set(), {}

    def check_whole(self, folder=None):
        """A finished batch: its files, its row and its devices."""
        folder = folder or self.out
        manifest = check_manifest(folder)
        devices, batches = self.registry()
        made = devices_of(folder)
        self.assertEqual(batches[manifest["batch"]],
                         (manifest["prefix"], manifest["first"], manifest["count"], manifest["digits"]))
        self.assertEqual(list(made), [f"{manifest['prefix']}{n:0{manifest['digits']}}"
                                      for n in range(manifest["first"], manifest["last"] + 1)])
        self.assertLessEqual(set(made), devices)
        return manifest, made


class Package(Batches):
    def test_what_a_line_is_given(self):
        before = time.time()
        said = self.create(50)
        manifest, made = self.check_whole()
        self.assertEqual((said["id"], said["count"], said["first_id"], said["last_id"], said["resumed"]),
                         (manifest["batch"], 50, PREFIX + "000001", PREFIX + "000050", False))
        self.assertEqual((manifest["first"], manifest["last"], manifest["digits"], manifest["first_id"]),
                         (1, 50, 6, PREFIX + "000001"))
        self.assertRegex(manifest["tool"], r"^teddyctl \d")
        self.assertLess(abs(time.mktime(time.strptime(manifest["created"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - before), 120)
        self.assertEqual(len(set(made.values())), 50)
        self.assertFalse(os.path.exists(self.out + ".partial"))
        self.assertEqual(os.stat(self.out).st_mode & 0o777, 0o700)
        self.assertEqual({os.stat(os.path.join(self.out, name)).st_mode & 0o777 for name in os.listdir(self.out)}, {0o600})
        with open(os.path.join(self.out, "manifest.json"), "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        listed = json.loads(self.ok("--json", "batch", "list"))["batches"]
        self.assertEqual([(b["id"], b["manifest_sha256"], b["count"]) for b in listed], [(manifest["batch"], digest, 50)])
        self.assertEqual(self.ok("batch", "list").split("\t")[:4], [manifest["batch"], PREFIX, "1", "50"])
        self.assertEqual(self.ok("batch", "list", "--prefix", "other"), "")
        # The toys are those of the files: they claim, first and last.
        server = self.serve()
        for device_id in (PREFIX + "000001", PREFIX + "000050"):
            self.assertEqual(Toy(server, device_id, made[device_id]).post_claim().status_code, 200)

    def test_labels_say_the_id_and_no_secret(self):
        self.create(LABELS + 3)
        _, made = self.check_whole()
        ids = list(made)
        for page in (1, 2):
            with open(os.path.join(self.out, f"labels-{page:05}.svg")) as f:
                svg = f.read()
            here = ids[(page - 1) * LABELS:page * LABELS]
            words = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg.split("<text x=\"9.85\"")[0]))
            self.assertEqual(words, "".join(here))
            self.assertIn(f"page {page} of 2", svg)
            for n, device_id in enumerate(here):
                if page == 2 or n in (0, 1, 17, LABELS - 1):
                    self.assertEqual(decode(svg, n), [device_id])
        self.assertEqual(decode(svg, 3), [], "there is no fourth label on the second page")
        for name in set(os.listdir(self.out)) - {"nvs-values.csv"}:
            with open(os.path.join(self.out, name)) as f:
                text = f.read()
            for secret in made.values():
                self.assertNotIn(secret, text.lower())

    def test_the_longest_and_the_shortest_id(self):
        longest = "L" * 57 + "-"
        self.assertEqual(len(self.create(1, None, longest)["first_id"]), 64)
        with open(os.path.join(self.out, "labels-00001.svg")) as f:
            self.assertEqual(decode(f.read(), 0), [longest + "000001"])
        short = os.path.join(self.folder, "short")
        self.create(2, short, "T", "--digits", "1", "--first", "0")
        self.assertEqual(list(devices_of(short)), ["T0", "T1"])
        with open(os.path.join(short, "labels-00001.svg")) as f:
            svg = f.read()
        self.assertEqual([decode(svg, 0), decode(svg, 1)], [["T0"], ["T1"]])
        self.refused(1, "at most 64 characters", *self.command(1, self.out + "2", longest + "x"))

    def test_numbers_follow(self):
        self.ok("device", "add", PREFIX + "0041")
        outs = [os.path.join(self.folder, str(n)) for n in range(6)]
        self.assertEqual(self.create(9, outs[0])["first"], 42)
        self.ok("device", "remove", PREFIX + "000050")  # the label with this number exists
        self.assertEqual(self.create(9, outs[1])["first"], 51)
        self.assertEqual(self.create(5, outs[2], "Other-")["first_id"], "Other-000001")
        self.assertEqual(self.create(5, outs[3], PREFIX, "--first", "999998")["last_id"], PREFIX + "1000002")
        self.assertEqual(self.create(1, outs[4], "Other-", "--digits", "9")["first_id"], "Other-000000006")
        self.refused(1, "does not fit in 2 digits", *self.command(5, outs[5], "Other-", "--digits", "2", "--first", "98"))
        done = self.refused(1, "others have some of its ids.*Without --first",
                            *self.command(20, outs[5], PREFIX, "--first", "30"))
        named = re.findall(r"(?m)^nvs-values.csv:(\d+): device_id is registered already", done)
        self.assertEqual([int(n) for n in named], list(range(14, 22)))  # 42 to 49; a line for the header
        self.assertEqual(set(os.listdir(self.folder)), {"data", *"01234"})
        self.assertEqual(len(json.loads(self.ok("--json", "batch", "list", "--prefix", "Other-"))["batches"]), 2)

    def test_into_another_registry(self):
        """The values are a CSV that an import takes: no secret has to be written twice."""
        self.create(30)
        values = os.path.join(self.out, "nvs-values.csv")
        other = os.path.join(self.folder, "other")
        self.assertEqual(self.ok("batch", "import", values, "--prefix", PREFIX, data=other), "30 imported\n")
        self.assertEqual(self.ok("import", values, data=other), "0 imported, 30 registered already\n")
        self.assertEqual(len(self.ok("device", "list", data=other).splitlines()), 30)
        self.refused(1, "Nothing was imported: 30 bad lines", "batch", "import", values, "--prefix", "Bear-", data=other)

    def test_what_is_in_the_way(self):
        partial = self.out + ".partial"
        os.mkdir(self.out)
        self.refused(1, "is there already", *self.command())
        os.rmdir(self.out)
        os.symlink("/nonexistent", self.out)
        self.refused(1, "is there already", *self.command())
        os.unlink(self.out)
        os.mkdir(partial, 0o700)
        with open(os.path.join(partial, "notes.txt"), "w") as f:
            f.write("mine")
        self.refused(1, "notes.txt in it is not of a batch", *self.command())
        self.assertEqual(os.listdir(partial), ["notes.txt"])
        os.unlink(os.path.join(partial, "notes.txt"))
        os.chmod(partial, 0o755)
        self.refused(1, "not yours alone", *self.command())
        os.rmdir(partial)
        os.symlink(self.folder, partial)
        self.refused(1, "cannot be opened", *self.command())
        os.unlink(partial)
        self.refused(1, "No such file", *self.command(out=os.path.join(self.folder, "nowhere", "out")))
        self.assertEqual(self.registry()[1], {})
        self.create(3, self.out + "///")
        self.check_whole()

    def test_wrong_usage(self):
        for bad in (("--prefix", "a", "--out", self.out), ("--count", "1", "--out", self.out), ("--count", "1", "--prefix", "a"),
                    ("--count", "0", "--prefix", "a", "--out", self.out), ("--count", "100001", "--prefix", "a", "--out", self.out),
                    ("--count", "1x", "--prefix", "a", "--out", self.out), ("--count", "-1", "--prefix", "a", "--out", self.out),
                    ("--count", "1", "--prefix", "a b", "--out", self.out), ("--count", "1", "--prefix", "", "--out", self.out),
                    ("--count", "1", "--prefix", "a" * 65, "--out", self.out), ("--count", "1", "--prefix", "a", "--out", ""),
                    (*self.command()[2:], "--first", "x"), (*self.command()[2:], "--first", "9" * 19),
                    (*self.command()[2:], "--digits", "0"), (*self.command()[2:], "--digits", "19"), (*self.command()[2:], "more")):
            with self.subTest(bad):
                self.refused(2, "", "batch", "create", *bad)
        for bad in (("batch",), ("batch", "dance"), ("batch", "list", "--count", "1"), ("batch", "list", "--prefix", "a b"),
                    ("batch", "import"), ("batch", "import", "x", "--out", "y"), ("session", "list", "--prefix", "a"),
                    ("import", "x", "--prefix", "a b"), ("status", "--digits", "3")):
            with self.subTest(bad):
                self.refused(2, "", *bad)
        self.assertEqual(os.listdir(self.folder), [])
        self.refused(1, "start teddyd", "batch", "list")

    def test_progress_is_for_a_terminal(self):
        master, slave = pty.openpty()
        seen = []

        watcher = threading.Thread(target=lambda: seen.append(read_to_end(master)))
        watcher.start()
        done = subprocess.run([program("teddyctl"), "--data", self.data, *self.command(2000)], stdout=subprocess.PIPE,
                              stderr=slave, text=True, timeout=4 * PATIENCE, env=env())
        os.close(slave)
        watcher.join(PATIENCE)
        os.close(master)
        shown = b"".join(seen).decode()
        self.assertEqual(done.returncode, 0, shown)
        self.assertRegex(done.stdout, rf"^batch [0-9a-f]{{16}}: 2000 devices, {PREFIX}000001 to {PREFIX}002000, in .*out \(\d+\.\d s\)\n$")
        drawn = [int(n) for n in re.findall(r"\r\[#*\.*\] +(\d+)% labels", shown)]
        self.assertEqual(drawn, sorted(drawn))
        self.assertGreaterEqual(len(drawn), 2)  # at most ten a second
        self.assertRegex(shown, r"100% labels \d+ pages/s, 0:00 left")
        self.assertEqual(drawn[-1], 100)
        self.assertTrue(shown.endswith("\r\x1b[K"), shown[-80:])


class WholeOrNotAtAll(Batches):
    def test_with_a_server(self):
        server = self.serve()
        self.create(700)
        manifest, made = self.check_whole()
        last = PREFIX + "000700"
        self.assertEqual(Toy(server, last, made[last]).post_claim().status_code, 200)
        server.log.wait(f"admin_batch_add id={manifest['batch']} actor=uid:{os.geteuid()} status=201")
        self.assertIn(manifest["batch"], self.ok("batch", "list"))
        more = os.path.join(self.folder, "more")
        self.assertEqual(self.create(5, more)["first"], 701)
        self.refused(1, "others have some of its ids", *self.command(5, more + "2", PREFIX, "--first", "700"))
        self.assertFalse(os.path.exists(more + "2.partial"))
        for secret in made.values():
            self.assertNotIn(secret, server.log.text())

    def test_a_large_body(self):
        """More than any other body of the API may have: 60,000 lines, into a running server and out of its refusal."""
        server = self.serve()
        rows = [(f"bulk-{n:06}", os.urandom(32).hex()) for n in range(rounds(60000, 6000))]
        text = "".join(f"{d},{s}\n" for d, s in rows)
        self.assertGreater(len(text), rounds(4 << 20, 0))
        bad = text + f"bulk-000009,{'1' * 64}\nwrong\n"
        done = self.refused(1, "Nothing was imported: 2 bad lines", "batch", "import", "-", input=bad)
        self.assertEqual(done.splitlines()[:-1], [f"standard input:{len(rows) + 1}: device_id is that of line 10",
                                                  f"standard input:{len(rows) + 2}: is not device_id,oob_secret"])
        self.assertEqual(self.registry()[0], set())
        self.assertEqual(self.ok("batch", "import", "-", input=text), f"{len(rows)} imported\n")
        self.assertEqual(len(self.registry()[0]), len(rows))
        self.assertEqual(Toy(server, *rows[-1]).post_claim().status_code, 200)
        self.refused(1, "is longer than 16777216 bytes", "batch", "import", "-", input="x" * ((16 << 20) + 1))
        status, answer = server.admin("POST", "/batches?id=0123456789abcdef", b"", kind="text/csv")
        self.assertEqual((status, answer["code"]), (422, "bad_query"))
        status, answer = server.admin("POST", "/batches?id=0123456789abcdef&prefix=x&first=1&digits=1&manifest_sha256=" + "0" * 64,
                                      b"y1," + b"1" * 64, kind="text/csv")
        self.assertEqual((status, answer["code"]), (422, "bad_batch"))
        for query in ("prefix=a%20b", "after=x", "id=a&id=b", "after=9999999999999999999"):
            self.assertEqual(server.admin("GET", "/batches?" + query)[0], 422, query)

    def left(self, out=None, count=30):
        """What a run leaves that is killed once its request is under way: (manifest, the request)."""
        out, held, begun = out or self.out, [], threading.Event()
        between = Between(tempfile.mkdtemp(dir=self.folder), self.server)

        def answer(method, path, body):
            if method == "POST":
                begun.wait()
                process.kill()
                process.wait()
                return held.append((method, path, body))
            return between.ask(method, path, body)

        between.answer = answer
        with subprocess.Popen([program("teddyctl"), "--data", between.data, *self.command(count, out)], env=env()) as process:
            begun.set()
            process.wait(4 * PATIENCE)
        between.close()
        self.assertEqual(len(held), 1)
        return check_manifest(out + ".partial"), held[0]

    def test_killed_before_the_transaction(self):
        """What is not whole was not sent: it is thrown away, also a manifest that is not whole."""
        self.ok("device", "add", "begun")
        for manifest in (None, b"", b'{"batch": "01234', b"\xff" * 100, b"[]", b"{}",
                         json.dumps({"batch": "0123456789abcdef", "prefix": PREFIX, "first": 1, "count": 9, "digits": 6}).encode()):
            with self.subTest(manifest):
                out = tempfile.mkdtemp(dir=self.folder)
                os.rename(out, out + ".partial")
                with open(os.path.join(out + ".partial", "nvs-values.csv"), "w") as f:
                    f.write("device_id,oob_secret\nold,12\n")
                with open(os.path.join(out + ".partial", "labels-00077.svg"), "w") as f:
                    f.write("old")
                if manifest is not None:
                    with open(os.path.join(out + ".partial", "manifest.json"), "wb") as f:
                        f.write(manifest)
                self.assertFalse(self.create(3, out)["resumed"])
                self.check_whole(out)
        # What is whole may have been sent: it is the one that is finished.
        self.server = self.serve()
        manifest, _ = self.left()
        with open(os.path.join(self.out + ".partial", "nvs-values.csv"), "rb") as f:
            values = f.read()
        self.server.terminate()
        again = self.create(30)
        self.assertEqual((again["id"], again["resumed"]), (manifest["batch"], True))
        self.check_whole()
        with open(os.path.join(self.out, "nvs-values.csv"), "rb") as f:
            self.assertEqual(f.read(), values)

    def test_a_damaged_file_was_not_sent(self):
        self.server = self.serve()

        def cut(path):
            os.truncate(path, os.path.getsize(path) - 1)

        def alter(path):
            with open(path, "r+b") as f:
                f.seek(-2, os.SEEK_END)
                last = f.read(1)
                f.seek(-2, os.SEEK_END)
                f.write(b"0" if last != b"0" else b"1")

        for name in ("nvs-values.csv", "nvs-config.csv", "labels-00001.svg"):
            for damage in (cut, alter, os.unlink):
                with self.subTest(name, damage=damage.__name__):
                    out = tempfile.mktemp(dir=self.folder)
                    manifest, _ = self.left(out)
                    damage(os.path.join(out + ".partial", name))
                    again = self.create(30, out)
                    self.assertFalse(again["resumed"])
                    self.assertNotEqual(again["id"], manifest["batch"])
                    self.check_whole(out)
                    self.assertNotIn(manifest["batch"], self.registry()[1])
        # Nor is a registered one thrown away when somebody has damaged it since.
        os.rename(out, out + ".partial")
        alter(os.path.join(out + ".partial", "labels-00001.svg"))
        self.refused(1, f"batch {again['id']}, which is registered, but its files are not", *self.command(30, out))
        self.assertEqual(len(devices_of(out + ".partial")), 30)

    def test_killed_while_the_server_works(self):
        """The request of who was killed is done at any moment of the second run: its devices are those of DIR."""
        self.server = self.serve()
        between = Between(self.folder, self.server)
        self.addCleanup(between.close)
        for n, moment in enumerate(("after its question", "before it is done", "afterwards")):
            with self.subTest(moment):
                out = os.path.join(self.folder, str(n))
                manifest, request = self.left(out)
                asked, late = [], []

                def answer(method, path, body):
                    if method == "GET" and "id=" in path and not asked:
                        asked.append(between.ask(method, path, body))
                        self.assertEqual(asked[0][1]["batches"], [])
                        return asked[0]
                    # It has been told that the registry does not have it, and now the registry gets it.
                    if not late and (moment == "after its question" or moment == "before it is done" and method == "POST"):
                        late.append(between.ask(*request))
                    return between.ask(method, path, body)

                between.answer = answer
                again = self.create_at(between.data, 30, out)
                if not late:
                    late.append(between.ask(*request))
                self.assertEqual(late[0][0], 409 if moment == "afterwards" else 201)
                self.assertEqual((again["id"], again["resumed"]), (manifest["batch"], True))
                self.check_whole(out)
                devices, batches = self.registry()
                self.assertEqual((len(devices), len(batches)), (30 * (n + 1), n + 1))

    def create_at(self, data, count, out):
        return json.loads(self.ok("--json", *self.command(count, out), data=data))

    def test_kept_until_it_is_known(self):
        """No answer, or a refusal that says nothing of the batch: it may be registered yet. Ids of others: it cannot."""
        self.server = self.serve()
        between = Between(self.folder, self.server)
        self.addCleanup(between.close)
        problem = (503, {"status": 503, "code": "store_unavailable", "detail": "Not now."})
        for n, bad in enumerate((None, problem)):
            with self.subTest(bad):
                out = os.path.join(self.folder, str(n))
                between.answer = lambda method, *rest: bad if method == "POST" else between.ask(method, *rest)
                self.refused(1, "partial is kept: run the same command again to finish it", *self.command(30, out),
                             data=between.data)
                manifest = check_manifest(out + ".partial")
                self.refused(1, "partial is kept", *self.command(30, out), data=between.data)
                again = self.create(30, out)
                self.assertEqual((again["id"], again["resumed"]), (manifest["batch"], True))
                self.check_whole(out)
        manifest, request = self.left()
        self.ok("device", "add", manifest["last_id"])
        self.refused(1, "others have some of its ids", *self.command(30))
        self.assertFalse(os.path.exists(self.out + ".partial"))
        self.assertEqual(between.ask(*request)[1]["code"], "batch_conflict")
        self.assertFalse(self.create(30)["resumed"])
        self.check_whole()

    def test_other_options_than_what_was_left(self):
        self.server = self.serve()
        manifest, _ = self.left()
        lies = f"is batch {manifest['batch']} of an earlier run.*--count 30 --prefix {PREFIX} --first 1 --digits 6, or remove it"
        for other in (self.command(31), self.command(30, None, "Other-"), self.command(30, None, PREFIX, "--first", "2"),
                      self.command(30, None, PREFIX, "--digits", "7")):
            with self.subTest(other):
                self.refused(1, lies, *other)
                self.assertEqual(check_manifest(self.out + ".partial"), manifest)
        self.assertEqual(self.registry(), (set(), {}))
        self.assertEqual(self.create(30, None, PREFIX, "--first", "1", "--digits", "6")["id"], manifest["batch"])
        self.check_whole()

    def test_killed_after_the_transaction(self):
        """Registered, and not renamed yet: the same command finishes it, and another says what it found."""
        said = self.create(30)
        os.rename(self.out, self.out + ".partial")
        again = self.create(30)
        self.assertEqual((again["id"], again["resumed"]), (said["id"], True))
        self.check_whole()
        os.rename(self.out, self.out + ".partial")
        self.assertIn("begun before, finished now", self.ok(*self.command(30)))
        os.rename(self.out, self.out + ".partial")
        self.refused(1, f"is batch {said['id']}, an earlier one.*30 devices", *self.command(31))
        self.check_whole()
        self.assertEqual(len(self.registry()[1]), 1)
        # A data directory that is not there (a slip of the pen) is not the registry that was asked: nothing is thrown away.
        os.rename(self.out, self.out + ".partial")
        self.refused(1, "say with --data where its data is", *self.command(30), data=os.path.join(self.folder, "slip"))
        self.assertTrue(self.create(30)["resumed"])
        self.check_whole()

    def test_a_name_that_is_taken_meanwhile(self):
        """DIR appears while the batch is made: what is in it stays, and the batch is finished when it has gone."""
        process = subprocess.Popen([program("teddyctl"), "--data", self.data, *self.command(1000)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=env())
        while process.poll() is None and not os.path.exists(self.out + ".partial"):
            pass
        os.mkdir(self.out)
        said, error = process.communicate(timeout=4 * PATIENCE)
        self.assertEqual((process.returncode, said), (1, ""))
        self.assertRegex(error, "is registered, but .*partial cannot become .*run the same again")
        os.rmdir(self.out)
        self.assertTrue(self.create(1000)["resumed"])
        self.check_whole()

    def test_two_at_once(self):
        programs = [subprocess.Popen([program("teddyctl"), "--data", self.data, *self.command(2000)], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, env=env()) for _ in range(3)]
        ends = [(p.communicate(timeout=4 * PATIENCE), p.returncode) for p in programs]
        self.assertEqual([code for _, code in ends].count(0), 1, ends)
        for (_, error), code in ends:
            if code != 0:
                self.assertRegex(error, "another teddyctl|is there already|cannot be opened")
        self.check_whole()
        self.assertEqual(len(self.registry()[0]), 2000)

    def storm(self, times, between):
        """Kills teddyctl (and what `between` kills) at any moment, then runs the same again: never half a batch, and in the end
        a whole one."""
        count, seed = rounds(600, 150), random.randrange(1 << 32)
        chance = random.Random(seed)
        started = time.monotonic()
        self.create(count, os.path.join(self.folder, "first"))
        usual = time.monotonic() - started
        seen = set()
        for n in range(times):
            with self.subTest(seed=seed, round=n):
                out = os.path.join(self.folder, f"run-{n}")
                process = subprocess.Popen([program("teddyctl"), "--data", self.data, *self.command(count, out)],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env())
                try:
                    process.wait(chance.uniform(0, 1.1 * usual))
                except subprocess.TimeoutExpired:
                    pass
                between(process, chance)
                process.communicate(timeout=4 * PATIENCE)
                devices, batches = self.registry()
                self.assertEqual(len(devices), count * len(batches), "half a batch")
                seen.add((os.path.exists(out + ".partial"), os.path.exists(out), len(batches)))
                if os.path.exists(out):
                    self.assertFalse(os.path.exists(out + ".partial"))
                else:
                    again = self.create(count, out)
                    # Of a server that still worked when it was looked at, the batch is this one too.
                    self.assertEqual(set(self.registry()[1]), {*batches, again["id"]})
                manifest, _ = self.check_whole(out)
                self.assertEqual(len(self.registry()[1]), n + 2, manifest["batch"])
        devices, batches = self.registry()
        self.assertEqual((len(batches), len(devices)), (times + 1, count * (times + 1)))
        return seen

    def test_kill_9(self):
        def between(process, chance):
            process.kill()

        seen = self.storm(rounds(25, 8), between)
        if rounds(True, False):  # a sanitizer has few rounds, and a slow start
            self.assertIn(True, {partial for partial, _, _ in seen}, "nobody was killed in the middle")

    def test_kill_9_with_a_server(self):
        server = self.serve()

        def between(process, chance):
            if chance.random() < 0.6:
                process.kill()
            if chance.random() < 0.6:
                server.kill()
                process.communicate(timeout=4 * PATIENCE)
                server.start()

        self.storm(rounds(15, 5), between)


if __name__ == "__main__":
    main()
