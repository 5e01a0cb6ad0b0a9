"""The programs that are measured: how each is started, pinned to its core, and ended."""

import os
import re
import select
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE_S = 60
# The limits are in force, and so high that none refuses anybody: their cost is part of the path.
TEDDY = {
    "processor": "echo", "echo_route": "on", "loops": 1, "connections_max": 19900, "log_level": "warn",
    "messages_per_s": 1000000, "messages_burst": 1000000, "requests_per_address_min": 100000000,
    "claims_per_device_min": 100000, "claim_failures_per_address_min": 1000000,
    "refreshes_per_device_min": 100000, "refresh_failures_per_address_min": 1000000,
    "upgrade_refusals_per_address_min": 1000000, "access_ttl_s": 86400,
}


class Server:
    """A process that prints `ready …PORT`. cpu: the core it is pinned to, None: all."""

    def __init__(self, name, command, tls=False, cpu=0, path="/ws/echo", cwd=None, log=None):
        self.name, self.command, self.tls, self.cpu, self.path = name, command, tls, cpu, path
        self.cwd, self.log = cwd, log
        self.process = self.port = None
        self.start_s = 0.0

    def start(self):
        def pin():
            if self.cpu is not None:
                os.sched_setaffinity(0, {self.cpu})
        begun = time.monotonic()
        log = open(self.log, "ab") if self.log else subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, cwd=self.cwd, preexec_fn=pin, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=log)
        if self.log:
            log.close()
        line = self._line()
        found = re.match(rb"ready (?:.*:)?(\d+)\s*$", line)
        if not found:
            self.kill()
            raise RuntimeError(f"{self.name} did not start: {line!r}; see {self.log}")
        self.start_s = time.monotonic() - begun
        self.port = int(found[1])
        return self

    def _line(self):
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            return b""
        return self.process.stdout.readline()

    @property
    def pid(self):
        return self.process.pid

    def url(self, scheme="ws", path=None):
        return f"{scheme}{'s' if self.tls else ''}://127.0.0.1:{self.port}{self.path if path is None else path}"

    def kill(self):
        self.process.kill()
        self._gone()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._gone()

    def _gone(self):
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()


class Fleet:
    """Makes the servers of one run. `place`: the run's directory."""

    def __init__(self, build, place):
        self.build, self.place = build, place
        self.made = 0

    def _log(self, name):
        return os.path.join(self.place, name + ".log")

    def _peer(self, name):
        return os.path.join(self.build, "bench", name)

    def _cert(self):
        return ["--tls", os.path.join(self.place, "tls", "server.crt"), os.path.join(self.place, "tls", "server.key")]

    def teddyd(self, data, tls=False, cpu=0, port=0, **config):
        keys = {**TEDDY, "listen": f"127.0.0.1:{port}", "tls": "on" if tls else "off", **config}
        command = [os.path.join(self.build, "teddyd"), "--data", data]
        for key, value in keys.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        return Server("teddyd", command, tls, cpu, "/ws/esp32", log=self._log("teddyd"))

    def floor(self, json, tls=False, cpu=0, processes=1):
        command = [self._peer("openssl_bare" if tls else "raw_epoll")]
        command += (self._cert() if tls else []) + (["--json"] if json else []) + (["--two"] if processes == 2 else [])
        return Server("bare OpenSSL" if tls else "raw epoll", command, tls, cpu)

    def chat_backend(self):
        return Server("chat backend", [self._peer("chat_backend")], cpu=None)

    def talk_floor(self, backend):
        return Server("raw epoll proxy", [self._peer("talk_floor"), str(backend.port)], cpu=None)

    def lws(self, tls=False):
        return Server("libwebsockets", [self._peer("lws")] + (self._cert() if tls else []), tls, log=self._log("lws"))

    def ws(self, tls=False):
        return Server("node ws", ["node", "peers/ws.mjs"] + (self._cert() if tls else []), tls, cwd=HERE,
                      log=self._log("ws"))

    def fastapi(self, devices, tls=False):
        self.made += 1
        command = ["/usr/bin/python3", "peers/fastapi_app.py", "--devices", devices,
                   "--db", os.path.join(self.place, f"fastapi-{self.made}.db")]
        return Server("FastAPI", command + (self._cert() if tls else []), tls, cwd=HERE, log=self._log("fastapi"))
