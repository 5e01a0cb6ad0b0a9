"""What is measured. Each measure alternates its servers in rounds and adds samples to a Book."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import time

import machine
from load import LoadError, opened


class Book:
    """Samples by measure, series and x; what could not be measured, and why, by the measure's name.
    What stands in `old`, of an earlier run, gives way to the first new sample of its measure."""

    def __init__(self, say, samples=None, failures=None):
        self.samples, self.failures, self.say = samples or {}, failures or {}, say
        self.old, self.name = set(self.samples), ""

    def begin(self, name):
        self.name = name
        self.failures.pop(name, None)

    def add(self, measure, series, x, value):
        if measure in self.old:
            self.old.remove(measure)
            del self.samples[measure]
        self.samples.setdefault(measure, {}).setdefault(series, {}).setdefault(str(x), []).append(value)

    def fail(self, what, why):
        self.failures.setdefault(self.name, []).append(f"{what}: {why}")
        self.say(f"  not measured: {what}: {why}")

    def all(self, measure, series, x):
        return self.samples.get(measure, {}).get(series, {}).get(str(x), [])

    def median(self, measure, series, x):
        values = self.all(measure, series, x)
        return statistics.median(values) if values else None

    def ratio(self, measure, a, b, x):
        """One series to another: the median of the rounds' ratios, because what disturbs a round disturbs both."""
        ours, theirs = self.all(measure, a, x), self.all(measure, b, x)
        if not ours or not theirs:
            return None
        if len(ours) != len(theirs):
            return statistics.median(ours) / statistics.median(theirs)
        return statistics.median(m / n for m, n in zip(ours, theirs))

    def middle(self, measure, a, b, x):
        """What half of the rounds' ratios lie within, in words; "" of fewer than four."""
        ratios = [m / n for m, n in zip(self.all(measure, a, x), self.all(measure, b, x))]
        if len(ratios) < 4:
            return ""
        low, _, high = statistics.quantiles(ratios, n=4)
        return f"; of {len(ratios)} pairs half are within {low:.2f}–{high:.2f}"


class Bench:
    def __init__(self, fleet, load, toys, plan, book):
        self.fleet, self.load, self.toys, self.plan, self.book = fleet, load, toys, plan, book

    def wanted(self, measure, servers):
        """Those of [(series, server, ...)] that the plan has."""
        return [s for s in servers if s[0] not in self.plan["without"].get(measure, ())]

    def teddyd(self, tls=False, **config):
        return self.fleet.teddyd(self.toys.tls if tls else self.toys.plain, tls, **config)

    def session(self, server, first=0, count=None):
        """Options of a load on a server: tokens and the form of the echo where it is teddyd's."""
        options = {"url": server.url()}
        if server.name == "teddyd" and server.path == "/ws/esp32":
            options["tokens_file"] = self.toys.part(first, count) if count else self.toys.tokens
        return options


def _rounds(rounds, servers):
    """(round, servers): each round begins with another server."""
    for n in range(rounds):
        yield n, servers[n % len(servers):] + servers[:n % len(servers)]


def _cost(result):
    """Microseconds of server CPU per operation."""
    if not result["operations"]:
        raise LoadError("no operation was done")
    return result["server_cpu_s"] / result["operations"] * 1e6


def _row(bench, measure, server, x, series, **options):
    what = f"{measure}: {series}, {x}"
    try:
        result = bench.load.run(options.pop("mode"), what, server_pid=server.pid, **options)
        bench.book.add(measure, series, x, _cost(result))
        return result
    except LoadError as e:
        bench.book.fail(what, e)
        return None


# -- echo --

def _echo_servers(bench, stack, tls):
    servers = [("teddyd, session", bench.teddyd(tls=tls), "teddy"),
               ("floor, 128 B back", bench.fleet.floor(False, tls), "raw"),
               ("libwebsockets", bench.fleet.lws(tls), "raw"), ("node ws", bench.fleet.ws(tls), "raw"),
               ("FastAPI", bench.fleet.fastapi(bench.toys.devices, tls), "raw")]
    servers = bench.wanted("echo TLS" if tls else "echo", servers)
    for _, server, _ in servers:
        stack.enter_context(server)
    return servers


def _pairs(bench, measure, sizes, tls):
    """teddyd and the floor, one right after the other in short turns, first the one, then the other: what a message
    costs on a shared machine wanders within seconds, for both alike."""
    with bench.teddyd(tls=tls) as teddyd, bench.fleet.floor(True, tls) as floor:
        for size in sizes:
            count = bench.plan["echo_rounds"] if tls else bench.plan["pairs"][size]  # no target hangs on TLS's
            bench.book.say(f"  {measure}, {size} connections, {count} pairs")
            for n in range(count):
                turns = (("teddyd, session", teddyd), ("floor, same bytes", floor))
                for series, server in turns[::-1 if n % 2 else 1]:
                    _row(bench, measure, server, size, series, mode="echo", connections=size, size=128, format="teddy",
                         seconds=bench.plan["pair_seconds"], **bench.session(server))


def _echo(bench, tls, sizes):
    measure = "echo TLS" if tls else "echo"
    if "pairs" not in bench.plan["without"].get(measure, ()):
        _pairs(bench, measure + " pairs", sizes, tls)
    with contextlib.ExitStack() as stack:
        servers = _echo_servers(bench, stack, tls)
        for size in sizes:
            for n, order in _rounds(bench.plan["echo_rounds"], servers):
                bench.book.say(f"  {measure}, {size} connections, round {n + 1}")
                for series, server, form in order:
                    if series == "FastAPI" and size > bench.plan["fastapi_max"]:
                        continue
                    _row(bench, measure, server, size, series, mode="echo", connections=size, size=128, format=form,
                         seconds=bench.plan["seconds"], **bench.session(server))


def echo(bench):
    _echo(bench, False, bench.plan["sizes"])


def echo_tls(bench):
    _echo(bench, True, bench.plan["sizes_tls"])


# -- memory of idle sessions --

def _idle(bench, measure, series, server, steps):
    """Bytes per session between the steps, and over all; x is `FROM to TO`."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        held, at, resident = [], 0, []
        try:
            for step in steps:
                process = bench.load.start("idle", connections=step - at,
                                           **bench.session(server, at, step - at))
                held.append(process)
                opened(process)
                time.sleep(bench.plan["settle_s"])  # before memory is read
                resident.append(machine.resident(server.pid))
                at = step
        except LoadError as e:
            bench.book.fail(f"{measure}: {series}", e)
        for process in held:
            process.kill()
            process.communicate()
        for n in range(1, len(resident)):
            bench.book.add(measure, series, f"{steps[n - 1]:,} to {steps[n]:,}",
                           (resident[n] - resident[n - 1]) / (steps[n] - steps[n - 1]))
        if len(resident) == len(steps):
            bench.book.add(measure, series, "all", (resident[-1] - resident[0]) / (steps[-1] - steps[0]))


def idle(bench):
    plan = bench.plan
    for n in range(plan["idle_rounds"]):
        bench.book.say(f"  memory of idle sessions, round {n + 1}")
        _idle(bench, "idle", "teddyd", bench.teddyd(), plan["idle_steps"])
        _idle(bench, "idle", "raw epoll", bench.fleet.floor(False), plan["idle_steps"])
        for series, server in bench.wanted("idle", [
                ("libwebsockets", bench.fleet.lws()), ("node ws", bench.fleet.ws()),
                ("FastAPI", bench.fleet.fastapi(bench.toys.devices))]):
            _idle(bench, "idle", series, server, plan["idle_steps_peers"])


def idle_tls(bench):
    plan = bench.plan
    for n in range(plan["idle_rounds"]):
        bench.book.say(f"  memory of idle TLS sessions, round {n + 1}")
        for series, server in bench.wanted("idle TLS", [
                ("teddyd", bench.teddyd(tls=True)), ("bare OpenSSL", bench.fleet.floor(False, True)),
                ("libwebsockets", bench.fleet.lws(True)), ("node ws", bench.fleet.ws(True)),
                ("FastAPI", bench.fleet.fastapi(bench.toys.devices, True))]):
            _idle(bench, "idle TLS", series, server, plan["idle_steps_tls"])


# -- handshakes --

HANDSHAKES = {"TLS 1.3, full": {"tls": "1.3"}, "TLS 1.3, resumed": {"tls": "1.3", "resume": True},
              "TLS 1.2, full": {"tls": "1.2"}, "TLS 1.2, resumed": {"tls": "1.2", "resume": True}}


def handshake(bench):
    """Connect, upgrade, close. Plain, too: what is left is the handshake's own."""
    with contextlib.ExitStack() as stack:
        servers = bench.wanted("handshake", [
            ("teddyd", bench.teddyd(tls=True)), ("bare OpenSSL", bench.fleet.floor(False, True)),
            ("libwebsockets", bench.fleet.lws(True)), ("node ws", bench.fleet.ws(True))])
        plain = [("teddyd", bench.teddyd()), ("raw epoll", bench.fleet.floor(False))]
        for _, server in servers + plain:
            stack.enter_context(server)
        for n in range(bench.plan["rounds"]):
            for kind, options in HANDSHAKES.items():
                if kind not in bench.plan["handshakes"]:
                    continue
                bench.book.say(f"  connect + upgrade + close: {kind}, round {n + 1}")
                at = n % len(servers)
                for series, server in servers[at:] + servers[:at]:
                    _handshake(bench, server, kind, series, **options)
            bench.book.say(f"  connect + upgrade + close: plain, round {n + 1}")
            for series, server in plain:
                _handshake(bench, server, "plain", series)


def _handshake(bench, server, kind, series, **options):
    result = _row(bench, "handshake", server, kind, series, mode="handshake", concurrency=16,
                  seconds=bench.plan["seconds"], **options, **bench.session(server))
    if result and options.get("resume"):
        bench.book.add("resumed", series, kind, result.get("resumed", 0) / result["operations"])


def starve(bench):
    """What live sessions feel while others shake hands: p99 of 100 sessions' echo."""
    plan = bench.plan
    with bench.teddyd(tls=True) as server:
        for n in range(plan["rounds"]):
            bench.book.say(f"  echo during a flood of handshakes, round {n + 1}")
            for x in ("quiet", "flood"):
                try:
                    with bench.load.alone():
                        _starve(bench, server, x)
                except LoadError as e:
                    bench.book.fail(f"echo, {x}", e)


def _starve(bench, server, x):
    seconds = bench.plan["seconds"] + 1
    flood = None
    if x == "flood":
        flood = bench.load.start("handshake", seconds=seconds + 1, concurrency=64,
                                 **bench.session(server, 10000 if bench.toys.count > 10000 else 500, 400))
    echoes = bench.load.start("echo", connections=100, rate=1000, format="teddy", seconds=seconds,
                              **bench.session(server, 0, 100))
    result = bench.load.finish(echoes, f"echo, {x}")
    bench.book.add("starve", "p99, ms", x, result["p99_us"] / 1000)
    bench.book.add("starve", "median, ms", x, result["p50_us"] / 1000)
    if flood:
        rate = bench.load.finish(flood, "flood of handshakes")
        bench.book.add("starve", "handshakes a second", x, rate["operations"] / rate["seconds"])


# -- claims --

def _wal(data):
    try:
        return os.path.getsize(os.path.join(data, "teddy.db-wal"))
    except OSError:
        return 0


def _claims(bench, series, server, connections, data=None, **options):
    seconds = bench.plan["claim_seconds"]
    result = _row(bench, "claim CPU", server, "all", series, mode="claims", url=server.url("http", ""),
                  devices_file=bench.toys.devices, connections=connections, seconds=seconds, **options)
    if result:
        bench.book.add("claims", series, "all", result["operations"] / result["seconds"])
        bench.book.add("claim p99", series, "all", result["p99_us"] / 1000)
        if data:
            bench.book.add("WAL", series, "all", _wal(data))


def _group(bench, data, before=(0, 0)):
    """(commits, jobs) of the store since `before`."""
    said = subprocess.run([os.path.join(bench.fleet.build, "teddyctl"), "--data", data, "--json", "status"], check=True,
                          stdout=subprocess.PIPE).stdout
    store = json.loads(said)["store"]
    return store["commits"] - before[0], store["jobs"] - before[1]


def _limit(bench, series, group):
    """SQLite alone, from the state that teddyd began with: each device has claimed once."""
    path = os.path.join(bench.fleet.place, "limit.db")
    shutil.copyfile(os.path.join(bench.toys.tls, "teddy.db"), path)
    try:
        with bench.load.alone():
            said = subprocess.run(["taskset", "-c", "0", os.path.join(bench.fleet.build, "bench", "sqlite_limit"), path,
                                   str(group), str(bench.plan["claim_seconds"])], check=True,
                                  stdout=subprocess.PIPE).stdout
    finally:
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(path + end)
    result = json.loads(said)
    bench.book.add("claims", series, "all", result["operations"] / result["seconds"])
    bench.book.add("claim CPU", series, "all", _cost(result))
    bench.book.add("claim group", series, "all", group)


GROUP_MAX = 512  # of the daemon's writer


@contextlib.contextmanager
def _anew(bench, server, data):
    """The server on a fresh copy of the toys: keys pile up, and a claim costs more with them."""
    shutil.copytree(bench.toys.tls, data)
    try:
        with server:
            yield
    finally:
        shutil.rmtree(data)


def claims(bench):
    with contextlib.ExitStack() as stack:
        ways = bench.wanted("claims", [("teddyd, HTTP, one core", 0, False), ("teddyd, HTTP, all cores", None, False),
                                       ("teddyd, HTTPS, one core", 0, True)])
        data = os.path.join(bench.fleet.place, "claims")
        servers = [(series, bench.fleet.teddyd(data, tls=tls, cpu=cpu)) for series, cpu, tls in ways]
        fastapi = stack.enter_context(bench.fleet.fastapi(bench.toys.devices))
        for n in range(bench.plan["rounds"]):
            bench.book.say(f"  claims, round {n + 1}")
            groups = []
            for series, server in servers:
                with _anew(bench, server, data):
                    before = _group(bench, data)
                    _claims(bench, series, server, 256, data)
                    commits, jobs = _group(bench, data, before)
                groups.append(round(jobs / max(commits, 1)))
                bench.book.add("claim group", series, "all", groups[-1])
            _claims(bench, "FastAPI", fastapi, 64)
            _limit(bench, "SQLite alone, groups as teddyd's", max(groups))
            _limit(bench, f"SQLite alone, groups of {GROUP_MAX}", GROUP_MAX)
        for n in range(bench.plan["rounds"]):
            bench.book.say(f"  claims at 10,000 a second, round {n + 1}")
            for series, server in servers:
                if server.cpu is not None:
                    with _anew(bench, server, data):
                        _claims(bench, f"{series}, at 10,000/s", server, 256, data, rate=10000)


# -- several loops --

def loops(bench):
    """One loop and two on the same cores; x is the number of loops."""
    data = os.path.join(bench.fleet.place, "loops")
    shutil.copytree(bench.toys.plain, data)
    with bench.teddyd(cpu=None) as one, bench.fleet.teddyd(data, cpu=None, loops=2) as two:
        for n in range(bench.plan["rounds"] + 1):
            bench.book.say(f"  one loop and two, round {n + 1}")
            for x, server in ((1, one), (2, two))[::-1 if n % 2 else 1]:
                before = machine.cpu_by_thread(server.pid)
                _row(bench, "loops", server, x, "teddyd", mode="echo", connections=1000, size=128, format="teddy",
                     seconds=bench.plan["seconds"], **bench.session(server))
                after = machine.cpu_by_thread(server.pid)
                spent = sorted((after[t] - before.get(t, 0) for t in after), reverse=True)
                if x == 2 and spent[1] > 0:
                    bench.book.add("balance", "CPU of the busier loop to the other", x, spent[0] / spent[1])
