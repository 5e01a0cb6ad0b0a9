"""What packages hold: the bill of materials against what a running server has mapped, and the container's files, run as a container runs
them: nothing else there, nothing to write to but /data, a user without a name or a capability."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import BUILD, PATIENCE, SANITIZED, Output, Server, main, own_mounts, program

SOURCE = os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../.."))
UID = 64999


@unittest.skipIf(SANITIZED, "what is shipped is not sanitized")
class Reproducible(unittest.TestCase):
    def test_no_program_names_a_directory_of_this_machine(self):
        """What else two builds could differ in, make reproducible looks for; it takes minutes."""
        for name in "teddyd", "teddyctl", "teddy-device", "teddy-sim":
            with open(program(name), "rb") as f:
                content = f.read()
            for directory in SOURCE, BUILD:
                self.assertNotIn(os.path.realpath(directory).encode() + b"/", content, name)


@unittest.skipIf(SANITIZED, "what is shipped is not sanitized")
@unittest.skipUnless(shutil.which("dpkg-query"), "this is not Debian")
class Materials(unittest.TestCase):
    def bill(self, *programs):
        done = subprocess.run([os.path.join(SOURCE, "scripts/sbom"), *map(program, programs)], text=True, capture_output=True,
                              env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_it_names_what_a_running_server_has_mapped(self):
        text = self.bill("teddyd", "teddy-device")
        self.assertEqual(text, self.bill("teddyd", "teddy-device"))
        bom = json.loads(text)
        self.assertEqual((bom["bomFormat"], bom["specVersion"]), ("CycloneDX", "1.5"))
        listed = {p["value"].split(" ")[0]: part for part in bom["components"] for p in part.get("properties", ())
                  if p["name"] == "teddy:file"}
        server = Server()
        self.addCleanup(server.close)
        with open(f"/proc/{server.process.pid}/maps") as f:
            mapped = set(re.findall(r"(/\S+\.so\S*)", f.read()))
        self.assertGreater(len(mapped), 5)
        self.assertEqual(mapped - set(listed), set())
        shown = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}\n"], text=True, capture_output=True).stdout
        installed = set(shown.splitlines())
        for part in listed.values():
            self.assertIn(f"{part['name']} {part['version']}", installed)
            self.assertTrue(part["purl"].startswith(f"pkg:deb/debian/{part['name']}@"))
        refs = [part["bom-ref"] for part in bom["components"]] + [bom["metadata"]["component"]["bom-ref"]]
        self.assertEqual(len(refs), len(set(refs)))
        for edge in bom["dependencies"]:
            self.assertEqual({edge["ref"], *edge["dependsOn"]} - set(refs), set())
        self.check_embedded(bom)

    def check_embedded(self, bom):
        """With its licence, in the program that holds it; and nothing of the tests."""
        found = [part for part in bom["components"] if part.get("purl", "").startswith("pkg:npm/")]
        if not os.path.isdir(os.path.join(BUILD, "server/console/npm/node_modules/uplot")):
            return self.assertEqual(found, [], "built without: npm had no registry")
        with open(os.path.join(SOURCE, "console/package-lock.json")) as f:
            locked = json.load(f)["packages"]["node_modules/uplot"]
        self.assertEqual([(p["purl"], p["licenses"]) for p in found],
                         [(f"pkg:npm/uplot@{locked['version']}", [{"expression": locked["license"]}])])
        holders = [edge["ref"] for edge in bom["dependencies"] if found[0]["bom-ref"] in edge["dependsOn"]]
        self.assertEqual(holders, ["teddyd"])


class Declared(unittest.TestCase):
    def read(self, name):
        with open(os.path.join(SOURCE, name)) as f:
            return f.read()

    def test_the_package_is_built_with_what_make_build_installs(self):
        installed = re.search(r"(?m)^build=\(([^)]*)\)", self.read("scripts/deps"))[1].split()
        wanted = re.search(r"(?m)^Build-Depends:((?:.*\n)(?: .*\n)*)", self.read("packaging/debian/control"))[1]
        wanted = set(re.findall(r"[a-z][a-z0-9.+-]+", wanted)) | {"gcc", "libc6-dev", "ca-certificates"} # of every Debian that builds
        self.assertEqual(set(installed) - wanted, set())

    def test_make_alone_lists_every_target(self):
        there = re.search(r"(?m)^\.PHONY:((?:.*\\\n)*.*)$", self.read("Makefile"))[1].replace("\\", "").split()
        done = subprocess.run(["make", "--no-print-directory", "-C", SOURCE], text=True, stdout=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(sorted(re.findall(r"(?m)^  make (\S+) ", done.stdout)),
                         sorted(t for t in there if not t.startswith("deps-") and t != "bench-programs"))

    def test_a_unit_names_documents_that_the_package_has(self):
        named = re.search(r"(?m)^Documentation=(.*)$", self.read("packaging/systemd/teddyd.service"))[1].split()
        pages = self.read("packaging/debian/teddyd.manpages").split()
        documents = self.read("packaging/debian/teddyd.docs").split()
        for name in named:
            page = re.fullmatch(r"man:(\S+)\((\d)\)", name)
            if page:
                self.assertIn(f"build-deb/manual/{page[1]}.{page[2]}", pages)
            else: # debhelper compresses what has over 4 KiB
                self.assertIn(re.fullmatch(r"file:///usr/share/doc/teddyd/(\S+)\.gz", name)[1], map(os.path.basename, documents))
        self.assertGreater(len(named), 1)
        for document in documents:
            self.assertTrue(os.path.exists(os.path.join(SOURCE, document)), document)


@unittest.skipIf(SANITIZED, "what is shipped is not sanitized")
@unittest.skipUnless(own_mounts(), "needs root, for mounts of its own")
class Container(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="teddy-container-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        self.root, self.data = self.dir + "/root", self.dir + "/data"
        os.mkdir(self.data, 0o700)
        os.chown(self.data, UID, UID)
        subprocess.run([os.path.join(SOURCE, "packaging/container/rootfs"), BUILD, self.root], check=True, timeout=PATIENCE)

    def inside(self, *command):
        """The command that runs this one as a container does."""
        mounts = (f"mount --bind {self.root} {self.root} && mount --bind {self.data} {self.root}/data && "
                  f"mount -o remount,bind,ro {self.root} && ")
        enter = f'exec chroot --userspec={UID}:{UID} --groups= {self.root} "$@"'
        return ["unshare", "--mount", "sh", "-c", mounts + enter, "sh", *command]

    def test_it_runs(self):
        process = subprocess.Popen(self.inside("/usr/bin/teddyd", "--listen", "127.0.0.1:0"), stdin=subprocess.DEVNULL,
                                   env={"STATE_DIRECTORY": "/data"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, log = Output(process.stdout), Output(process.stderr)
            out.wait(r"^ready https://127.0.0.1:\d+$")
            for command in ("status",), ("device", "add", "bear-1"):
                done = subprocess.run(self.inside("/usr/bin/teddyctl", *command), env={"STATE_DIRECTORY": "/data"}, text=True,
                                      capture_output=True, timeout=PATIENCE)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual({os.stat(os.path.join(self.data, f)).st_uid for f in os.listdir(self.data)}, {UID})
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 0, log.text())
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def test_time_zones_are_there(self):
        zones = self.root + "/usr/share/zoneinfo"
        with open(zones + "/Europe/Berlin", "rb") as f:
            self.assertEqual(f.read(4), b"TZif")
        links = [os.path.join(d, f) for d, _, files in os.walk(zones) for f in files if os.path.islink(os.path.join(d, f))]
        self.assertEqual([x for x in links if os.path.isabs(os.readlink(x)) or not os.path.exists(x)], [])

    def test_nothing_else_is_there(self):
        found = {os.path.relpath(os.path.join(d, f), self.root) for d, _, files in os.walk(self.root) for f in files}
        others = {f for f in found if not re.search(r"\.so(\.|$)|^usr/share/zoneinfo/", f)}
        self.assertEqual(others, {"usr/bin/teddyd", "usr/bin/teddyctl", "etc/passwd", "etc/group", "etc/nsswitch.conf",
                                  "etc/ssl/openssl.cnf", "etc/ssl/certs/ca-certificates.crt"})


if __name__ == "__main__":
    main()
