#!/usr/bin/env python3
"""Teddy beside its peers, in one run: `make bench`, `make bench-quick`. See README.md."""

import argparse
import json
import os
import shutil
import sys
import time

import growth
import machine
import measures
import report
from load import Load, LoadError
from servers import Fleet
from targets import targets
from toys import Toys
from wal import wal

HERE = os.path.dirname(os.path.abspath(__file__))
ALL = {"echo": measures.echo, "echo-tls": measures.echo_tls, "idle": measures.idle, "idle-tls": measures.idle_tls,
       "handshake": measures.handshake, "starve": measures.starve, "claims": measures.claims, "wal": wal,
       "storm": growth.storm, "growth": growth.growth, "sessions": growth.sessions, "reconnects": growth.reconnects,
       "loops": measures.loops, "talk": measures.talk}
FULL = {
    "quick": False, "measures": list(ALL), "without": {}, "rounds": 3, "echo_rounds": 2, "seconds": 0.7, "toys": 19000,
    "sizes": [100, 1000, 10000], "sizes_tls": [100, 1000], "pairs": {100: 11, 1000: 11, 10000: 9},
    "pairs TLS": {100: 7, 1000: 7}, "pair_seconds": 0.4, "fastapi_max": 1000,
    "idle_rounds": 1, "idle_steps": [1000, 10000, 19000], "idle_steps_peers": [1000, 3000],
    "idle_steps_tls": [500, 2500], "handshakes": list(measures.HANDSHAKES), "handshake_pairs": 7, "handshake_rounds": 1,
    "handshake_s": 0.7, "claim_seconds": 1, "hours_of_claims": 0.05, "wal_piece_s": 5,
    "storm": 15000, "storms": list(growth.STORMS), "sim": 2000,
    "registry": [1000, 1000000], "growth_rounds": 5, "session_rounds": 5, "reconnect_rounds": 4, "reconnect_s": 2,
    "loops_pairs": 15, "talk": 1000, "talk_s": 5,
}
QUICK = {
    "quick": True, "measures": ["echo", "echo-tls", "idle", "idle-tls", "handshake", "claims", "storm", "sessions",
                                "loops"],
    "without": {"echo": ("floor, 128 B back",), "echo TLS": ("node ws", "FastAPI", "floor, 128 B back"),
                "idle": ("libwebsockets", "node ws", "FastAPI"),
                "idle TLS": ("libwebsockets", "node ws", "FastAPI"), "handshake": ("node ws",),
                "claims": ("teddyd, HTTP, all cores",)},
    "rounds": 1, "echo_rounds": 1, "seconds": 0.4, "toys": 5000, "sizes": [100, 1000], "sizes_tls": [100],
    "pairs": {100: 3, 1000: 3}, "pairs TLS": {100: 3}, "pair_seconds": 0.2, "fastapi_max": 100, "idle_rounds": 1,
    "idle_steps": [1000, 5000], "idle_steps_peers": [200, 1000], "idle_steps_tls": [200, 1000],
    "handshakes": ["TLS 1.3, full"], "handshake_pairs": 3, "handshake_rounds": 1, "handshake_s": 0.3,
    "claim_seconds": 0.4, "hours_of_claims": 0.005, "wal_piece_s": 1,
    "storm": 1000, "storms": ["resumed"], "sim": 0, "registry": [1000, 1000000], "growth_rounds": 1,
    "session_rounds": 2, "reconnect_rounds": 0, "reconnect_s": 0, "loops_pairs": 3,
    "talk": 1000, "talk_s": 2,
}


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default="build", help="where the programs are")
    p.add_argument("--quick", action="store_true", help="less than a minute; prints, and leaves RESULTS.md alone")
    p.add_argument("--only", metavar="A,B", help="of " + ", ".join(ALL))
    p.add_argument("--rounds", type=int, help="how often each is measured")
    p.add_argument("--hours-of-claims", type=float, metavar="H",
                   help="how many claims `wal` makes: those of H hours at 1,000 a second")
    p.add_argument("--out", help="where RESULTS.md and plots/ go")
    p.add_argument("--add", action="store_true", help="to the last run's samples: with --only, measures some anew")
    p.add_argument("--lock", metavar="FILE", help="held while something is measured, where others measure, too")
    return p.parse_args()


class Clock:
    def __init__(self):
        self.begun = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.begun

    def say(self, text):
        print(f"[{self.seconds():5.0f} s] {text}", flush=True)


def measure(bench, names, clock, out):
    """All that is asked for; what is known so far is written after each."""
    for name in names:
        clock.say(name)
        bench.book.begin(name)
        before = machine.ticks()
        try:
            ALL[name](bench)
        except (LoadError, OSError, RuntimeError) as e:
            bench.book.fail(name, e)
        bench.book.add("taken", name, "all", machine.taken(before))
        write(out, bench)


def write(out, bench):
    book, plan, load = bench.book, bench.plan, bench.load
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(bench.fleet.place, "samples.json"), "w") as f:
        json.dump({"samples": book.samples, "failures": book.failures, "runs": book.runs,
                   "bottlenecks": load.bottlenecks}, f, indent=1)
    drawn = report.plots(book, os.path.join(out, "plots"))
    text = report.markdown(book, plan, machine.facts(), load.bottlenecks, drawn)
    with open(os.path.join(out, "RESULTS.md"), "w") as f:
        f.write(text)


def earlier(place):
    """What the last run has left."""
    try:
        with open(os.path.join(place, "samples.json")) as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def tell(found, plan):
    measured = [t for t in found if t.value is not None]
    for t in measured:
        print(f"{t.verdict:7} {t.measured:>9}  {t.group}: {t.want} ({t.how})")
    rest = len(found) - len(measured)
    if rest:
        print(f"{rest} more bounds were not measured" + (": `make bench` does" if plan["quick"] else ""))
    if plan["quick"]:
        print("a quick run has one short round of most: a look, not a verdict")


def main():
    args = arguments()
    plan = dict(QUICK if args.quick else FULL)
    names = args.only.split(",") if args.only else plan["measures"]
    if not set(names) <= set(ALL):
        sys.exit(f"--only takes some of {', '.join(ALL)}")
    if (os.cpu_count() or 1) < 2:
        sys.exit("the bench needs two cores: one for the server, one for the load generator")
    if args.rounds:
        plan["rounds"] = plan["echo_rounds"] = args.rounds
        for count in ("session_rounds", "loops_pairs", "handshake_pairs", "handshake_rounds"):
            plan[count] = args.rounds
        for pairs in ("pairs", "pairs TLS"):
            plan[pairs] = dict.fromkeys(plan[pairs], args.rounds)
    if args.hours_of_claims:
        plan["hours_of_claims"] = args.hours_of_claims
    if machine.descriptors() < plan["toys"] + 500:
        sys.exit(f"one process may hold {machine.descriptors()} descriptors: raise the limit (ulimit -n) above "
                 f"{plan['toys'] + 500}")
    build = os.path.abspath(args.build)
    look = args.quick or (args.only and not args.add)  # which leaves the samples of the last run alone
    place = os.path.join(build, "bench-look" if look else "bench-run")  # on a disk: a claim's sync must be a real one
    last = earlier(place) if args.add else {}
    clock = Clock()
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    out = os.path.abspath(args.out or (place if args.quick or args.only else HERE))
    fleet, load = Fleet(build, place), Load(build, lock=args.lock)
    book = measures.Book(clock.say, last, f"{machine.commit()}, {time.strftime('%Y-%m-%d', time.gmtime())}")
    load.bottlenecks += last.get("bottlenecks", [])
    clock.say(f"{plan['toys']:,} toys are registered and claim")
    bench = measures.Bench(fleet, load, Toys(fleet, load, plan["toys"]), plan, book)
    measure(bench, names, clock, out)
    tell(targets(book, plan), plan)
    waited = f", {load.waited_s:.0f} s of it waiting for the lock" if args.lock else ""
    clock.say(f"written: {out}/RESULTS.md{waited}")
    return 1 if load.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
