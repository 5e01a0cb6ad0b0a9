"""teddyctl doctor: each thing is made wrong for real, found, and mended by the command that it names, where a test may run it.

Where teddyctl and teddyd are comes as the first two arguments."""

import fcntl
import json
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

CTL, SERVER = sys.argv[1:3]
del sys.argv[1:3]
PATIENCE = 60
ENV = {k: v for k, v in os.environ.items()
       if not k.startswith("TEDDY_") and k not in ("PORT", "STATE_DIRECTORY", "XDG_DATA_HOME")}
ROOT = os.geteuid() == 0


def certificate(folder, name, days=90, san="DNS:toys.example"):
    """PEM files of a certificate of its own; days -1: it has expired."""
    asked, cert, own = (os.path.join(folder, f"{name}.{end}") for end in ("csr", "crt", "key"))
    more = ["-addext", f"subjectAltName={san}"] if san else []
    for command in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", own, "-out", asked,
                     "-subj", "/CN=toys", *more],
                    ["x509", "-req", "-in", asked, "-signkey", own, "-days", str(days), "-copy_extensions", "copy", "-out", cert]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    os.chmod(own, 0o600)
    return cert, own


class Doctor(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.data = os.path.join(self.folder, "data")
        self.db = os.path.join(self.data, "teddy.db")
        self.conf = os.path.join(self.folder, "teddy.conf")
        self.set(listen="127.0.0.1:0")

    def set(self, **keys):
        with open(self.conf, "w") as f:
            f.writelines(f"{k} = {v}\n" for k, v in keys.items())

    def ctl(self, *args, env=None, program=CTL, **more):
        return subprocess.run([program, "--data", self.data, *args], text=True, capture_output=True, timeout=PATIENCE, env=ENV | (env or {}), **more)

    def make(self):
        self.assertEqual(self.ctl("device", "add", "toy").returncode, 0)

    def doctor(self, **more):
        """What it finds."""
        done = self.ctl("doctor", "--json", "--config", self.conf, **more)
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if report["wrong"] else 0, done.stderr)
        self.assertEqual(report["wrong"], sum(f["finding"] == "wrong" for f in report["findings"]))
        for f in report["findings"]:
            self.assertEqual(f["mend"] is None, f["finding"] == "ok", f)
        return report["findings"]

    def finds(self, finding, area, what, **more):
        """The command that mends it. What is not as it should be is also said in words, with the exit status."""
        all_of_it = self.doctor(**more)
        found = [f for f in all_of_it if f["area"] == area and what in f["what"]]
        self.assertEqual([f["finding"] for f in found], [finding], all_of_it)
        if finding != "ok":
            said = self.ctl("doctor", "--config", self.conf, **more)
            self.assertEqual(said.returncode, 1 if "wrong" in [f["finding"] for f in all_of_it] else 0)
            self.assertIn(what, said.stdout)
            self.assertIn(f"mend: {found[0]['mend']}", said.stdout)
        return found[0]["mend"]

    def mend(self, command):
        done = subprocess.run(["bash", "-c", command], text=True, capture_output=True, timeout=PATIENCE, env=ENV)
        self.assertEqual(done.returncode, 0, (command, done.stderr))

    def serve(self, *args, preexec_fn=None):
        server = subprocess.Popen([SERVER, "--config", self.conf, "--data", self.data, "--loops", "1", *args], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, env=ENV, preexec_fn=preexec_fn)

        def stop():
            server.kill()
            server.wait()
            server.stdout.close()
        self.addCleanup(stop)
        self.assertRegex(server.stdout.readline(), "^ready ")
        return server

    def test_all_is_well(self):
        self.make()
        self.assertEqual(self.ctl("backup", os.path.join(self.folder, "b.db")).returncode, 0)
        self.serve()
        findings = self.doctor()
        self.assertEqual([f for f in findings if f["finding"] == "wrong"], [])
        self.assertEqual({f["area"] for f in findings}, {"configuration", "data", "limits", "clock", "disk", "files", "database", "certificate", "ports"})
        self.assertNotIn("doctor.probe", os.listdir(self.data))

    def test_configuration(self):
        self.set(listen="127.0.0.1:0", datta="x")
        self.assertEqual(self.finds("wrong", "configuration", "unknown key 'datta'; did you mean 'data'"), f"${{EDITOR:-vi}} +2 {self.conf}")
        self.set(listen="127.0.0.1:0")
        self.assertEqual(self.finds("wrong", "configuration", "TEDDY_LISTENN", env={"TEDDY_LISTENN": "x"}), "unset TEDDY_LISTENN")
        self.finds("ok", "configuration", "is good")
        self.set(listen="0.0.0.0:0", tls="off", trusted_proxies="10.0.0.0/8", metrics_listen="0.0.0.0:0", echo_route="on")
        self.assertIn("--listen 127.0.0.1:8443", self.finds("warning", "configuration", "without TLS"))
        self.finds("warning", "configuration", "metrics are served")
        self.assertIn("--echo-route off", self.finds("warning", "configuration", "echo_route"))

    def test_data(self):
        self.finds("warning", "data", "No such file")
        self.make()
        os.chmod(self.data, 0o777)
        self.mend(self.finds("wrong", "data", "may be written by everybody"))
        self.finds("ok", "data", "no server runs on it")

    def test_limits(self):
        self.make()
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))  # noqa: E731
        self.assertIn("ulimit -n 18128", self.finds("warning", "limits", "may open 256 files", preexec_fn=few))
        self.serve(preexec_fn=few)
        self.assertIn("LimitNOFILE=18128", self.finds("wrong", "limits", "the server may open 256 files, and connections_max = 16000 needs 18128"))
        self.set(listen="127.0.0.1:0", connections_max=64)
        self.finds("ok", "limits", "256 open files are allowed")

    @unittest.skipUnless(ROOT and subprocess.run(["unshare", "-n", "sh", "-c", "echo 4096 >/proc/sys/net/core/somaxconn"], capture_output=True).returncode == 0,
                         "no network of its own")
    def test_backlog(self):
        """In a network of its own, which the command then mends."""
        script = 'echo 16 >/proc/sys/net/core/somaxconn; "$@"; echo 4096 >/proc/sys/net/core/somaxconn; "$@"'
        done = subprocess.run(["unshare", "-n", "sh", "-c", script, "-", CTL, "doctor", "--config", self.conf, "--data", self.data],
                              text=True, capture_output=True, timeout=PATIENCE, env=ENV)
        self.assertIn("net.core.somaxconn is 16", done.stdout)
        self.assertIn("mend: sysctl -w net.core.somaxconn=4096", done.stdout)
        self.assertIn("4096 connections may wait", done.stdout)

    def test_clock(self):
        self.make()
        ahead = time.time() + 7200
        os.utime(self.db, (ahead, ahead))
        self.assertIn("timedatectl set-ntp true", self.finds("wrong", "clock", "the clock is behind"))
        os.utime(self.db)
        self.assertNotIn("wrong", [f["finding"] for f in self.doctor() if f["area"] == "clock"])

    @unittest.skipUnless(os.path.ismount("/dev/shm"), "no file system in memory")
    def test_disk_in_memory(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            self.data = os.path.join(folder, "data")
            self.make()
            self.assertIn(f"cp -a {self.data} /var/lib/teddy", self.finds("wrong", "disk", "is in memory (tmpfs)"))

    @unittest.skipUnless(ROOT and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0,
                         "no mounts of its own")
    def test_disk_full_and_read_only(self):
        script = ('mkdir -p "$1" && mount -t tmpfs -o size=8m,mode=700 none "$1" && shift && "$@"; mount -o remount,ro "$DATA"; "$@"; '
                  'mount -o remount,rw $(findmnt -no TARGET -T "$DATA"); "$@"')
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "-", self.data, CTL, "doctor", "--config", self.conf, "--data", self.data],
                              text=True, capture_output=True, timeout=PATIENCE, env=ENV | {"DATA": self.data})
        self.assertRegex(done.stdout, r"wrong +disk +8 of 8 MB are free")
        self.assertEqual(done.stdout.count("cannot be written: Read-only file system"), 1, done.stdout)
        self.assertIn(f"mend: mount -o remount,rw $(findmnt -no TARGET -T {self.data})", done.stdout)

    @unittest.skipUnless(ROOT and subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w && "
                         "mount -t overlay -o lowerdir=/mnt,upperdir=/mnt/u,workdir=/mnt/w none /mnt"], capture_output=True).returncode == 0,
                         "no mounts of its own")
    def test_disk_of_a_container(self):
        script = ('mkdir -p "$DATA" && mount -t tmpfs none "$DATA" && cd "$DATA" && mkdir l u w data && chmod 700 data && '
                  'mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none data && chmod 700 data && "$@"')
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "-", CTL, "doctor", "--config", self.conf, "--data", self.data + "/data"],
                              text=True, capture_output=True, timeout=PATIENCE, env=ENV | {"DATA": self.data})
        self.assertRegex(done.stdout, r"warning +disk +.*/data is in a container's own layer \(overlay\)")
        self.assertIn("mend: podman run -v teddy-data:/data", done.stdout)
        self.assertNotIn("tmpfs", done.stdout)

    def test_files(self):
        self.make()
        key = os.path.join(self.data, "jwt-keys.json")
        self.assertEqual(self.ctl("key", "add").returncode, 0)
        os.chmod(key, 0o644)
        os.chmod(self.data, 0o755)
        self.mend(self.finds("warning", "files", f"{self.data} is open to other users"))
        self.mend(self.finds("wrong", "files", "1 file is open to other users, and holds secrets"))
        self.finds("ok", "files", "every file is its owner's alone")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        kept = self.db + ".before-20260101T000000Z"
        shutil.copy(self.db, kept)
        os.chmod(kept, 0o600)
        self.mend(self.finds("warning", "files", "is the database before a restore"))
        self.assertFalse(os.path.exists(kept))

    def test_names_are_no_commands(self):
        """Who owns the data directory names its files, and root runs what doctor says."""
        self.data = os.path.join(self.folder, "it's $(touch here) data")
        self.make()
        kept = os.path.join(self.data, "teddy.db.before-$(touch there);'\"&")
        open(kept, "w").close()
        os.chmod(kept, 0o644)
        os.chmod(self.data, 0o755)
        with open(self.conf, "w") as f:
            f.write("listen = 127.0.0.1:0\n")
        here = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, here)
        self.mend(self.finds("warning", "files", f"{self.data} is open to other users"))
        self.mend(self.finds("wrong", "files", "1 file is open to other users"))
        self.assertEqual(os.stat(kept).st_mode & 0o777, 0o600)
        self.mend(self.finds("warning", "files", "is the database before a restore"))
        self.assertFalse(os.path.exists(kept))
        self.assertEqual(sorted(os.listdir(self.folder)), sorted([os.path.basename(self.data), "teddy.conf"]))
        open(os.path.join(self.data, "teddy.db.before-\x1b[2J\n"), "w").close()
        said = self.ctl("doctor", "--config", self.conf).stdout
        self.assertNotIn("\x1b", said)
        self.assertIn("before-?[2J?", said)
        self.assertIn("mend: rm …", said)

    @unittest.skipUnless(ROOT, "only root can be another user")
    def test_who_may_not_look_is_told_who_may(self):
        """And nobody is told to remove what he cannot read, or that nothing is there."""
        os.chmod(self.folder, 0o755)
        self.make()
        self.serve()
        os.chmod(self.conf, 0o644)
        anybodys = shutil.copy(CTL, self.folder)  # the build may lie in a home
        findings = self.doctor(program=anybodys, user=65534, group=65534, extra_groups=[], cwd="/")
        self.assertNotIn("there is none yet; the server makes it", [f["what"] for f in findings])
        self.assertNotRegex(json.dumps(findings), "no server runs|rm |findmnt")
        for area in "data", "disk", "files", "database", "certificate":
            self.assertIn("sudo teddyctl doctor", [f["mend"] for f in findings if f["area"] == area], area)

    def test_development_certificate(self):
        """The server keeps one that is good for two weeks: what is said makes a new one."""
        self.make()
        self.serve().kill()
        cert, key = certificate(self.folder, "soon", days=16)
        shutil.copy(cert, os.path.join(self.data, "server.crt"))
        shutil.copy(key, os.path.join(self.data, "server.key"))
        mend = self.finds("warning", "certificate", "it expires in 1")  # 16, or 15 a second later
        self.mend(mend.split("&&")[0])
        server = self.serve()
        self.finds("ok", "certificate", "days more")
        server.kill()

    @unittest.skipUnless(ROOT, "only root has files of others")
    def test_foreign_files(self):
        os.chmod(self.folder, 0o755)
        os.mkdir(self.data, 0o700)
        os.chown(self.data, 65534, 65534)
        self.make()
        os.chown(self.db, 0, 0)
        self.mend(self.finds("wrong", "files", "1 file is not the directory's owner's"))
        self.assertEqual(os.stat(self.db).st_uid, 65534)
        self.finds("ok", "files", "every file")
        self.assertEqual({os.stat(os.path.join(self.data, n)).st_uid for n in os.listdir(self.data)}, {65534})
        os.rename(os.path.join(self.data, "master.key"), os.path.join(self.folder, "master.key"))
        mend = self.finds("wrong", "database", "the master key is missing")
        self.mend(mend.replace("/backup/master.key", os.path.join(self.folder, "master.key")))
        self.finds("ok", "database", "is the one that the secrets are sealed under")
        self.finds("ok", "files", "every file")

    def test_database(self):
        self.make()
        with sqlite3.connect(self.db) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("PRAGMA user_version = 99")
        self.finds("wrong", "database", "newer")
        with sqlite3.connect(self.db) as db:
            db.execute(f"PRAGMA user_version = {version}")
        self.finds("ok", "database", f"whole; schema {version}, 1 devices")
        backup = os.path.join(self.folder, "b.db")
        self.finds("warning", "database", "no backup was made yet")
        self.assertEqual(self.ctl("backup", backup).returncode, 0)
        self.finds("ok", "database", "the last backup is of 20")
        note = os.path.join(self.data, "last-backup.json")
        with open(note) as f:
            old = json.load(f)
        with open(note, "w") as f:
            json.dump(old | {"made_s": old["made_s"] - 30 * 86400}, f)
        self.assertIn(f"teddyctl --data {self.data} backup /backup/teddy-$(date +%F).db", self.finds("warning", "database", "the last backup is of 20"))
        size = os.path.getsize(self.db)
        with open(self.db, "r+b") as f:
            f.seek(size // 2)
            f.write(b"\xff" * 8192)
        mend = self.finds("wrong", "database", "teddy.db")
        self.assertIn("restore --lost", mend)
        self.mend(f"{CTL} --data {self.data} restore --lost {backup}")
        self.finds("ok", "database", "whole")

    def test_large_log(self):
        self.make()
        with open(self.db + "-wal", "wb") as f:
            f.truncate(300 << 20)
        os.chmod(self.db + "-wal", 0o600)
        held = sqlite3.connect(self.db)  # or who looks last would fold it back, and remove it
        held.execute("SELECT count(*) FROM device").fetchone()
        with open(self.db + "-wal", "r+b") as f:
            f.truncate(300 << 20)
        self.finds("warning", "database", "has 315 MB")
        held.close()

    def test_master_key(self):
        self.make()
        key, kept = os.path.join(self.data, "master.key"), os.path.join(self.folder, "master.key")
        os.rename(key, kept)
        mend = self.finds("wrong", "database", "the master key is missing")
        self.assertEqual(mend.split("   #")[0], f"install -o {os.getuid()} -g {os.getgid()} -m 600 /backup/master.key {key}")
        with open(key, "w") as f:
            f.write("12" * 32 + "\n")
        os.chmod(key, 0o600)
        self.finds("wrong", "database", "the master key does not fit")
        self.mend(mend.replace("/backup/master.key", kept))
        self.finds("ok", "database", "is the one that the secrets are sealed under")
        os.chmod(key, 0o644)
        self.finds("wrong", "database", "master key:")

    def test_certificate(self):
        self.make()
        self.finds("warning", "certificate", "none is configured")
        cert, key = certificate(self.folder, "good")
        self.set(listen="127.0.0.1:0", tls_cert=cert, tls_key=key)
        self.finds("ok", "certificate", "is for toys.example")
        self.finds("ok", "certificate", "days more")
        os.chmod(key, 0o644)
        self.mend(self.finds("wrong", "certificate", "may be read by other users (mode 644)"))
        self.assertNotIn("wrong", [f["finding"] for f in self.doctor() if f["area"] == "certificate"])
        other, other_key = certificate(self.folder, "other")
        self.set(listen="127.0.0.1:0", tls_cert=cert, tls_key=other_key)
        self.assertIn(f"openssl x509 -in {cert}", self.finds("wrong", "certificate", "key"))
        soon, soon_key = certificate(self.folder, "soon", days=5)
        self.set(listen="127.0.0.1:0", tls_cert=soon, tls_key=soon_key)
        self.assertIn("certbot renew", self.finds("warning", "certificate", "it expires in"))
        old, old_key = certificate(self.folder, "old", days=-1)
        self.set(listen="127.0.0.1:0", tls_cert=old, tls_key=old_key)
        self.assertEqual(self.finds("wrong", "certificate", "expired on 20"), "certbot renew && systemctl reload teddyd")
        nameless, nameless_key = certificate(self.folder, "nameless", san=None)
        self.set(listen="127.0.0.1:0", tls_cert=nameless, tls_key=nameless_key)
        self.finds("wrong", "certificate", "names no host")
        with open(cert, "w") as f:
            f.write("no certificate\n")
        self.set(listen="127.0.0.1:0", tls_cert=cert, tls_key=key)
        self.finds("wrong", "certificate", cert)

    @unittest.skipUnless(ROOT, "only root can be another user")
    def test_key_that_the_server_cannot_read(self):
        os.chmod(self.folder, 0o755)
        os.mkdir(self.data, 0o700)
        os.chown(self.data, 65534, 65534)
        self.make()
        cert, key = certificate(self.folder, "good")
        self.set(listen="127.0.0.1:0", tls_cert=cert, tls_key=key)
        mend = self.finds("wrong", "certificate", "cannot be read by the server's user (uid 65534)")
        self.mend(mend.replace("chgrp GROUP", "chgrp 65534"))
        self.assertNotIn("cannot be read", self.ctl("doctor", "--config", self.conf).stdout)

    def test_ports(self):
        self.make()
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", 0))
            s.listen()
            address = "127.0.0.1:%d" % s.getsockname()[1]
            self.set(listen=address)
            self.assertIn(f"kill {os.getpid()}", self.finds("wrong", "ports", f"listen {address} is held by process {os.getpid()} (python3"))
        self.finds("ok", "ports", f"listen {address} is free")
        server = self.serve()
        self.finds("ok", "ports", f"listen {address} is the server's")
        self.finds("ok", "ports", "the admin socket answers")
        server.kill()
        server.wait()
        self.finds("ok", "ports", f"listen {address} is free")
        self.set(listen="192.0.2.1:8443")
        self.assertIn("ip address show", self.finds("wrong", "ports", "listen 192.0.2.1:8443: Cannot assign"))

    def test_server_that_does_not_answer(self):
        self.make()
        with open(os.path.join(self.data, "lock"), "r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.finds("wrong", "ports", "the admin socket does not answer")
        self.assertNotIn("does not answer", self.ctl("doctor", "--config", self.conf).stdout)


if __name__ == "__main__":
    unittest.main()
