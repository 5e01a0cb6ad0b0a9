"""teddy-sim against the real server: it survives what it may, and it finds what is lost or doubled."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import unittest

import harness
from harness import rounds
from late import Late
from simulator import OPEN, QUICK, Restarts, plain_server, register, sim

LINKS = ("cut", "stall", "slow", "truncate", "skew", "expiry", "reboot", "storage")


class Storm(unittest.TestCase):
    def test_all_faults_and_two_servers_killed(self):
        """300 toys (under a sanitizer 150), a third of them over TLS, to two servers that are killed in turn."""
        toys = rounds(300, 150)
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            # Tokens that the server lets expire meanwhile; ports to come back to.
            servers = [make(listen=f"127.0.0.1:{harness.lasting_port()}", access_ttl_s=12, downlink_queue_max=100)
                       for make in (plain_server, lambda **c: harness.Server(**{**OPEN, **c}))]
            for server in servers:
                stack.callback(server.close)
                register(server, folder, toys, 11)
            plain, tls = servers
            restarts = stack.enter_context(contextlib.closing(Restarts(folder, servers)))
            done = sim("--server", plain.url, "--devices", toys, "--tls", toys // 3, "--tls-server", tls.url, "--ca", tls.ca,
                       "--seed", 11, "--say", 6, "--rate", 120, "--down", 8, "--admin", plain.data, "--tls-admin",
                       tls.data, "--faults", "all,restart", "--restart-command", restarts.command, "--restarts", 4,
                       "--fault-rate", 40, "--duration", 20, "--json", *QUICK)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            report = json.loads(done.stdout)
            up, down = report["up"], report["down"]
            self.assertEqual((report["ok"], report["online"], report["strange"]), (True, toys, 0))
            self.assertEqual(report["tls_devices"], toys // 3)
            self.assertEqual(up["said"], 6 * toys)
            self.assertEqual(up["echoed"] + up["forgotten_at_reboot"], 6 * toys)
            self.assertEqual(down["posted"] + down["post_without_answer"], 8 * toys)
            self.assertGreaterEqual(down["received"], down["posted"])
            for way in (up, down):
                self.assertEqual((way["lost"], way["doubled"], way["out_of_order"]), (0, 0, 0))
            self.assertEqual((report["faults"]["restart"], restarts.count), (4, 4))
            for fault in LINKS:
                self.assertGreater(report["faults"][fault], 20, fault)
            self.assertGreater(report["reconnect_ms"]["count"], rounds(toys, toys // 2))  # each server went away twice; who was not there did not notice
            self.assertGreater(report["claims"], toys)
            self.assertGreater(report["refreshes"], 0)
            self.assertGreater(report["resumed"], toys // 3)
            self.assertGreater(report["bytes_per_toy"], 4000)


class Repeated(unittest.TestCase):
    def faults(self, seed):
        """Nobody listens there: what is drawn does not depend on the toys."""
        done = sim("--server", "http://127.0.0.1:1", "--devices", 50, "--seed", seed, "--say", 0, "--faults", "all",
                   "--fault-rate", 60, "--duration", 2, "--settle", 1, "--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        return json.loads(done.stdout)["faults"]

    def test_the_same_seed_makes_the_same_faults(self):
        first = self.faults(5)
        self.assertGreater(sum(first.values()), 90)
        self.assertEqual(self.faults(5), first)
        self.assertNotEqual(self.faults(6), first)


class Meddler:
    """Between toys and a plain server: hands each message of the server to `meddle`, which returns those to pass on."""

    def __init__(self, target_port, meddle):
        self.target_port, self.meddle = target_port, meddle
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def close(self):
        async def end():
            self.server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(harness.PATIENCE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(harness.PATIENCE)
        self.loop.close()

    async def _serve(self, reader, writer):
        out = up = None
        try:
            there, out = await asyncio.open_connection("127.0.0.1", self.target_port)
            up = asyncio.ensure_future(self._copy(reader, out))
            head = await there.readuntil(b"\r\n\r\n")
            writer.write(head)
            await (self._frames if b" 101 " in head.split(b"\r\n")[0] else self._copy)(there, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for stream in filter(None, (out, writer)):
                stream.close()
            if up:
                up.cancel()

    async def _copy(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)

    async def _frames(self, reader, writer):
        while True:
            first, length = await reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            payload = await reader.readexactly(length)
            passed = [payload]
            if first == 0x81:
                passed = [json.dumps(m).encode() for m in self.meddle(json.loads(payload))]
            for p in passed:
                size = bytes([len(p)]) if len(p) < 126 else b"\x7e" + len(p).to_bytes(2, "big")
                writer.write(bytes([first]) + size + p)


def posted(message):
    """`DEVICE NUMBER` of a message that the simulator posted for that toy."""
    return message["text"].split(" ", 2)[2] if message["type"] == "message" else None


class Found(unittest.TestCase):
    """What the simulator is for: a server (here: something between) that loses or doubles is found out."""

    @classmethod
    def setUpClass(cls):
        cls.server = plain_server()
        cls.folder = tempfile.TemporaryDirectory()
        register(cls.server, cls.folder.name, 5, 3)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.folder.cleanup()

    def run_through(self, meddle, *args):
        with contextlib.closing(Meddler(self.server.port, meddle)) as between:
            done = sim("--server", between.url, "--devices", 5, "--seed", 3, "--json", "--settle", 4, *args, *QUICK)
        return done, json.loads(done.stdout)

    def test_an_honest_middle_is_not_suspected(self):
        done, report = self.run_through(lambda m: [m], "--say", 3, "--down", 2, "--admin", self.server.data)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual((report["up"]["echoed"], report["down"]["received"]), (15, 10))

    def test_an_echo_that_never_comes_is_a_loss(self):
        done, report = self.run_through(lambda m: [] if m["type"] == "echo" and m["text"] == "sim-000002 2" else [m],
                                        "--say", 3)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual((report["ok"], report["up"]["lost"], report["up"]["echoed"]), (False, 1, 14))
        self.assertIn("lost 1 up", done.stderr)

    def test_an_echo_of_something_else_is_not_taken_for_it(self):
        done, report = self.run_through(
            lambda m: [{**m, "text": "sim-000003 1"}] if m.get("text") == "sim-000003 0" else [m], "--say", 2)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual((report["up"]["lost"], report["up"]["echoed"]), (1, 9))
        self.assertEqual(report["up"]["doubled"] + report["strange"], 1)

    def test_a_message_that_never_comes_is_a_loss(self):
        done, report = self.run_through(lambda m: [] if posted(m) == "sim-000004 0" else [m],
                                        "--say", 0, "--down", 3, "--admin", self.server.data)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual((report["down"]["posted"], report["down"]["received"], report["down"]["lost"]), (15, 14, 1))

    def test_a_message_under_two_ids_is_doubled(self):
        def twice(m):
            if posted(m) != "sim-000005 1":
                return [m]
            epoch, n = m["id"].split(".")
            return [m, {**m, "id": f"{epoch}.{int(n) + 1}"}]
        done, report = self.run_through(twice, "--say", 0, "--down", 2, "--admin", self.server.data)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual((report["down"]["lost"], report["down"]["doubled"]), (0, 1))

    def test_messages_that_change_places_are_out_of_order(self):
        other = {"sim-000001 0": "1", "sim-000001 1": "0"}
        done, report = self.run_through(
            lambda m: [{**m, "text": m["text"][:-1] + other.get(posted(m), m["text"][-1])}] if posted(m) else [m],
            "--say", 0, "--down", 2, "--admin", self.server.data)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(report["down"], {**report["down"], "lost": 0, "doubled": 0, "out_of_order": 1})

    def test_a_server_that_went_for_good(self):
        server = plain_server()
        self.addCleanup(server.close)
        register(server, self.folder.name, 5, 3)
        seen = threading.Event()
        with contextlib.closing(Meddler(server.port, lambda m: [m] if m["type"] != "echo" else seen.set() or [m])) as b:
            killer = threading.Thread(target=lambda: seen.wait(harness.PATIENCE) and server.kill())
            killer.start()
            done = sim("--server", b.url, "--devices", 5, "--seed", 3, "--say", 8, "--rate", 20, "--settle", 2,
                       "--json", *QUICK)
            killer.join()
        self.assertEqual(done.returncode, 1, done.stdout)
        report = json.loads(done.stdout)
        self.assertEqual((report["settled"], report["online"]), (False, 0))
        self.assertGreater(report["up"]["lost"], 0)
        self.assertIn("not online 5", done.stderr)


class Revoked(unittest.TestCase):
    """Why a toy lost its tokens: by a claim of its own that it had given up, or by somebody else."""

    def lost(self, way, url, lose):
        """Runs one toy, and `lose` when it is online; its figures once it has claimed anew."""
        with tempfile.TemporaryDirectory() as folder:
            register(self.server, folder, 1, 5)
        process = subprocess.Popen(
            [harness.program("teddy-sim"), "--server", url, "--ca", self.server.ca, "--devices", "1", "--seed", "5",
             "--duration", "3600", "--progress", "--json", *QUICK, *way], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        out, err = harness.Output(process.stdout), harness.Output(process.stderr)
        err.wait("online 1/1  claims 1 ")
        lose()
        err.wait("online 1/1  claims 2 ")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(harness.PATIENCE), 0, err.text())
        for output, stream in ((out, process.stdout), (err, process.stderr)):
            output.thread.join()
            stream.close()
        report = json.loads(out.text())
        return report["overtaken_by_own_claim"], report["revoked_by_others"]

    def setUp(self):
        self.server = harness.Server(**OPEN)
        self.addCleanup(self.server.close)

    def test_by_a_claim_that_it_had_given_up(self):
        network = Late(self.server)
        self.addCleanup(network.close)
        self.assertEqual(self.lost(["--step-timeout-ms", "3000"], network.url, network.deliver), (1, 0))

    def test_by_others(self):
        self.assertEqual(self.lost([], self.server.url, lambda: self.server.ctl("token", "revoke", "sim-000001")), (0, 1))


class CommandLine(unittest.TestCase):
    def test_wrong_usage(self):
        for args in ([], ["--server", "https://x"], ["--server", "http://example.org", "--seed", "1"],
                     ["--server", "https://x", "--seed", "1", "--faults", "flood"],
                     ["--server", "https://x", "--seed", "1", "--faults", "restart"],
                     ["--server", "https://x", "--seed", "1", "--devices", "0"],
                     ["--server", "https://x", "--seed", "1", "--secrets", "f"],
                     ["--server", "https://x", "--seed", "1", "--tls", "5"],
                     ["--server", "https://x", "--seed", "1", "--down", "1"],
                     ["--write-csv", "f"], ["--nonsense"], ["more"]):
            done = sim(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertIn("--help", done.stderr)

    def test_interrupted_twice(self):
        process = subprocess.Popen([harness.program("teddy-sim"), "--server", "http://127.0.0.1:9", "--devices", "1", "--seed", "1", "--duration",
                                    "3600", "--progress", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        out, err = harness.Output(process.stdout), harness.Output(process.stderr)
        for phase in "talk", "settle":
            err.wait(f" s {phase} ")
            process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(harness.PATIENCE), -signal.SIGINT)
        for output, stream in ((out, process.stdout), (err, process.stderr)):
            output.thread.join()
            stream.close()
        self.assertFalse(json.loads(out.text())["ok"])

    def test_help_names_every_fault_and_shows_an_example(self):
        done = sim("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("teddyctl --data DIR import toys.csv", done.stdout)
        for fault in (*LINKS, "restart"):
            self.assertRegex(done.stdout, rf"\b{fault}\b")

    def test_the_csv_is_private_and_follows_from_the_seed(self):
        with tempfile.TemporaryDirectory() as folder:
            texts = []
            for i, seed in enumerate((1, 1, 2)):
                path = os.path.join(folder, f"{i}.csv")
                done = sim("--devices", 20, "--seed", seed, "--prefix", "p", "--write-csv", path)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                with open(path) as f:
                    texts.append(f.read())
            self.assertEqual(texts[0], texts[1])
            self.assertNotEqual(texts[0], texts[2])
            lines = texts[0].splitlines()
            self.assertEqual((len(lines), lines[0]), (21, "device_id,oob_secret"))
            self.assertTrue(all(re.fullmatch(r"p-0000\d\d,[0-9a-f]{64}", line) for line in lines[1:]))
            self.assertEqual(len({line.split(",")[1] for line in lines[1:]}), 20)

    def test_secrets_of_a_registry(self):
        server = plain_server()
        self.addCleanup(server.close)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "toys.csv")
            toys = [server.add(f"toy-{i}") for i in range(3)]
            with open(path, "w") as f:
                f.writelines(f"{t.device_id},{t.secret}\n" for t in toys)
            done = sim("--server", server.url, "--devices", 3, "--secrets", path, "--json")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(json.loads(done.stdout)["up"]["echoed"], 3)
            self.assertEqual(sim("--server", server.url, "--devices", 4, "--secrets", path).returncode, 1)


if __name__ == "__main__":
    harness.main()
