"""teddyctl's table of commands, and what is made of it: help, examples, JSON, completion, manual pages; and how things
look on a terminal and off it.

Where the build and teddyctl and teddyd are comes as the first arguments."""

import json
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

from terminal import read_to_end

CTL, SERVER = sys.argv[1:3]
del sys.argv[1:3]
BUILD = os.environ["TEST_BUILD"]
PATIENCE = 60
ENV = {k: v for k, v in os.environ.items()
       if not k.startswith("TEDDY_") and k not in ("PORT", "STATE_DIRECTORY", "XDG_DATA_HOME", "NO_COLOR")} | {"TERM": "xterm"}


def table():
    return json.loads(subprocess.run([CTL, "help", "--json"], capture_output=True, text=True, check=True, env=ENV).stdout)


TABLE = table()
COMMANDS = {c["name"]: c for c in TABLE["commands"]}
GLOBALS = {o["name"]: o for o in TABLE["options"]}


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.data = os.path.join(self.folder, "data")

    def run_ctl(self, *args, stdin="", env=None):
        return subprocess.run([CTL, "--data", self.data, *args], input=stdin, text=True, capture_output=True, timeout=PATIENCE,
                              env=ENV | (env or {}))

    def ok(self, *args, **more):
        done = self.run_ctl(*args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def serve(self):
        server = subprocess.Popen([SERVER, "--data", self.data, "--listen", "127.0.0.1:0", "--no-tls", "--loops", "2"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENV)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.kill)
        self.assertRegex(server.stdout.readline(), "^ready ")
        return server

    def on_terminal(self, *args, env=None, streams=("stdout", "stderr")):
        """What a terminal gets of the named streams, and the exit status."""
        master, slave = pty.openpty()
        given = {name: slave if name in streams else subprocess.PIPE for name in ("stdout", "stderr")}
        p = subprocess.Popen([CTL, "--data", self.data, *args], stdin=subprocess.DEVNULL, env=ENV | (env or {}), **given)
        os.close(slave)
        shown = read_to_end(master)
        os.close(master)
        p.communicate(timeout=PATIENCE)
        return shown.decode().replace("\r\n", "\n"), p.returncode


class Table(Base):
    def test_every_command_explains_itself(self):
        self.assertGreater(len(COMMANDS), 45)
        for name, c in COMMANDS.items():
            with self.subTest(name):
                shown = self.ok(*name.split(), "--help")
                self.assertEqual(shown, self.ok("help", *name.split()))
                self.assertTrue(shown.startswith(f"usage: teddyctl {name}"), shown)
                self.assertIn(c["examples"], shown)
                for option in c["options"]:
                    self.assertIn(f"\n  {option['name']}", shown)
                self.assertEqual(c["api"] is None, c["role"] is None, "its route is in the server's table, with its role")
                self.assertNotRegex(c["summary"], r"\.$")
                self.assertEqual(json.loads(self.ok(*name.split(), "--help", "--json"))["commands"], [c])
        for group in {n.split()[0] for n in COMMANDS if " " in n}:
            self.assertIn("\nExamples:\n  teddyctl", self.ok(group, "--help"))

    def test_one_option_is_one_thing(self):
        seen = dict(GLOBALS)
        for c in COMMANDS.values():
            for o in c["options"]:
                before = seen.setdefault(o["name"], o)
                self.assertEqual(before["value"] is None, o["value"] is None, o["name"])
                self.assertNotIn(o["name"], GLOBALS)

    def test_examples_are_commands(self):
        """Each begins with its own command, and takes only what the table says."""
        for name, c in COMMANDS.items():
            for line in c["examples"].splitlines():
                with self.subTest(line):
                    self.assertTrue(line.startswith("  "), line)
                    part = re.search(r"teddyctl ([^|<>)]*)", line)[1]
                    words = shlex.split(part)
                    takes = {o["name"]: o for o in c["options"]} | GLOBALS
                    plain, it = [], iter(words)
                    for w in it:
                        if w.startswith("-") and w != "-":
                            self.assertIn(w, takes)
                            if takes[w]["value"] is not None:
                                next(it)
                        else:
                            plain.append(w)
                    own = name.split()
                    self.assertEqual(plain[:len(own)], own)
                    self.assertGreaterEqual(len(plain) - len(own), c["args_needed"])
                    self.assertLessEqual(len(plain) - len(own), c["args_needed"] + c["args_more"])

    def test_what_was_meant(self):
        for args, near in ((["devcie"], "device"), (["device", "lst"], "list"), (["--jsn", "status"], "--json"), (["statsu"], "status"),
                           (["backpu", "x"], "backup"), (["device", "add", "a", "--secrte", "12"], "--secret")):
            done = self.run_ctl(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f"did you mean '{near}'? See teddyctl", done.stderr)
        done = self.run_ctl("xylophone")
        self.assertNotIn("did you mean", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_who_may_not_is_told_who_may(self):
        os.chmod(self.folder, 0o755)
        anybodys = shutil.copy(CTL, self.folder)  # the build may lie in a home
        self.ok("device", "add", "a")
        for mode in (0o700, 0o755):
            os.chmod(self.data, mode)
            for args in (["device", "list"], ["status"], ["audit", "tail"]):
                done = subprocess.run([anybodys, "--data", self.data, *args], text=True, capture_output=True, timeout=PATIENCE, env=ENV,
                                      user=65534, group=65534, extra_groups=[], cwd="/")
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                if mode != 0o755 or args != ["status"]:
                    self.assertIn("are for root and the server's user root alone: sudo teddyctl", done.stderr)
        server = self.serve()
        done = subprocess.run([anybodys, "--data", self.data, "status"], text=True, capture_output=True, timeout=PATIENCE, env=ENV,
                              user=65534, group=65534, extra_groups=[], cwd="/")
        self.assertRegex(done.stderr, "the server's socket is closed; .*sudo teddyctl")
        server.kill()
        server.wait()

    def test_a_missing_server_is_said_how_to_start(self):
        done = self.run_ctl("status")
        self.assertIn("systemctl start teddyd", done.stderr)
        self.ok("device", "add", "a")
        for args in (["status"], ["session", "list"]):
            self.assertRegex(self.run_ctl(*args).stderr, "no server is running on .*systemctl start teddyd, or teddyd --data")

    def test_what_changes_nothing(self):
        """Asked for its version or help, or told half of an option, no command runs."""
        self.ok("device", "add", "a")
        for args in (["--version"], ["--help"]):
            self.ok("device", "remove", "a", *args)
        self.assertEqual(self.ok("help", "help"), self.ok("--help"))
        done = self.run_ctl("device", "list", "--prefix", "--online")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--prefix needs a value; '--online' looks like an option: if it is the value, write --prefix=--online", done.stderr)
        self.assertEqual(self.ok("device", "list", "--prefix=--online"), "")
        self.ok("device", "show", "a")
        self.assertIn("text that begins with - stands behind --", self.run_ctl("send", "a", "-5 degrees").stderr)
        self.ok("send", "a", "--", "-5 degrees")

    def test_exit_statuses(self):
        self.assertEqual(self.run_ctl("device", "add", "a").returncode, 0)
        for args in (["device", "show", "b"], ["status"], ["restore", "/nowhere"], ["audit", "verify", "--key", "/nowhere"]):
            self.assertEqual(self.run_ctl(*args).returncode, 1, args)
        for args in ([], ["no-such"], ["device", "show"], ["device", "show", "a", "b"], ["device", "list", "--force"], ["man", "cat"],
                     ["completion", "fish"], ["--json=yes", "status"]):
            self.assertEqual(self.run_ctl(*args).returncode, 2, args)
        page = self.ok("man", "teddyctl")
        for text in ("EXIT STATUS", "0: done", "1: failed", "2: wrong usage"):
            self.assertIn(text, page)


class Json(Base):
    def walk(self, server):
        """Each command with --json: every line that it prints is JSON."""
        self.ok("device", "add", "toy")
        self.ok("send", "toy", "hello")
        key, receipt, csv = (os.path.join(self.folder, n) for n in ("key", "receipt", "toys.csv"))
        with open(key, "w") as f:
            f.write(self.ok("audit", "key"))
        with open(receipt, "w") as f:
            f.write(self.ok("child", "forget", "gone"))
        with open(csv, "w") as f:
            f.write(f"bulk,{os.urandom(32).hex()}\n")
        kid = json.loads(self.ok("key", "list", "--json"))["keys"]
        token = json.loads(self.ok("admin-token", "create", "--role", "viewer", "--json"))["id"]
        if not kid:
            kid = [json.loads(self.ok("key", "add", "--json"))]
        args = {
            "device add": ["new"], "device set": ["toy", "--processor", "echo"], "device remove": ["new"], "batch import": [csv],
            "batch create": ["--count", "2", "--prefix", "b-", "--out", os.path.join(self.folder, "batch")],
            "import": [csv], "send": ["toy", "hi"], "family revoke": ["toy", "0" * 32], "key retire": [kid[0]["kid"]],
            "child forget": ["kid"], "child verify-receipt": [receipt, "--key", key], "child set": ["kid", "age=5"],
            "admin-token create": ["--role", "viewer"], "admin-token revoke": [token], "backup": [os.path.join(self.folder, "b.db")],
            "restore": ["--check", os.path.join(self.folder, "b.db")], "audit export": [os.path.join(self.folder, "a.jsonl")],
            "completion": ["bash"], "man": ["teddyctl"],
        }
        # Of a child that no toy is bound to there is nothing to show; no toy has a token; no console is on.
        refused = {"family revoke", "child set", "child show", "console link"} | (set() if server else {"session list", "status", "drain"})
        for name, c in COMMANDS.items():
            if name == "drain" and server:
                continue  # the last
            given = args.get(name, ["kid" if "CHILD" in (c["args"] or "") else "toy"] if c["args_needed"] else [])
            with self.subTest(name):
                done = self.run_ctl("--json", *name.split(), *given)
                if name in refused:
                    self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                    continue
                self.assertIn(done.returncode, (0, 1) if name == "doctor" else (0,), done.stderr)
                lines = done.stdout.splitlines()
                self.assertGreater(len(lines), 0)
                for line in lines:
                    self.assertIsInstance(json.loads(line), dict)
        if server:
            self.assertEqual(json.loads(self.ok("drain", "--json")), {"draining": True})

    def test_without_a_server(self):
        self.walk(False)
        self.assertEqual(set(json.loads(self.ok("--version", "--json"))), {"program", "version"})

    def test_with_a_server(self):
        server = self.serve()
        self.ok("device", "add", "first")
        shown, rc = self.on_terminal("status", env={"NO_COLOR": "1"})
        self.assertEqual(rc, 0)
        for row in ("server", "up", "state        serving", "sessions     0 ", "claims       0", "refused", "store", "backends     no breaker",
                    "last backup  none; teddyctl backup FILE", "certificate"):
            self.assertRegex(shown, f"(?m)^{row}")
        status = json.loads(self.ok("status", "--json"))
        self.assertEqual((status["pid"], status["counts"]["claims"], status["breakers_open"]["chat"]), (server.pid, 0, 0))
        self.assertLess(status["up_s"], 3600)
        self.ok("backup", os.path.join(self.folder, "first.db"))
        self.assertEqual(json.loads(self.ok("status", "--json"))["last_backup"]["file"], os.path.join(self.folder, "first.db"))
        watch = subprocess.Popen([CTL, "--data", self.data, "status", "--watch", "--json"], stdout=subprocess.PIPE, text=True, env=ENV)
        self.assertEqual([json.loads(watch.stdout.readline())["pid"] for _ in range(2)], [server.pid] * 2)
        watch.stdout.close()
        watch.kill()
        watch.wait()
        self.walk(True)
        self.assertEqual(server.wait(PATIENCE), 0)


class Terminal(Base):
    def test_colours(self):
        self.ok("device", "add", "a")
        coloured, _ = self.on_terminal("device", "list")
        self.assertTrue(coloured.startswith("\033[1mDEVICE  ENABLED"), coloured)
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            plain, _ = self.on_terminal("device", "list", env=env)
            self.assertTrue(plain.startswith("DEVICE  ENABLED"), plain)
        self.assertIn("\033[1m", self.on_terminal("device", "list", env={"NO_COLOR": ""})[0])
        self.assertNotIn("\033", self.ok("device", "list") + self.run_ctl("device", "show", "b").stderr)
        self.assertIn("\033[31mteddyctl:\033[0m", self.on_terminal("device", "show", "b", streams=("stderr",))[0])

    def test_width_is_that_of_the_display(self):
        """Also of what is twice as wide, or has no width; nothing is cut on a terminal, nor in a pipe."""
        for name in ("plain", "b" * 64):
            self.ok("admin-token", "create", "--role", "viewer", "--name", name)
        self.ok("device", "add", "x" * 64)
        rows, _ = self.on_terminal("admin-token", "list", env={"NO_COLOR": "1"})
        self.assertIn("b" * 64, rows)
        self.assertEqual(len({line.index("viewer") for line in rows.splitlines()[1:]}), 1)
        self.assertIn("x" * 64 + "  yes", self.on_terminal("device", "list", env={"NO_COLOR": "1"})[0])
        self.assertEqual(self.ok("device", "list").split("\t")[0], "x" * 64)

    def test_what_steers_a_terminal_is_not_shown(self):
        shown = self.run_ctl("device", "add", "a\x1b[2J\u202eb").stderr
        self.assertIn("'a?[2J?b'", shown)
        self.assertIn("'Zo\u00eb'", self.run_ctl("device", "add", "Zo\u00eb").stderr)

    def test_a_name_that_is_no_text(self):
        self.ok("device", "add", "a")
        done = subprocess.run([CTL, "--data", self.data, "backup", "--json", os.path.join(os.fsencode(self.folder), b"\xff.db")],
                              capture_output=True, timeout=PATIENCE, env=ENV)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["file"], os.path.join(self.folder, "?.db"))

    def test_progress(self):
        self.ok("device", "add", "a")
        backup = os.path.join(self.folder, "b.db")
        shown, rc = self.on_terminal("backup", backup, streams=("stderr",))
        self.assertEqual(rc, 0)
        self.assertRegex(shown, r"\[#+\] 100% copying")
        self.assertIn("checking the copy", shown)
        for more in (["--quiet"], ["--json"]):
            shown, rc = self.on_terminal("backup", "--force", backup, *more, streams=("stderr",))
            self.assertEqual(rc, 0)
            self.assertNotIn("copying", shown)
        self.assertNotIn("copying", self.run_ctl("backup", "--force", backup).stderr)
        self.assertNotIn("copying", self.on_terminal("backup", "--force", backup, streams=("stderr",), env={"TERM": "dumb"})[0])
        csv = os.path.join(self.folder, "toys.csv")
        with open(csv, "w") as f:
            f.writelines(f"t-{i},{os.urandom(32).hex()}\n" for i in range(100))
        self.assertIn("importing", self.on_terminal("import", csv, streams=("stderr",))[0])
        self.assertIn("merging", self.on_terminal("restore", backup, streams=("stderr",))[0])
        self.assertIn("sealing anew", self.on_terminal("master-key", "rotate", streams=("stderr",))[0])


class Shells(Base):
    def bash(self, *words):
        """What bash offers for the last word, by the function that the script registers."""
        script = ('source "$1"; shift; read -r _ _ function _ < <(complete -p teddyctl); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
                  'COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; "$function"; printf "%s\\n" "${COMPREPLY[@]}"')
        path = os.path.join(self.folder, "completion.bash")
        if not os.path.exists(path):
            with open(path, "w") as f:
                f.write(self.ok("completion", "bash"))
        done = subprocess.run(["bash", "--norc", "-c", script, "-", path, "teddyctl", *words], text=True, capture_output=True,
                              timeout=PATIENCE, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return set(done.stdout.splitlines()) - {""}

    def test_bash(self):
        groups = {n.split()[0] for n in COMMANDS}
        self.assertEqual(self.bash(""), groups | {"help"})
        self.assertEqual(self.bash("de"), {"device"})
        for group in {n.split()[0] for n in COMMANDS if " " in n}:
            self.assertEqual(self.bash(group, ""), {n.split()[1] for n in COMMANDS if n.split()[0] == group})
        for name, c in COMMANDS.items():
            self.assertEqual(self.bash(*name.split(), "-"), set(GLOBALS) | {o["name"] for o in c["options"]}, name)
        self.assertEqual(self.bash("--data", "/x", "device", "re"), {"release", "revoke", "remove"})
        self.assertEqual(self.bash("help", "key", ""), {"list", "add", "retire"})
        self.assertEqual(self.bash("admin-token", "create", "--role", "o"), {"operator", "owner"})
        self.assertEqual(self.bash("device", "add", "x", "--secret", "in"), set())
        self.assertEqual(self.bash("completion", ""), {"bash", "zsh"})
        open(os.path.join(self.folder, "toys.csv"), "w").close()
        self.assertEqual(self.bash("import", "toy"), {"toys.csv"})
        self.assertEqual(self.bash("import", "--prefix", "a-", "toy"), {"toys.csv"})
        self.assertEqual(self.bash("device", "add", "--secret-file", "toy"), {"toys.csv"})
        for name in "two words.csv", "* $(touch made).csv":
            open(os.path.join(self.folder, name), "w").close()
        self.assertEqual(self.bash("import", "t"), {"toys.csv", "two words.csv"})
        self.assertEqual(self.bash("device", "add", "--secret-file", "*"), {"* $(touch made).csv"})
        self.assertNotIn("made", os.listdir(self.folder))
        # --data=/x are three words of bash's.
        self.assertEqual(self.bash("--data", "=", "/x", "device", "re"), {"release", "revoke", "remove"})
        self.assertEqual(self.bash("device", "add", "x", "--secret-file", "=", "tw"), {"two words.csv"})
        self.assertLess({"toys.csv"}, self.bash("device", "add", "x", "--secret-file", "="))

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh(self):
        """In a real zsh on a terminal: Tab, and what it has made of the line."""
        path = os.path.join(self.folder, "_teddyctl")
        with open(path, "w") as f:
            f.write(self.ok("completion", "zsh"))
        self.assertEqual(subprocess.run(["zsh", "-fn", path]).returncode, 0)
        master, slave = pty.openpty()
        zsh = subprocess.Popen(["zsh", "-fi"], stdin=slave, stdout=slave, stderr=slave, env=ENV | {"PS1": "> ", "ZDOTDIR": self.folder},
                               start_new_session=True, cwd=self.folder)
        os.close(slave)
        self.addCleanup(os.close, master)
        self.addCleanup(zsh.wait)
        self.addCleanup(zsh.kill)
        shown = b""

        def until(text):
            nonlocal shown
            while text not in shown:
                self.assertTrue(select.select([master], [], [], PATIENCE)[0], shown)
                shown += os.read(master, 65536)
            before, shown = shown.split(text, 1)
            return before

        os.write(master, b"fpath=($PWD $fpath); autoload -Uz compinit && compinit -u -D; "
                         b"show() { print -r -- \"=$((1))=$BUFFER=end\"; BUFFER=''; zle redisplay }; zle -N show; bindkey '^G' show; echo rea''dy\n")
        until(b"ready\r\n")
        for typed, becomes in (("teddyctl devi", "teddyctl device "), ("teddyctl device rot", "teddyctl device rotate-secret "),
                               ("teddyctl admin-token create --ro", "teddyctl admin-token create --role "),
                               ("teddyctl --data /x key ret", "teddyctl --data /x key retire "),
                               ("teddyctl device set a --processor ch", "teddyctl device set a --processor chat "),
                               ("teddyctl completion b", "teddyctl completion bash ")):
            with self.subTest(typed):
                os.write(master, typed.encode() + b"\t\x07")
                until(b"=1=")
                self.assertEqual(until(b"=end").decode(), becomes)


class Pages(Base):
    def test_every_page_is_well_formed(self):
        pages = {f"{name}.{n}": self.ok("man", name) for name, n in (("teddyctl", 1), ("teddyd", 8), ("teddyd.conf", 5))}
        for program in ("teddy-device", "teddy-sim"):
            path = os.path.join(BUILD, program)
            if os.path.exists(path):
                pages[f"{program}.1"] = subprocess.run([path, "--help-man"], text=True, capture_output=True, check=True, env=ENV).stdout
        for name, text in pages.items():
            with self.subTest(name):
                path = os.path.join(self.folder, name)
                with open(path, "w") as f:
                    f.write(text)
                if shutil.which("mandoc"):
                    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], text=True, capture_output=True)
                    self.assertEqual((done.stdout, done.stderr), ("", ""))
                for section in ("NAME", "DESCRIPTION", "SEE ALSO"):
                    self.assertIn(f"\n.SH {section}\n", text)
        for name, c in COMMANDS.items():
            self.assertIn(f"\n.SS {name.replace('-', chr(92) + '-')}", pages["teddyctl.1"])
        with open(os.path.join(os.environ["TEST_SOURCE"], "docs", "configuration.md")) as f:
            keys = re.findall(r"(?m)^\| `([a-z0-9_]+)` \|", f.read())
        self.assertGreater(len(keys), 50)
        self.assertEqual(re.findall(r"(?m)^\.TP\n\.B (\S+)$", pages["teddyd.conf.5"]), keys)
        again = self.ok("man", "teddyctl", env={"SOURCE_DATE_EPOCH": "86400"})
        self.assertIn(".TH TEDDYCTL 1 1970-01-02 ", again)


if __name__ == "__main__":
    unittest.main()
