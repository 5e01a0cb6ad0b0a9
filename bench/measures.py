"""What is measured. Each measure alternates its servers in rounds and adds samples to a Book."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import threading
import time

import machine
from load import LoadError, Turns, opened


class Book:
    """Samples by measure, series and x; what could not be measured, and why, by the measure's name.
    What stands in `old`, of an earlier run, gives way to the first new sample of its measure. run: this one, in words;
    runs: [name, run] that the samples of a measure are of."""

    def __init__(self, say, last=None, run=""):
        last = last or {}
        self.samples, self.failures, self.runs = (last.get(key, {}) for key in ("samples", "failures", "runs"))
        self.say, self.run, self.old, self.name = say, run, set(self.samples), ""

    def begin(self, name):
        self.name = name
        self.failures.pop(name, None)

    def add(self, measure, series, x, value):
        if measure in self.old:
            self.old.remove(measure)
            del self.samples[measure]
        self.runs[measure] = [self.name, self.run]
        self.samples.setdefault(measure, {}).setdefault(series, {}).setdefault(str(x), []).append(value)

    def by_run(self):
        """{run: names of what was measured in it}, in the order of the samples."""
        found = {}
        for measure in self.samples:
            name, run = self.runs.get(measure, [measure, "an earlier run"])
            found.setdefault(run, {})[name] = True
        return {run: list(names) for run, names in found.items()}

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

    def growth(self, measure, series, a, b):
        """One x to another of the same series, likewise."""
        at_a, at_b = self.all(measure, series, a), self.all(measure, series, b)
        if not at_a or not at_b:
            return None
        if len(at_a) != len(at_b):
            return statistics.median(at_b) / statistics.median(at_a)
        return statistics.median(n / m for m, n in zip(at_a, at_b))

    def middle(self, measure, a, b, x):
        """What half of the rounds' ratios lie within, in words; "" of fewer than four, or when some have no other."""
        ours, theirs = self.all(measure, a, x), self.all(measure, b, x)
        ratios = [m / n for m, n in zip(ours, theirs)]
        if len(ratios) < 4 or len(ours) != len(theirs):
            return ""
        low, _, high = statistics.quantiles(ratios, n=4)
        return f"; of {len(ratios)} pairs half are within {low:.2f}–{high:.2f}"

    def paired(self, measure, a, b, x):
        """(ratio, its middle half in words), of pairs."""
        return self.ratio(measure, a, b, x), self.middle(measure, a, b, x)


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


def held(bench, stack, measure, x, rows, **options):
    """{series: Turns} of [(series, server, options)], opened one after the other and closed by the stack; without
    those that failed."""
    kept = {}
    for series, server, more in rows:
        try:
            more = {"connections": x, **options, **more}
            kept[series] = Turns(bench.load, size=128, server_pid=server.pid, **more)
            stack.callback(kept[series].close)
        except LoadError as e:
            bench.book.fail(f"{measure}: {series}, {x}", e)
    return kept


def _turn(connections, what):
    """Once more when nothing was done: somebody else had the whole core."""
    result = connections.turn(what)
    return result if result["operations"] else connections.turn(what)


def turns(bench, measure, x, kept, count):
    """So many rounds of one short turn each, each round beginning with another: what a message costs on a shared
    machine wanders within seconds, for all alike. Who fails has no more turns."""
    kept = dict(kept)
    for _, order in _rounds(count, list(kept)):
        for series in order:
            if series not in kept:
                continue
            what = f"{measure}: {series}, {x}"
            try:
                bench.book.add(measure, series, x, _cost(_turn(kept[series], what)))
            except LoadError as e:
                bench.book.fail(what, e)
                del kept[series]


# -- echo --

PEERS = ("floor, 128 B back", "libwebsockets", "node ws", "FastAPI")
JUDGED = ("teddyd, session", "floor, same bytes", "libwebsockets")  # by triples of turns; the others have the table


def _echo_servers(bench, stack, tls):
    servers = [("teddyd, session", bench.teddyd(tls=tls)), ("floor, same bytes", bench.fleet.floor(True, tls)),
               ("floor, 128 B back", bench.fleet.floor(False, tls)), ("libwebsockets", bench.fleet.lws(tls)),
               ("node ws", bench.fleet.ws(tls)), ("FastAPI", bench.fleet.fastapi(bench.toys.devices, tls))]
    servers = bench.wanted("echo TLS" if tls else "echo", servers)
    for _, server in servers:
        stack.enter_context(server)
    return servers


def _echo(bench, tls, sizes):
    """The table of all beside each other, and triples for what is judged, over the same connections."""
    measure, plan = "echo TLS" if tls else "echo", bench.plan
    with contextlib.ExitStack() as stack:
        servers = _echo_servers(bench, stack, tls)
        for size in sizes:
            count = plan["pairs TLS" if tls else "pairs"][size]
            rows = [(series, server, {"format": "raw" if series in PEERS else "teddy", **bench.session(server)})
                    for series, server in servers if series != "FastAPI" or size <= plan["fastapi_max"]]
            with contextlib.ExitStack() as connections:
                bench.book.say(f"  {measure}, {size:,} connections of each are opened")
                kept = held(bench, connections, measure, size, rows, seconds=plan["pair_seconds"])
                bench.book.say(f"  {measure}, {size:,} connections, {count} rounds of {len(JUDGED)}")
                turns(bench, measure + " pairs", size, {s: t for s, t in kept.items() if s in JUDGED}, count)
                rest = {s: t for s, t in kept.items() if s != "floor, same bytes"}
                if set(rest) <= set(JUDGED):
                    continue
                bench.book.say(f"  {measure}, {size:,} connections, {plan['echo_rounds']} rounds of all")
                turns(bench, measure, size, rest, plan["echo_rounds"])


def echo(bench):
    _echo(bench, False, bench.plan["sizes"])


def echo_tls(bench):
    _echo(bench, True, bench.plan["sizes_tls"])


# -- memory of idle sessions --

def _idle(bench, measure, series, server, steps):
    """Bytes per session between the steps, and over all; x is `FROM to TO`."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        if server.name == "teddyd":  # its first look for what is to be forgotten is over
            machine.settled(server.pid, step_s=2, patience_s=30)
        held, at, resident = [], 0, []
        try:
            for step in steps:
                process = bench.load.start("idle", connections=step - at,
                                           **bench.session(server, at, step - at))
                held.append(process)
                opened(process)
                resident.append(machine.settled(server.pid))
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
        for kind, options in HANDSHAKES.items():
            if kind in bench.plan["handshakes"]:
                bench.book.say(f"  connect + upgrade + close: {kind}, {bench.plan['handshake_pairs']} pairs")
                _handshake_pairs(bench, servers, kind, options)
        bench.book.say("  connect + upgrade + close: plain")
        for n, order in _rounds(bench.plan["rounds"], plain):
            for series, server in order:
                _handshake(bench, server, "plain", series)


def _handshake_pairs(bench, servers, kind, options):
    """teddyd and bare OpenSSL, which the target is judged by, in pairs; the peers beside the first of them."""
    for n, order in _rounds(bench.plan["handshake_pairs"], servers[:2]):
        for series, server in order + (servers[2:] if n < bench.plan["handshake_rounds"] else []):
            _handshake(bench, server, kind, series, **options)


def _handshake(bench, server, kind, series, **options):
    result = _row(bench, "handshake", server, kind, series, mode="handshake", concurrency=16,
                  seconds=bench.plan["handshake_s"], **options, **bench.session(server))
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
    seconds = bench.plan["seconds"] + 0.5
    flood = None
    if x == "flood":
        flood = bench.load.start("handshake", seconds=seconds + 0.5, concurrency=64,
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


def sqlite_alone(bench, database, group, seconds, every=1):
    """What SQLite does with the rows of claims, by a copy of a database whose server has ended. every: of its devices
    one in so many claims."""
    path = os.path.join(bench.fleet.place, "limit.db")
    shutil.copyfile(database, path)
    try:
        with bench.load.alone():
            said = subprocess.run(["taskset", "-c", "0", os.path.join(bench.fleet.build, "bench", "sqlite_limit"), path,
                                   str(group), str(seconds), str(every)], check=True, stdout=subprocess.PIPE).stdout
    finally:
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(path + end)
    return json.loads(said)


def _limit(bench, series, group):
    """SQLite alone, from the state that teddyd began with: each device has claimed once."""
    result = sqlite_alone(bench, os.path.join(bench.toys.tls, "teddy.db"), group, bench.plan["claim_seconds"])
    bench.book.add("claims", series, "all", result["operations"] / result["seconds"])
    bench.book.add("claim CPU", series, "all", _cost(result))
    bench.book.add("claim group", series, "all", group)


GROUP_MAX = 512  # of the daemon's writer
# Connections: half of them wait in a group while the others are parsed. An answer that takes more than 40 ms costs a
# packet more, as an acknowledgement waits no longer for it: with 640 that is below 16,000 claims a second.
CLAIMERS = 640


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
                    _claims(bench, series, server, CLAIMERS, data)
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


# -- what a backend's answer costs --

def talk(bench):
    """What the server adds to a backend that answers after 500 ms, while all toys talk; and the memory of it."""
    count = bench.plan["talk"]
    for n in range(bench.plan["rounds"]):
        bench.book.say(f"  {count:,} toys talk through a backend, round {n + 1}")
        with bench.fleet.chat_backend() as backend:
            config = {"processor": "chat", "chat_url": backend.url("http", ""), "chat_model": "bench",
                      "backend_concurrency": count, "backend_queue_max": count}
            for how, more in (("one loop, one core", {}), ("two loops, all cores", {"loops": 2, "cpu": None})):
                with bench.teddyd(**config, **more) as server:
                    _talk(bench, server, backend, count, how)
            with bench.fleet.talk_floor(backend) as server:
                _talk(bench, server, backend, count, "floor, all cores", "floor")


def _talk(bench, server, backend, count, how, series="teddyd"):
    idle = bench.load.start("idle", connections=count, **bench.session(server, 0, count))
    try:
        opened(idle)
        silent = machine.settled(server.pid)
    finally:
        idle.kill()
        idle.communicate()
    seconds, before, busy = bench.plan["talk_s"], machine.ticks(), []
    watch = threading.Thread(target=_watch, args=(backend.pid, seconds, busy))
    watch.start()
    result = _row(bench, "talk CPU", server, how, series, mode="talk", connections=count,
                  seconds=seconds, **bench.session(server, 0, count))
    watch.join()
    if result:
        turns_s = result["operations"] / result["seconds"]
        for name in ("p50", "p99", "max"):
            bench.book.add("talk", name + " added, ms", how, result[name + "_us"] / 1000)
        bench.book.add("talk", "answers a second", how, turns_s)
        bench.book.add("talk", "time the hypervisor took, %", how, machine.taken(before))
        bench.book.add("talk CPU", "generator", how, result["load_cpu_s"] / result["operations"] * 1e6)
        bench.book.add("talk CPU", "backend", how, busy[0] / turns_s * 1e6)
        bench.book.add("talk memory", "at most", how, (machine.peak(server.pid) - silent) / count)
        bench.book.add("talk memory", "afterwards", how, (machine.settled(server.pid) - silent) / count)


def _watch(pid, seconds, busy):
    """CPU a second of a process in the midst of a talk: behind the opening and the 1.7 s in which it gets going."""
    time.sleep(2.2)
    before, begun = machine.cpu(pid), time.monotonic()
    time.sleep(0.6 * seconds)
    busy.append((machine.cpu(pid) - before) / (time.monotonic() - begun))


# -- several loops --

def loops(bench):
    """One loop and two. x says how: both ways have the same connections, messages and cores."""
    data = os.path.join(bench.fleet.place, "loops")
    shutil.copytree(bench.toys.plain, data)
    with bench.teddyd() as one, bench.fleet.teddyd(data, loops=2) as two:
        _loops(bench, "on one core, all it can", {"teddyd, one loop": (one, {}), "teddyd, two loops": (two, {})})
    data += "-free"
    shutil.copytree(bench.toys.plain, data)
    with contextlib.ExitStack() as stack:
        one, two, floor, floors = [stack.enter_context(s) for s in (
            bench.teddyd(cpu=None), bench.fleet.teddyd(data, cpu=None, loops=2),
            bench.fleet.floor(True, cpu=None), bench.fleet.floor(True, cpu=None, processes=2))]
        servers = {"teddyd, one loop": (one, {}), "teddyd, two loops": (two, {}),
                   "floor, one process": (floor, {}), "floor, two processes": (floors, {})}
        before = machine.cpu_by_thread(two.pid)
        _loops(bench, "on all cores, all it can", servers)
        after = machine.cpu_by_thread(two.pid)
        if not bench.plan["quick"]:
            _loops(bench, "on all cores, at half that rate", servers, rate=_rate(bench, one) // 2)
    spent = sorted((after[t] - before.get(t, 0) for t in after), reverse=True)
    bench.book.add("balance", "CPU of the busier loop to the other", 2, spent[0] / spent[1])


def _rate(bench, server):
    """Messages a second that it carries."""
    result = bench.load.run("echo", "loops: one loop's rate", connections=1000, format="teddy", server_pid=server.pid,
                            seconds=bench.plan["pair_seconds"], **bench.session(server))
    return int(result["operations"] / result["seconds"])


def _loops(bench, x, servers, **options):
    with contextlib.ExitStack() as stack:
        rows = [(series, server, {**options, **bench.session(server), **more})
                for series, (server, more) in servers.items()]
        wanted = [(s, v, {"connections": 1000, "format": "teddy", **o}) for s, v, o in rows]
        kept = held(bench, stack, "loops", x, wanted, seconds=bench.plan["pair_seconds"])
        bench.book.say(f"  one loop and two, {x}, {bench.plan['loops_pairs']} rounds")
        turns(bench, "loops", x, kept, bench.plan["loops_pairs"])
