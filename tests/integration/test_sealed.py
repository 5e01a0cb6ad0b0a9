"""Secrets at rest: what leaks the files of a server leaks no secret and no token, and the key that seals them is
found, refused and rotated as docs/operations.md says."""

import base64
import json
import os
import random
import secrets
import signal
import subprocess
import time
import unittest

from harness import PATIENCE, Case, Server, Toy, closing, hello, main, program, rounds

JWT_KEYS = "jwt-keys.json"  # a secret of its own: who has it signs tokens, and who has not can use no row
MASTER = "master.key"


def forms(raw):
    """How bytes may stand in a file."""
    b64 = base64.b64encode(raw).rstrip(b"=")
    return {raw, raw.hex().encode(), raw.hex().upper().encode(), b64, b64.translate(bytes.maketrans(b"+/", b"-_"))}


def of_token(token):
    """A token whole, what of it makes it valid, and its bytes."""
    signature = token.rsplit(".", 1)[1]
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    return {token.encode(), signature.encode()} | forms(raw)


def of_secret_part(admin_token):
    """What of it is not in the database: its last 43 characters."""
    part = admin_token[-43:]
    return {part.encode()} | forms(base64.urlsafe_b64decode(part + "="))


def files_of(data, without=()):
    for folder, _, names in os.walk(data):
        for name in names:
            path = os.path.join(folder, name)
            if name not in without and os.path.isfile(path):
                with open(path, "rb") as f:
                    yield name, f.read()


def search(data, wanted, without=(), more=()):
    """(what, where) for each of the secrets in `wanted` that stands somewhere in the files."""
    everything = [*files_of(data, without), *more]
    return sorted({(what, name) for what, shapes in wanted.items() for shape in shapes
                   for name, text in everything if shape in text})


def content(path):
    with open(path) as f:
        return f.read()


def master_keys(data):
    return content(os.path.join(data, MASTER)).split()


class Leaks(Case):
    CONFIG = {"log_level": "debug", "claims_per_device_min": 0, "refreshes_per_device_min": 0}

    def wanted(self, toys, tokens, masters):
        return {**{f"secret of {t.device_id}": forms(bytes.fromhex(t.secret)) for t in toys},
                **{f"token {i}": of_token(t) for i, t in enumerate(tokens)},
                **{f"master key {i}": forms(bytes.fromhex(k)) for i, k in enumerate(masters)}}

    async def life(self):
        """All that handles a secret or a token; returns what must stand nowhere."""
        server = self.server
        toys = [server.add() for _ in range(8)]
        masters = master_keys(server.data)
        tokens = []
        rows = [(f"bulk-{i}", secrets.token_hex(32)) for i in range(300)]
        status, answer = server.admin("POST", "/devices/import", "\n".join(map(",".join, rows)).encode(), "text/csv")
        self.assertEqual((status, answer), (200, {"imported": 300, "already": 0}))
        toys += [self.toy_of(*row) for row in rows[:20]]
        old = toys[0]
        toys[0] = self.toy_of(old.device_id, json.loads(
            server.ctl("device", "rotate-secret", old.device_id).stdout)["oob_secret"])
        for toy in toys:
            pair = toy.claim()
            again = toy.post_refresh(pair["refresh"]).json()
            tokens += [pair["access"], pair["refresh"], again["access"], again["refresh"]]
        async with toys[1].connect(tokens[6]) as ws:
            await hello(ws)
            server.ctl("master-key", "rotate")
        masters += master_keys(server.data)
        removed = toys.pop()
        server.ctl("device", "remove", removed.device_id)
        self.problem(removed.post_claim(), 404, "device_not_found")
        server.ctl("device", "add", "given", "--secret", removed.secret)
        admin = [server.admin_token(role) for role in ("viewer", "owner")]
        return {**self.wanted([old, *toys, removed], tokens, masters),
                **{f"admin token {i}": {a.encode()} | of_secret_part(a) for i, a in enumerate(admin)}}

    def toy_of(self, device_id, secret):
        return Toy(self.server, device_id, secret)

    async def test_no_file_holds_a_secret_or_a_token(self):
        wanted = await self.life()
        self.assertGreater(len(wanted), 100)
        without = (JWT_KEYS, MASTER)
        log = [("log", self.server.all_logs().encode())]
        self.assertIn(b"event=", log[0][1])
        self.assertIn("teddy.db-wal", [name for name, _ in files_of(self.server.data)])
        self.assertEqual(search(self.server.data, wanted, without, log), [])
        self.server.kill()
        self.assertEqual(search(self.server.data, wanted, without), [])
        self.server.start()
        self.server.terminate()
        log = [("log", self.server.all_logs().encode())]
        self.assertEqual(search(self.server.data, wanted, without, log), [])
        # The master key in force stands in its own file alone.
        self.assertEqual(search(self.server.data, wanted, (JWT_KEYS,)), [("master key 1", MASTER)])
        self.planted(wanted, without)

    def planted(self, wanted, without):
        """The search finds what it looks for, in every form and in a database's page."""
        for what in random.sample(sorted(wanted), 10):
            for shape in wanted[what]:
                path = os.path.join(self.server.data, "planted")
                with open(path, "wb") as f:
                    f.write(os.urandom(100) + shape + os.urandom(100))
                self.assertEqual(search(self.server.data, {what: wanted[what]}, without), [(what, "planted")])
                os.unlink(path)
        what = next(w for w in wanted if w.startswith("secret"))
        raw = max((s for s in wanted[what] if len(s) == 32), default=None)
        with closing(self.server.database()) as db:
            db.execute("pragma journal_mode = wal")
            db.execute("create table planted (x blob)")
            db.execute("insert into planted values (?)", (raw,))
            found = search(self.server.data, {what: wanted[what]}, without)
            self.assertIn((what, "teddy.db-wal"), found)
            db.execute("drop table planted")

    async def test_what_is_sealed_is_one_device_s(self):
        """Who can write the database still cannot give a toy's secret to another."""
        a, b = self.server.add(), self.server.add()
        with closing(self.server.database()) as db:
            db.execute("update device set sealed = (select sealed from device where device_id = ?) where device_id = ?",
                       (b.device_id, a.device_id))
        self.server.restart()
        forged = self.toy_of(a.device_id, b.secret)
        self.problem(forged.post_claim(), 503, "store_unavailable")
        self.problem(a.post_claim(), 503, "store_unavailable")
        self.assertEqual(b.post_claim().status_code, 200)


class Sources(unittest.TestCase):
    """Where the key comes from; which one is used is said; what is wrong is said with what to do."""

    KEY = secrets.token_hex(32)

    def setUp(self):
        self.server = Server(start=False)
        self.addCleanup(self.server.close)
        self.addCleanup(self.forget)

    def forget(self):
        if self.server.process and self.server.process.poll() is None:
            self.server.terminate()

    def start(self, **env):
        self.server.env = env
        self.server.start()
        return self.server.log.wait(r"event=master_key(?:_made)? source=(\w+) from=(\S.*?) id=(\w{16}) keys=(\d)")

    def refused(self, because, **env):
        done = subprocess.run(self.server.arguments(), env={**os.environ, **env}, text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr.splitlines()[-1], because)
        self.assertNotIn(self.KEY, done.stderr)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.server.data, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def test_its_own_file(self):
        said = self.start()
        self.assertEqual(said[1], "file")
        path = os.path.join(self.server.data, MASTER)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertRegex(content(path), r"^[0-9a-f]{64}\n$")
        self.server.log.wait("event=master_key_made")
        self.assertNotIn(master_keys(self.server.data)[0], self.server.all_logs())
        toy = self.server.add()
        self.server.terminate()
        self.assertEqual(self.start()[3], said[3])
        toy.claim()
        self.server.terminate()
        os.rename(path, path + ".away")
        self.refused(r"sealed under master key \w{16}, which is missing: looked in .*master.key; put it back")
        self.assertFalse(os.path.exists(path))
        self.write(MASTER, self.KEY)
        self.refused(r"sealed under master key \w{16}, but .*master.key has \w{16}")
        os.replace(path + ".away", path)
        os.chmod(path, 0o644)
        self.refused("others may read or write it .mode 644.: chmod 600")
        os.chmod(path, 0o600)
        self.start()
        toy.claim()

    def test_the_environment(self):
        self.server.config["master_key_file"] = "/nowhere/at/all"  # comes behind it
        said = self.start(TEDDY_MASTER_KEY=self.KEY)
        self.assertEqual((said[1], said[2]), ("environment", '"the environment variable TEDDY_MASTER_KEY"'))
        with open(f"/proc/{self.server.process.pid}/environ", "rb") as f:
            environ = f.read()
        self.assertIn(b"PATH=", environ)
        self.assertNotIn(self.KEY.encode(), environ)
        toy = self.server.add()
        done = self.server.ctl("master-key", "rotate", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("put NEW:OLD there and restart", done.stderr)
        self.server.terminate()
        self.assertFalse(os.path.exists(os.path.join(self.server.data, MASTER)))
        new = secrets.token_hex(32)
        self.refused("but the environment variable TEDDY_MASTER_KEY has", TEDDY_MASTER_KEY=new)
        self.start(TEDDY_MASTER_KEY=f"{new}:{self.KEY}")
        state = json.loads(self.server.ctl("master-key", "status", "--json").stdout)
        self.assertTrue(state["old_key_may_go"])
        self.assertEqual((state["keys"][0], len(state["keys"])), (state["sealed_under"], 2))
        toy.claim()
        self.server.terminate()
        self.refused("sealed under master key", TEDDY_MASTER_KEY=self.KEY)
        self.start(TEDDY_MASTER_KEY=new)
        self.assertFalse(json.loads(self.server.ctl("master-key", "status", "--json").stdout)["old_key_may_go"])
        toy.claim()
        self.server.terminate()
        self.refused("TEDDY_MASTER_KEY: is not 64 hex digits", TEDDY_MASTER_KEY="secret")
        self.refused("TEDDY_MASTER_KEYS: no such setting", TEDDY_MASTER_KEYS=new)

    def test_a_credential(self):
        self.write("teddy-master-key", self.KEY, 0o440)
        said = self.start(CREDENTIALS_DIRECTORY=self.server.data, TEDDY_MASTER_KEY=secrets.token_hex(32))
        self.assertEqual((said[1], said[2]), ("credential", os.path.join(self.server.data, "teddy-master-key")))
        self.assertIn("systemd credential", self.server.ctl("master-key", "rotate", check=False).stderr)

    def test_a_configured_file(self):
        path = os.path.join(self.server.data, "elsewhere")
        self.server.config["master_key_file"] = path
        self.refused(f"{path}: there is no such file; for a new server make it: .*openssl rand -hex 32")
        self.write("elsewhere", self.KEY)
        os.symlink(path, path + ".link")
        self.server.config["master_key_file"] = path + ".link"
        self.refused("it is a symbolic link")
        self.server.config["master_key_file"] = path
        self.assertEqual(self.start()[2], path)
        toy = self.server.add()
        self.server.ctl("master-key", "rotate")
        self.assertNotEqual(content(path).strip(), self.KEY)
        self.server.terminate()
        # teddyctl finds it as the server does.
        done = self.server.ctl("device", "add", "b", check=False)
        self.assertRegex(done.stderr, "which is missing: looked in .*master.key")
        os.environ["TEDDY_MASTER_KEY_FILE"] = path
        self.addCleanup(os.environ.pop, "TEDDY_MASTER_KEY_FILE", None)
        self.server.ctl("device", "add", "b")
        self.server.ctl("master-key", "rotate")
        self.assertEqual(len(content(path).split()), 1)
        self.start()
        toy.claim()


class Rotation(Case):
    CONFIG = {"claims_per_device_min": 0}

    def state(self):
        return json.loads(self.server.ctl("master-key", "status", "--json").stdout)

    async def test_while_serving_and_while_not(self):
        toy = self.server.add()
        first = self.state()
        self.assertEqual((first["source"], first["keys"], first["old_key_may_go"], first["problem"]),
                         ("file", [first["sealed_under"]], False, None))
        seen, keys = {first["sealed_under"]}, set(master_keys(self.server.data))
        async with toy.connect(toy.claim()["access"]) as ws:
            await hello(ws)
            for _ in range(3):
                answer = json.loads(self.server.ctl("master-key", "rotate", "--json").stdout)
                self.assertEqual(answer, self.state())
                seen.add(answer["sealed_under"])
                keys |= set(master_keys(self.server.data))
                self.assertEqual(len(master_keys(self.server.data)), 1)
                toy.claim()
            await ws.send(json.dumps({"type": "ping"}))
        self.server.terminate()
        self.assertIn("sealed_under: ", self.server.ctl("master-key", "status").stdout)
        seen.add(json.loads(self.server.ctl("master-key", "rotate", "--json").stdout)["sealed_under"])
        keys |= set(master_keys(self.server.data))
        self.assertEqual((len(seen), len(keys)), (5, 5))
        self.server.start()
        toy.claim()

    def test_a_wrong_file_is_not_overwritten(self):
        toy, path = self.server.add(), os.path.join(self.server.data, MASTER)
        right = content(path)
        for wrong, said in ((secrets.token_hex(32), "is not the one"), ("oops", "is not 64 hex digits"),
                            (None, "the file is gone")):
            os.unlink(path)
            if wrong:
                with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                    f.write(wrong)
            done = self.server.ctl("master-key", "rotate", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr)
            self.assertEqual(content(path) if wrong else None, wrong)
            if not wrong:
                self.assertIn("the file is gone", self.state()["problem"])
                open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)).close()
        with open(path, "w") as f:
            f.write(right)
        self.server.ctl("master-key", "rotate")
        toy.claim()

    def test_what_a_crash_left_is_finished(self):
        """Each of the states between the writes of a rotation."""
        toy, path = self.server.add(), os.path.join(self.server.data, MASTER)
        old, = master_keys(self.server.data)
        self.server.ctl("master-key", "rotate")
        new, = master_keys(self.server.data)
        newest = secrets.token_hex(32)
        self.server.kill()
        for left in (f"{new}\n{old}\n", f"{newest}\n{new}\n"):  # rewrapped; not yet
            with open(path, "w") as f:
                f.write(left)
            with open(path + ".new", "w") as f:
                f.write(left[:70])
            self.server.start()
            toy.claim()
            self.assertEqual(master_keys(self.server.data), left.split()[:1])
            self.assertFalse(os.path.exists(path + ".new"))
            self.server.kill()
        # While serving: the next rotation goes on with the key that the file has.
        self.server.start()
        pending = secrets.token_hex(32)
        with open(path, "w") as f:
            f.write(f"{pending}\n{newest}\n")
        self.server.ctl("master-key", "rotate")
        self.assertEqual(master_keys(self.server.data), [pending])
        self.server.restart()
        toy.claim()

    def measure(self):
        """A little more than one rotation takes here."""
        began = time.monotonic()
        self.server.ctl("master-key", "rotate")
        self.takes = 1.3 * (time.monotonic() - began)

    def rotate_and_kill(self, kill):
        """A rotation during which `kill` strikes at some moment."""
        ctl = subprocess.Popen([program("teddyctl"), "--data", self.server.data, "master-key", "rotate"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            ctl.wait(random.random() * self.takes)
        except subprocess.TimeoutExpired:
            pass
        kill(ctl)
        ctl.kill()
        ctl.wait()

    def test_killed_at_any_moment(self):
        toys = [self.server.add() for _ in range(3)]
        self.measure()
        seen = set()
        for _ in range(rounds(25, 8)):
            self.rotate_and_kill(lambda ctl: self.server.kill())
            seen |= set(master_keys(self.server.data))
            self.server.start()
            for toy in toys:
                toy.claim()
            self.assertEqual(len(master_keys(self.server.data)), 1)
            self.assertEqual(self.state()["keys"], [self.state()["sealed_under"]])
        self.assertGreater(len(seen), rounds(3, 0))

    def test_teddyctl_killed_at_any_moment(self):
        toy = self.server.add()
        self.server.terminate()
        self.measure()
        for _ in range(rounds(25, 8)):
            self.rotate_and_kill(lambda ctl: ctl.send_signal(signal.SIGKILL))
        self.server.start()
        toy.claim()
        self.assertEqual(len(master_keys(self.server.data)), 1)


if __name__ == "__main__":
    main()
