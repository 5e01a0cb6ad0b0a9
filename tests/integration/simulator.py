"""What tests do with teddy-sim: run it, register its toys, and kill servers when it asks for that."""

import os
import subprocess
import threading

import harness

QUICK = ["--backoff-floor-ms", "50", "--backoff-base-ms", "200", "--backoff-cap-ms", "2000", "--backoff-refused-ms",
         "3000", "--step-timeout-ms", "8000", "--echo-timeout-ms", "1000"]
OPEN = {"claims_per_device_min": 0, "refreshes_per_device_min": 0, "claim_failures_per_address_min": 0,
        "refresh_failures_per_address_min": 0, "upgrade_refusals_per_address_min": 0, "messages_per_s": 0,
        "retry_min_ms": 100, "retry_max_ms": 1000, "log_level": "warn"}


def sim(*args, timeout=6 * harness.PATIENCE):
    return subprocess.run([harness.program("teddy-sim"), *map(str, args)], text=True, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=timeout)


def plain_server(**config):
    """Without TLS, as behind a balancer of one's own."""
    server = harness.Server(start=False, **{**OPEN, **config})
    arguments = server.arguments
    server.arguments = lambda: arguments() + ["--no-tls"]
    return server.start()


def register(server, folder, devices, seed):
    csv = os.path.join(folder, "toys.csv")
    done = sim("--devices", devices, "--seed", seed, "--write-csv", csv)
    assert done.returncode == 0, done.stderr
    server.ctl("import", csv)


class Restarts:
    """What --restart-command asks for: each server in turn is killed as by a power cut, and comes back. The command
    waits for it in a FIFO."""

    def __init__(self, folder, servers):
        self.ask, self.done = os.path.join(folder, "ask"), os.path.join(folder, "done")
        os.mkfifo(self.ask)
        os.mkfifo(self.done)
        self.command = f"echo restart > {self.ask}; read line < {self.done}; test $line = up"
        self.servers, self.count = servers, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            with open(self.ask) as f:
                if f.read() != "restart\n":
                    return
            server = self.servers[self.count % len(self.servers)]
            self.replace(server)
            self.count += 1
            with open(self.done, "w") as f:
                f.write("up\n")

    def replace(self, server):
        server.kill()
        server.start()

    def close(self):
        with open(self.ask, "w") as f:
            f.write("end\n")
        self.thread.join(harness.PATIENCE)
