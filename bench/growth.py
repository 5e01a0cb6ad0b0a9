"""What grows with the number of toys, and what a restart costs."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import machine
import toys as toys_of
from load import LoadError, opened
from measures import _cost, _row, held, sqlite_alone, turns


class Registry:
    """A server with so many registered devices; `used`: 1,000 of them, spread over the whole."""

    def __init__(self, bench, count):
        self.count, self.data = count, os.path.join(bench.fleet.place, f"registry-{count}")
        devices = self.data + ".csv"
        self.used, self.tokens = devices + ".used", devices + ".tokens"
        toys_of.write_devices(devices, 1, count)
        toys_of.register_in_memory(bench.fleet.build, self.data, devices)
        with open(devices) as f, open(self.used, "w") as out:
            out.writelines(line for n, line in enumerate(f) if n % (count // 1000) == 0)
        os.unlink(devices)
        self.server = bench.fleet.teddyd(self.data)


def growth(bench):
    """Start-up, memory and cost per operation with a few and with many registered devices, in turns."""
    rounds, registries = bench.plan["growth_rounds"], []
    for count in bench.plan["registry"]:
        bench.book.say(f"  a registry of {count:,} devices is made")
        registries.append(Registry(bench, count))
    for _ in range(rounds):
        for r in registries:
            _start(bench, r)
    with contextlib.ExitStack() as stack:
        for r in registries:
            stack.enter_context(r.server)
            bench.load.run("claims", f"tokens of {r.count:,}", url=r.server.url("http", ""), devices_file=r.used,
                           connections=64, operations=1000, write_tokens=r.tokens, seconds=60)
        for r in registries:
            bench.book.add("walk, s", "teddyd", r.count, machine.rested(r.server.pid))
        for n in range(rounds):
            bench.book.say(f"  connects and echoes by the size of the registry, round {n + 1}")
            for r in registries[::-1 if n % 2 else 1]:
                _operate(bench, r)
        for n in range(rounds):  # after the rest: claims end what the tokens are good for
            bench.book.say(f"  claims by the size of the registry, round {n + 1}")
            for r in registries[::-1 if n % 2 else 1]:
                _row(bench, "growth, claim", r.server, r.count, "teddyd", mode="claims", url=r.server.url("http", ""),
                     devices_file=r.used, connections=CLAIMERS, seconds=bench.plan["seconds"])
        for r in registries:
            bench.book.add("memory after the load, MiB", "teddyd", r.count,
                           machine.resident(r.server.pid) / (1 << 20))
    _growth_of_sqlite(bench, registries)
    for r in registries:
        shutil.rmtree(r.data)


CLAIMERS = 256  # connections, and so no group is larger


def _growth_of_sqlite(bench, registries):
    """The same rows written by SQLite alone: its pages are more, too, when the devices that claim lie far apart."""
    for n in range(bench.plan["growth_rounds"]):
        for r in registries[::-1 if n % 2 else 1]:
            result = sqlite_alone(bench, os.path.join(r.data, "teddy.db"), CLAIMERS, bench.plan["seconds"],
                                  r.count // 1000)
            bench.book.add("growth, claim", "SQLite alone", r.count, _cost(result))


def _start(bench, registry):
    with bench.load.alone(), registry.server as server:
        bench.book.add("start-up, ms", "teddyd", registry.count, server.start_s * 1000)
        time.sleep(0.2)
        bench.book.add("memory at the start, MiB", "teddyd", registry.count,
                       machine.resident(server.pid) / (1 << 20))


def _operate(bench, r):
    seconds = bench.plan["seconds"]
    _row(bench, "growth, connect", r.server, r.count, "teddyd", mode="handshake", url=r.server.url(),
         tokens_file=r.tokens, concurrency=16, seconds=seconds)
    _row(bench, "growth, echo", r.server, r.count, "teddyd", mode="echo", url=r.server.url(), tokens_file=r.tokens,
         connections=100, format="teddy", seconds=seconds)


TALKERS = 10


def sessions(bench):
    """Echo at few and at many sessions, beside the floor at the same: ten that talk while the others are silent, and
    all that talk. Four servers, so that all take turns within the same moments."""
    data = os.path.join(bench.fleet.place, "few")
    shutil.copytree(bench.toys.plain, data)
    many = bench.plan["idle_steps"][-1]
    with contextlib.ExitStack() as stack:
        few = [(series, stack.enter_context(server)) for series, server in
               (("teddyd", bench.fleet.teddyd(data)), ("floor, same bytes", bench.fleet.floor(True)))]
        full = [(series, stack.enter_context(server)) for series, server in
                (("teddyd", bench.teddyd()), ("floor, same bytes", bench.fleet.floor(True)))]
        ten = {TALKERS: _talkers(bench, stack, few, 0, TALKERS), many: None}
        bench.book.say(f"  {many:,} sessions are opened")
        ten[many] = _talkers(bench, stack, full, 0, TALKERS)
        everyone = {TALKERS: ten[TALKERS], many: _talkers(bench, stack, full, TALKERS, many - TALKERS)}
        bench.book.say(f"  echo at {TALKERS} and at {many:,} sessions, {bench.plan['session_rounds']} rounds")
        for _ in range(bench.plan["session_rounds"]):
            for measure, kept in (("sessions, ten talk", ten), ("sessions, all talk", everyone)):
                for size in (TALKERS, many):
                    turns(bench, measure, size, kept[size], 1)


def _talkers(bench, stack, servers, first, count):
    """So many sessions of each server, open until the stack ends."""
    rows = [(series, server, {"format": "teddy", **bench.session(server, first, count)}) for series, server in servers]
    return held(bench, stack, "sessions", count, rows, seconds=bench.plan["pair_seconds"])


RECONNECTING = 100


def reconnects(bench):
    """Memory after some reconnects, and after many times as many. Few toys, so that each soon has as many past sessions as are
    kept: what more toys leave in the store is its size, not that of memory."""
    with bench.teddyd() as server:
        total = 0
        for n in range(bench.plan["reconnect_rounds"]):
            bench.book.say(f"  reconnects and memory, part {n + 1}")
            try:
                result = bench.load.run("handshake", "reconnects", concurrency=64, seconds=bench.plan["reconnect_s"],
                                        **bench.session(server, 0, RECONNECTING))
            except LoadError as e:
                bench.book.fail("reconnects", e)
                return
            total += result["operations"]
            bench.book.add("reconnects", "memory, MiB", "first" if n == 0 else "last",
                           machine.settled(server.pid) / (1 << 20))
            bench.book.add("reconnects", "so far", "first" if n == 0 else "last", total)


# -- the storm --

STORMS = {"full": {}, "resumed": {"resume": True}, "half refresh first": {"resume": True, "refresh_percent": 50}}


def storm(bench):
    """teddyd is killed and restarted under its sessions. `sim` beside says whether anything was lost."""
    plan = bench.plan
    for kind in plan["storms"]:
        data = os.path.join(bench.fleet.place, "storm")
        shutil.copytree(bench.toys.tls, data)
        bench.book.say(f"  storm of {plan['storm']:,} sessions: {kind}")
        server = bench.fleet.teddyd(data, tls=True, port=machine.free_port())
        try:
            with bench.load.alone():
                _storm(bench, server, kind, data)
        except LoadError as e:
            bench.book.fail(f"storm, {kind}", e)
            if "back" in e.result:  # a storm that was not survived is a result, too
                bench.book.add("storm", "back", kind, e.result["back"])
        finally:
            server.stop()
            shutil.rmtree(data)


def _storm(bench, server, kind, data):
    plan, sim = bench.plan, None
    server.start()
    pid_file = os.path.join(bench.fleet.place, "storm.pid")
    _write_pid(pid_file, server)
    process = bench.load.start("storm", url=server.url(), tokens_file=bench.toys.part(0, plan["storm"]),
                               connections=plan["storm"], server_pid_file=pid_file, seconds=60, **STORMS[kind])
    with contextlib.ExitStack() as stack:
        if plan["sim"]:  # they begin while the others do, and talk when the server goes
            sim = _sim(bench, server, data)
            stack.callback(sim.kill)
        opened(process)
        bench.book.say("    killed, and started again")
        server.kill()
        server.start()
        _write_pid(pid_file, server)
        result = bench.load.finish(process, f"storm, {kind}")
        for key in ("back", "to_50_ms", "to_99_ms", "to_100_ms", "server_cpu_s", "load_cpu_s", "resumed", "refreshed",
                    "attempts"):
            bench.book.add("storm", key, kind, result[key])
        bench.book.say(f"    all are back after {result['to_100_ms'] / 1000:.1f} s")
        if sim:
            _sim_end(bench, sim, kind)


def _write_pid(path, server):
    with open(path + ".new", "w") as f:
        f.write(f"{server.pid}\n")
    os.rename(path + ".new", path)


def _sim(bench, server, data):
    plan = bench.plan
    devices = os.path.join(bench.fleet.place, "sim.csv")
    with open(bench.toys.devices) as f:
        lines = f.readlines()[plan["storm"]:plan["storm"] + plan["sim"]]
    with open(devices, "w") as f:
        f.writelines(lines)
    return subprocess.Popen(
        [os.path.join(bench.fleet.build, "teddy-sim"), "--server", server.url("http", ""),
         "--ca", os.path.join(data, "ca.crt"), "--devices", str(plan["sim"]), "--secrets", devices, "--say", "5",
         "--rate", "400", "--start-rate", "500", "--child", "load-child", "--backoff-cap-ms", "8000", "--json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _sim_end(bench, sim, kind):
    try:
        out, err = sim.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        bench.book.fail(f"teddy-sim beside the storm, {kind}", "no end within 240 s")
        return
    try:
        up = json.loads(out.strip().splitlines()[-1])["up"]
    except (ValueError, IndexError, KeyError):
        bench.book.fail(f"teddy-sim beside the storm, {kind}", f"status {sim.returncode}: {err.strip()[-200:]}")
        return
    for key in ("said", "echoed", "lost"):
        bench.book.add("sim", key, kind, up[key])
    bench.book.add("sim", "exit status", kind, sim.returncode)
