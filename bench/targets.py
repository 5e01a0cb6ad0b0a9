"""What the server is meant to reach, as measured: each target with its ratio and `met` or `missed`."""

MIB = 1 << 20


class Target:
    """want: words. value: the worst of what was measured, None when nothing was. bound: (operator, number)."""

    def __init__(self, group, want, value, operator, bound, how, form="{:.2f}"):
        self.group, self.want, self.value, self.how, self.form = group, want, value, how, form
        self.operator, self.bound = operator, bound

    @property
    def verdict(self):
        if self.value is None:
            return "not measured"
        met = self.value <= self.bound if self.operator == "<=" else self.value >= self.bound
        return "met" if met else "missed"

    @property
    def measured(self):
        return "–" if self.value is None else self.form.format(self.value)


def ratio(a, b):
    return a / b if a is not None and b else None


def _change(book, measure, series, few, many):
    """How many times the larger is the smaller's, either way: of the rounds' ratios the median."""
    grown = book.growth(measure, series, few, many)
    return None if not grown else max(grown, 1 / grown)


def _ahead(book, measure, size):
    """(the worst ratio to a peer, in words which): beside libwebsockets by the pairs, beside the others, which cost
    twice as much, by the table."""
    us, found = "teddyd, session", []
    for peer in ("libwebsockets", "node ws", "FastAPI"):
        value, middle = book.paired(measure + " pairs", us, peer, size)
        if value is None:
            value, middle = book.ratio(measure, us, peer, size), ""
        if value is not None:
            found.append((value, f"teddyd ÷ {peer}, the best{middle}"))
    return max(found, default=(None, "teddyd ÷ peers"))


def _echo(book, plan):
    rows, pair = [], ("echo pairs", "teddyd, session", "floor, same bytes")
    for size in (100, 1000, 10000):
        value, middle = book.paired(*pair, size)
        rows.append(Target("Echo", f"{size:,} connections: CPU per message ≤ 1.15 × raw epoll, same bytes",
                           value, "<=", 1.15, "teddyd ÷ raw epoll" + middle))
        for measure in ("echo", "echo TLS"):
            if measure == "echo" or size in plan["sizes_tls"]:
                over = ", TLS" if "TLS" in measure else ""
                value, how = _ahead(book, measure, size)
                rows.append(Target("Echo", f"{size:,} connections{over}: ahead of every peer", value, "<=", 1, how))
    return rows


def _idle(book):
    per = book.median("idle", "teddyd", "all")
    steps = [book.median("idle", "teddyd", x) for x in book.samples.get("idle", {}).get("teddyd", {}) if x != "all"]
    steps = [s for s in steps if s is not None]
    flat = abs(steps[-1] - steps[0]) if len(steps) > 1 else None
    over = None
    ours, bare = book.median("idle TLS", "teddyd", "all"), book.median("idle TLS", "bare OpenSSL", "all")
    if ours is not None and bare is not None:
        over = ours - bare
    return [Target("Idle", "≤ 320 resident bytes per plain session", per, "<=", 320, "bytes", "{:,.0f}"),
            Target("Idle", "flat: the last step within 32 bytes of the first", flat, "<=", 32,
                   "bytes per session between the steps", "{:,.0f}"),
            Target("Idle", "TLS 1.3: ≤ 1,024 bytes above a bare OpenSSL session", over, "<=", 1024,
                   "bytes above", "{:,.0f}")]


def _handshake(book):
    rows = []
    for kind in ("TLS 1.3, full", "TLS 1.3, resumed", "TLS 1.2, full", "TLS 1.2, resumed"):
        if not book.all("handshake", "teddyd", kind) and kind != "TLS 1.3, full":
            continue
        value, middle = book.paired("handshake", "teddyd", "bare OpenSSL", kind)
        rows.append(Target("Handshakes", f"{kind}: CPU per new session ≤ 1.25 × OpenSSL's own + plain upgrade",
                           value, "<=", 1.25, "teddyd ÷ bare OpenSSL with an upgrade" + middle))
    resumed = [v for k in book.samples.get("resumed", {}).get("teddyd", {}) for v in book.all("resumed", "teddyd", k)]
    rows.append(Target("Handshakes", "a client with a ticket resumes", min(resumed) if resumed else None, ">=", 0.99,
                       "share of connections resumed"))
    return rows


def _fastest(book, prefix):
    """The series of claims that is the fastest, or None."""
    found = [(book.median("claims", s, "all"), s) for s in book.samples.get("claims", {}) if s.startswith(prefix)]
    return max(((f, s) for f, s in found if f is not None), default=(None, None))


def _claims(book):
    best, way = _fastest(book, "teddyd")
    half = book.median("claim p99", "teddyd, HTTPS, one core, at 10,000/s", "all")
    wal = [v for s in book.samples.get("WAL", {}) for v in book.all("WAL", s, "all")]
    return [Target("Claims", "≥ 20,000 durable claims a second, kept-alive connections", best, ">=", 20000,
                   "claims a second, the best of the ways below", "{:,.0f}"),
            Target("Claims", "≥ half of SQLite's own limit, groups as large as teddyd's",
                   book.ratio("claims", way, "SQLite alone, groups as teddyd's", "all"), ">=", 0.5,
                   "teddyd ÷ SQLite alone"),
            Target("Claims", "≥ half of SQLite's own limit, groups of 512, the writer's largest",
                   book.ratio("claims", way, "SQLite alone, groups of 512", "all"), ">=", 0.5,
                   "teddyd ÷ SQLite alone"),
            Target("Claims", "≥ 10 × FastAPI", book.ratio("claims", way, "FastAPI", "all"), ">=", 10,
                   "teddyd ÷ FastAPI", "{:.1f}"),
            Target("Claims", "p99 < 50 ms at 10,000 a second", half, "<=", 50, "ms, HTTPS", "{:.1f}"),
            Target("Claims", "the log of the store stays bounded", max(wal) / MIB if wal else None, "<=", 128,
                   "MiB of teddy.db-wal, the most seen; minutes of load, not hours", "{:.0f}")]


def _storm(book, plan):
    rows = []
    for kind in plan["storms"]:
        back = book.median("storm", "back", kind)
        rows.append(Target("Storm", f"{plan['storm']:,} sessions, {kind}: all back", back, ">=", plan["storm"],
                           "sessions back", "{:,.0f}"))
        if kind == "resumed":
            share = ratio(book.median("storm", "resumed", kind), back)
            rows.append(Target("Storm", "ticket keys outlive the restart: who has a ticket resumes", share, ">=",
                               0.99, "share of the sessions back"))
        if plan["sim"]:
            lost = book.median("sim", "exit status", kind)
            rows.append(Target("Storm", f"{kind}: {plan['sim']:,} simulated toys beside them lose nothing", lost, "<=",
                               0, "exit status of teddy-sim", "{:.0f}"))
    return rows


def _growth(book, plan):
    few, many = plan["registry"][0], plan["registry"][-1]
    rows = [Target("Growth", f"{kind}: cost within 15% from {few:,} to {many:,} devices",
                   _change(book, measure, "teddyd", few, many), "<=", 1.15, "the larger ÷ the smaller")
            for kind, measure in (("claim", "growth, claim"), ("connect with token check", "growth, connect"),
                                  ("echo", "growth, echo"))]
    ours, sqlite = (_change(book, "growth, claim", series, few, many) for series in ("teddyd", "SQLite alone"))
    rows.append(Target("Growth", "the same beside the growth of SQLite alone", ratio(ours, sqlite), "<=", 1.15,
                       "growth of teddyd ÷ growth of SQLite, for comparison" +
                       ("" if sqlite is None else f"; SQLite ÷ itself: {sqlite:.2f}")))
    last = plan["idle_steps"][-1]
    rows.append(Target("Growth", f"echo of ten: cost within 15% whether 10 or {last:,} sessions are there",
                       book.growth("sessions, ten talk", "teddyd", 10, last), "<=", 1.15, "teddyd ÷ itself"))
    ours = book.growth("sessions, all talk", "teddyd", 10, last)
    floor = book.growth("sessions, all talk", "floor, same bytes", 10, last)
    rows.append(Target("Growth", f"echo of all: cost within 15% from 10 that talk to {last:,}", ours, "<=", 1.15,
                       "teddyd ÷ itself; raw epoll ÷ itself: " + ("–" if floor is None else f"{floor:.2f}")))
    rows.append(Target("Growth", "the same beside raw epoll's own growth", ratio(ours, floor), "<=", 1.15,
                       "growth of teddyd ÷ growth of raw epoll, for comparison"))
    start = book.median("start-up, ms", "teddyd", many)
    rows.append(Target("Growth", f"start-up with {many:,} devices < 1 s", start, "<=", 1000, "ms", "{:,.0f}"))
    a, b = (book.median("memory at the start, MiB", "teddyd", x) for x in (few, many))
    rows.append(Target("Growth", "memory does not grow with the registry", None if a is None or b is None else b - a,
                       "<=", 1, "MiB more at the start", "{:.2f}"))
    first, later = (book.all("reconnects", "memory, MiB", x) for x in ("first", "last"))
    more = later[-1] - first[0] if first and later else None
    count = book.all("reconnects", "so far", "last")
    rows.append(Target("Growth", "many reconnects leave memory where it was", more, "<=", 1,
                       f"MiB more after {count[-1]:,.0f} reconnects" if count else "MiB", "{:.2f}"))
    return rows


def _beside(book, floors, x):
    value = book.ratio(*floors, x)
    return "" if value is None else f"; two raw epoll ÷ one: {value:.2f}"


def _loops(book):
    pair = ("loops", "teddyd, two loops", "teddyd, one loop")
    floors = ("loops", "floor, two processes", "floor, one process")
    alone, free, half = "on one core, all it can", "on all cores, all it can", "on all cores, at half that rate"
    value, middle = book.paired(*pair, alone)
    rows = [Target("Cores", "two loops: CPU per message ≤ 1.1 × one loop's", value, "<=", 1.1,
                   "two loops ÷ one, both on one core" + middle)]
    value, middle = book.paired(*pair, free)
    rows.append(Target("Cores", "the same, free on all cores", value, "<=", 1.1,
                       f"two loops ÷ one{middle}{_beside(book, floors, free)}"))
    value, floor = book.ratio(*pair, half), book.ratio(*floors, half)
    rows.append(Target("Cores", "the same at half that rate, beside raw epoll's own growth", ratio(value, floor), "<=", 1.1,
                       "growth of teddyd ÷ growth of raw epoll, for comparison" +
                       ("" if value is None else f"; two loops ÷ one: {value:.2f}") + _beside(book, floors, half)))
    return rows + [Target("Cores", "sessions spread evenly",
                          book.median("balance", "CPU of the busier loop to the other", 2), "<=", 1.15,
                          "CPU of the busier loop ÷ the other's")]


def _talk(book, plan):
    count = plan["talk"]
    proxy, turns, taken = (book.median("talk", *of) for of in (
        ("p99 added, ms", "floor, all cores"), ("answers a second", "two loops, all cores"),
        ("time the hypervisor took, %", "two loops, all cores")))
    beside = "" if None in (proxy, turns) else (f", {turns:,.0f} turns a second; "
                                                f"through the raw epoll proxy: {proxy:.1f}")
    beside += "" if taken is None else f"; the hypervisor took {taken:.1f}% of the time"
    return [Target("Talk", f"{count:,} toys talk through a backend of 500 ms: ≤ 5 ms added at p99",
                   book.median("talk", "p99 added, ms", "two loops, all cores"), "<=", 5,
                   "ms, two loops on two cores, which the generator and the backend share" + beside),
            Target("Talk", "memory while they do is bounded",
                   book.median("talk memory", "at most", "two loops, all cores"), "<=",
                   65536, "bytes a toy, with its connection to the backend", "{:,.0f}")]


def targets(book, plan):
    return (_echo(book, plan) + _idle(book) + _handshake(book) + _claims(book) + _storm(book, plan) +
            _growth(book, plan) + _loops(book) + _talk(book, plan))
