"""RESULTS.md and the plots, from what was measured and nothing else."""

import os
import statistics
import subprocess
import time

from targets import targets

TABLES = [
    ("echo", "Echo, plain: server CPU per message of 128 bytes, µs, by connections", "{:.2f}"),
    ("echo pairs", "The same in short alternating turns, which the targets are judged by", "{:.2f}"),
    ("echo TLS", "Echo over TLS 1.3: the same", "{:.2f}"),
    ("echo TLS pairs", "Echo over TLS 1.3 in short alternating turns", "{:.2f}"),
    ("idle", "Resident bytes per idle session, plain, between so many sessions", "{:,.0f}"),
    ("idle TLS", "Resident bytes per idle session, TLS 1.3", "{:,.0f}"),
    ("handshake", "Server CPU per connect + upgrade + close, µs", "{:.0f}"),
    ("resumed", "Share of those that resumed", "{:.3f}"),
    ("starve", "Echo of 100 sessions, 1,000 a second, quiet and during a flood of full handshakes", "{:,.2f}"),
    ("claims", "Durable claims a second", "{:,.0f}"),
    ("claim CPU", "Server CPU per claim, µs", "{:.1f}"),
    ("claim group", "Claims in one commit", "{:.0f}"),
    ("claim p99", "p99 of a claim, ms", "{:.1f}"),
    ("WAL", "The store's log, the most seen, bytes", "{:,.0f}"),
    ("WAL beside a reader", "The same while another program keeps one snapshot after the other, bytes", "{:,.0f}"),
    ("storm", "Storm: the server is killed and restarted (times from the moment it is gone)", "{:,.2f}"),
    ("sim", "teddy-sim beside the storm", "{:,.0f}"),
    ("start-up, ms", "Start-up by registered devices, ms", "{:,.1f}"),
    ("walk, s", "CPU of the first walk through the registry for what is to be forgotten, seconds", "{:.2f}"),
    ("memory at the start, MiB", "Resident memory at the start, MiB", "{:.2f}"),
    ("memory after the load, MiB", "Resident memory after claims and sessions, MiB", "{:.2f}"),
    ("growth, claim", "CPU per claim by registered devices, µs", "{:.1f}"),
    ("growth, connect", "CPU per connect + upgrade + token check + close, plain, by registered devices, µs", "{:.1f}"),
    ("growth, echo", "CPU per echo at 100 sessions by registered devices, µs", "{:.2f}"),
    ("sessions, ten talk", "CPU per echo of ten sessions, by all that are there, µs", "{:.2f}"),
    ("sessions, all talk", "CPU per echo by sessions, all of which talk, µs", "{:.2f}"),
    ("reconnects", "Memory after reconnects", "{:,.2f}"),
    ("loops", "CPU per echo at 1,000 sessions with one loop and two, µs", "{:.2f}"),
    ("talk", "What the server adds to a backend's answer, by toys that talk at once", "{:,.2f}"),
    ("talk CPU", "CPU per utterance and answer through a backend, µs", "{:.1f}"),
    ("talk memory", "Resident bytes per toy above the silent sessions", "{:,.0f}"),
    ("balance", "How evenly two loops share", "{:.2f}"),
    ("taken", "Time that the hypervisor ran others while something here was ready, %, in the last run", "{:.1f}"),
]


def cell(values, form):
    """Median, and the spread when there is one."""
    if not values:
        return "–"
    text = form.format(statistics.median(values))
    low, high = form.format(min(values)), form.format(max(values))
    return text if low == high else f"{text} ({low}–{high})"


def _table(book, measure, title, form):
    series = book.samples.get(measure)
    if not series:
        return []
    columns = list(dict.fromkeys(x for by_x in series.values() for x in by_x))
    columns.sort(key=lambda x: (x == "all", int(x) if x.isdigit() else 0))
    names = [f"{int(x):,}" if x.isdigit() else x for x in columns]
    if measure.startswith("idle"):
        names[-1] = "over all"
    if columns == ["all"]:
        names = [""]
    lines = [f"### {title}", "", "| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(columns)]
    for name, by_x in series.items():
        lines.append(f"| {name} | " + " | ".join(cell(by_x.get(x, []), form) for x in columns) + " |")
    return lines + [""]


def _runs(book):
    """Which commit is measured. Of several, which measures are of which."""
    runs = book.by_run()
    return [f"| commit | {run}{': ' + ', '.join(names) if len(runs) > 1 else ''} |" for run, names in runs.items()]


def _head(book, facts):
    lines = ["# What was measured", "",
             f"Written by `make bench` on {time.strftime('%Y-%m-%d', time.gmtime())}; [README.md](README.md) says "
             "what each figure is and how to get it. Medians, least and most in brackets where there are several "
             "rounds. The servers took turns in every round; the main figure is CPU from the system's accounts, because "
             "throughput and latency on a shared machine are noise.", "",
             "| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in facts.items()]
    return lines + _runs(book) + [""]


def _targets(book, plan):
    lines = ["## Targets", "", "| | target | measured | | |", "| --- | --- | ---: | --- | --- |"]
    for t in targets(book, plan):
        verdict = f"**{t.verdict}**" if t.verdict == "missed" else t.verdict
        lines.append(f"| {t.group} | {t.want} | {t.measured} | {t.how} | {verdict} |")
    return lines + [""]


def markdown(book, plan, facts, bottlenecks, plots):
    lines = _head(book, facts) + _targets(book, plan)
    lines += ["## Figures", ""]
    lines += [f"![{title}](plots/{name}.svg)" for name, title in plots] + [""] if plots else []
    for measure, title, form in TABLES:
        lines += _table(book, measure, title, form)
    lines += ["## What limits these figures", ""]
    lines += [f"- The load generator was the bottleneck: {b}." for b in dict.fromkeys(bottlenecks)]
    lines += [f"- Not measured: {f}." for failed in book.failures.values() for f in failed]
    if not bottlenecks:
        lines.append("- The load generator was never the bottleneck.")
    return "\n".join(lines) + "\n"


# -- plots --

PLOTS = [
    ("echo", "echo", "Server CPU per echo, µs", "connections"),
    ("echo-tls", "echo TLS", "Server CPU per echo over TLS 1.3, µs", "connections"),
    ("idle", "idle", "Resident bytes per idle session, plain", ""),
    ("idle-tls", "idle TLS", "Resident bytes per idle session, TLS 1.3", ""),
    ("handshake", "handshake", "Server CPU per connect + upgrade + close, µs", ""),
    ("claims", "claims", "Durable claims a second", ""),
    ("storm", "storm", "Milliseconds until so many sessions are back", ""),
]
HEAD = """set terminal svg size 860,420 font 'sans-serif,13' background '#ffffff'
set output '{out}'
set title '{title}'
set xlabel '{xlabel}'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set grid ytics lc rgb '#dddddd'
set key outside right top
set ytics nomirror
set xtics nomirror
set boxwidth 0.9
{scale}
set datafile missing '-'
"""


def _bars(book, measure):
    """(columns, rows) of medians for a plot."""
    series = book.samples.get(measure, {})
    if measure == "storm":
        series = {k: v for k, v in series.items() if k.endswith("_ms")}
    columns = list(dict.fromkeys(x for by_x in series.values() for x in by_x))
    if measure.startswith("idle"):
        columns = [c for c in columns if c == "all"]
    columns.sort(key=lambda x: int(x) if x.isdigit() else 0)
    return columns, [(name, [book.median(measure, name, x) for x in columns]) for name in series]


def _plot(book, name, measure, title, xlabel, place):
    columns, rows = _bars(book, measure)
    if not columns or not rows:
        return False
    values = [v for _, by_x in rows for v in by_x if v]
    scale = "set logscale y" if values and max(values) > 30 * min(values) else "set yrange [0:*]"
    data = " ".join('"%s"' % n for n in ["x"] + [r[0] for r in rows]) + "\n"
    for i, column in enumerate(columns):
        label = f"{int(column):,}" if column.isdigit() else " " if column == "all" else column
        data += f'"{label}" ' + " ".join("-" if r[1][i] is None else f"{r[1][i]:.6g}" for r in rows) + "\n"
    script = HEAD.format(out=os.path.join(place, name + ".svg"), title=title, xlabel=xlabel,
                         scale=scale)
    script += f"$data << END\n{data}END\n"
    script += f"plot for [i=2:{len(rows) + 1}] $data using i:xtic(1) title columnheader(i)\n"
    try:
        subprocess.run(["gnuplot"], input=script, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as e:
        book.fail(f"plot {name}", e)
        return False
    return True


def plots(book, place):
    """Draws what there is; [(name, title)]."""
    os.makedirs(place, exist_ok=True)
    return [(name, title) for name, measure, title, x in PLOTS if _plot(book, name, measure, title, x, place)]
