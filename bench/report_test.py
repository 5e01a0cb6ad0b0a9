"""The bench's arithmetic and its honesty: verdicts follow the figures, and a figure that nobody measured is none."""

import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import machine  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
from measures import Book  # noqa: E402
from targets import targets  # noqa: E402


def book_of(*samples):
    book = Book(lambda text: None)
    for measure, series, x, values in samples:
        for value in values:
            book.add(measure, series, x, value)
    return book


def verdict(book, beginning, plan=run.FULL):
    found = [t for t in targets(book, plan) if t.want.startswith(beginning)]
    assert len(found) == 1, [t.want for t in targets(book, plan)]
    return found[0]


class Targets(unittest.TestCase):
    def echo(self, ours, floor):
        return verdict(book_of(("echo pairs", "teddyd, session", 100, ours),
                               ("echo pairs", "floor, same bytes", 100, floor)),
                       "100 connections: CPU per message")

    def test_a_ratio_is_the_median_of_the_rounds(self):
        # Medians alone would say 20 ÷ 20: the rounds say 2.
        self.assertAlmostEqual(self.echo([10, 20, 80], [20, 10, 40]).value, 2)

    def test_the_middle_of_the_pairs_is_said(self):
        self.assertIn("of 4 pairs half are within 1.00–2.00", verdict(book_of(
            ("echo pairs", "teddyd, session", 100, [10, 10, 20, 20]),
            ("echo pairs", "floor, same bytes", 100, [10] * 4)), "100 connections: CPU per message").how)

    def test_rounds_that_failed_leave_the_medians(self):
        self.assertAlmostEqual(self.echo([40, 30, 20], [10, 10]).value, 3)

    def test_met_and_missed(self):
        self.assertEqual(self.echo([11.4], [10]).verdict, "met")
        self.assertEqual(self.echo([11.6], [10]).verdict, "missed")
        self.assertEqual(self.echo([11.6], []).verdict, "not measured")

    def test_ahead_of_every_peer(self):
        """Beside libwebsockets by the turns, whatever the table says, and beside the others by the table."""
        turns = [("echo pairs", "teddyd, session", 1000, [8, 9, 10, 11]),
                 ("echo pairs", "libwebsockets", 1000, [9, 10, 11, 12]),
                 ("echo", "teddyd, session", 1000, [8]), ("echo", "libwebsockets", 1000, [7])]
        ahead = verdict(book_of(*turns), "1,000 connections: ahead")
        self.assertEqual(ahead.verdict, "met")
        self.assertIn("teddyd ÷ libwebsockets, the best; of 4 pairs half", ahead.how)
        behind = verdict(book_of(*turns, ("echo", "node ws", 1000, [7.5])), "1,000 connections: ahead")
        self.assertEqual((behind.verdict, behind.how), ("missed", "teddyd ÷ node ws, the best"))
        alone = verdict(book_of(*turns[:1]), "1,000 connections: ahead")
        self.assertEqual(alone.verdict, "not measured")

    def test_handshakes_by_pairs(self):
        found = verdict(book_of(("handshake", "teddyd", "TLS 1.3, full", [20, 30, 40, 50]),
                                ("handshake", "bare OpenSSL", "TLS 1.3, full", [10, 30, 40, 50]),
                                ("handshake", "libwebsockets", "TLS 1.3, full", [9])), "TLS 1.3, full: CPU")
        self.assertAlmostEqual(found.value, 1)
        self.assertIn("of 4 pairs half are within", found.how)

    def test_two_loops_on_one_core_and_on_all(self):
        book = book_of(("loops", "teddyd, two loops", "on one core, all it can", [9]),
                       ("loops", "teddyd, one loop", "on one core, all it can", [10]),
                       ("loops", "teddyd, two loops", "on all cores, all it can", [12]),
                       ("loops", "teddyd, one loop", "on all cores, all it can", [10]),
                       ("loops", "teddyd, two loops", "on all cores, at half that rate", [15]),
                       ("loops", "teddyd, one loop", "on all cores, at half that rate", [10]),
                       ("loops", "floor, two processes", "on all cores, at half that rate", [15]),
                       ("loops", "floor, one process", "on all cores, at half that rate", [10]))
        self.assertEqual(verdict(book, "two loops: CPU per message").verdict, "met")
        free = verdict(book, "the same, free on all cores")
        self.assertAlmostEqual(free.value, 1.2)
        self.assertEqual(free.verdict, "missed")
        half = verdict(book, "the same at half that rate")
        self.assertAlmostEqual(half.value, 1)
        self.assertIn("two loops ÷ one: 1.50; two raw epoll ÷ one: 1.50", half.how)

    def test_at_least(self):
        for value, want in ((19999, "missed"), (20000, "met")):
            self.assertEqual(verdict(book_of(("claims", "teddyd, HTTPS, one core", "all", [value])),
                                     "≥ 20,000 durable").verdict, want)

    def test_beside_sqlite_by_the_size_of_the_groups(self):
        book = book_of(("claims", "teddyd, HTTP, one core", "all", [20]),
                       ("claims", "SQLite alone, groups as teddyd's", "all", [40]),
                       ("claims", "SQLite alone, groups of 512", "all", [50]))
        self.assertEqual(verdict(book, "≥ half of SQLite's own limit, groups as").verdict, "met")
        self.assertEqual(verdict(book, "≥ half of SQLite's own limit, groups of 512").verdict, "missed")

    def test_a_storm_that_is_not_survived_is_missed(self):
        book = book_of(("storm", "back", "full", [14999]))
        self.assertEqual(verdict(book, "15,000 sessions, full: all back").verdict, "missed")

    def test_what_nobody_measured_has_no_verdict(self):
        for plan in (run.FULL, run.QUICK):
            self.assertEqual({(t.verdict, t.measured) for t in targets(book_of(), plan)}, {("not measured", "–")})


class Report(unittest.TestCase):
    def markdown(self, book, bottlenecks=()):
        return report.markdown(book, run.FULL, {"kernel": "x"}, bottlenecks, [])

    def test_median_and_spread(self):
        text = self.markdown(book_of(("echo", "node ws", 100, [11, 10, 19])))
        self.assertIn("| node ws | 11.00 (10.00–19.00) |", text)

    def test_no_table_without_samples(self):
        text = self.markdown(book_of())
        self.assertNotIn("### ", text)
        self.assertNotRegex(text, r"\|\s*(\*\*)?(met|missed)")

    def test_which_run_a_measure_is_of(self):
        """One that was measured anew is of the later run; one of whose samples nothing came stays of the earlier."""
        book = Book(lambda text: None, run="aaa, day 1")
        for name, measure in (("echo", "echo"), ("echo", "echo pairs"), ("idle", "idle")):
            book.begin(name)
            book.add(measure, "teddyd", 100, 1)
        self.assertIn("| commit | aaa, day 1 |", self.markdown(book))
        later = Book(lambda text: None, {"samples": book.samples, "runs": book.runs}, "bbb, day 2")
        later.begin("echo")
        later.add("echo", "teddyd", 100, 2)
        self.assertEqual(later.by_run(), {"bbb, day 2": ["echo"], "aaa, day 1": ["echo", "idle"]})
        text = self.markdown(later)
        self.assertIn("| commit | aaa, day 1: echo, idle |", text)
        self.assertIn("| commit | bbb, day 2: echo |", text)
        unknown = Book(lambda text: None, {"samples": {"idle": {"teddyd": {"all": [1]}}}})
        self.assertIn("| commit | an earlier run |", self.markdown(unknown))

    def test_what_limits_is_said(self):
        book = book_of()
        book.fail("storm, full", "0 of 15 are there")
        text = self.markdown(book, ["echo: teddyd, 100"])
        self.assertIn("Not measured: storm, full: 0 of 15 are there.", text)
        self.assertIn("bottleneck: echo: teddyd, 100.", text)
        self.assertIn("never the bottleneck", self.markdown(book_of()))

    def test_plots_are_of_what_was_measured(self):
        with tempfile.TemporaryDirectory() as place:
            self.assertEqual(report.plots(book_of(), place), [])
            self.assertEqual(os.listdir(place), [])


class Commit(unittest.TestCase):
    def test_own_results_leave_it_clean(self):
        with tempfile.TemporaryDirectory() as place:
            def git(*args):
                subprocess.run(["git", "-C", place, "-c", "user.name=x", "-c", "user.email=x@example.com", *args],
                               check=True, stdout=subprocess.DEVNULL)

            def write(path, text):
                os.makedirs(os.path.dirname(os.path.join(place, path)), exist_ok=True)
                with open(os.path.join(place, path), "w") as f:
                    f.write(text)

            git("init", "-q")
            for path in ("bench/RESULTS.md", "bench/plots/echo.svg", "server/main.c"):
                write(path, "1")
            git("add", ".")
            git("commit", "-q", "-m", "x")
            clean = machine.commit(place)
            self.assertRegex(clean, "^[0-9a-f]{7,}$")
            write("bench/RESULTS.md", "2")
            write("bench/plots/echo.svg", "2")
            self.assertEqual(machine.commit(os.path.join(place, "bench")), clean)
            write("server/main.c", "2")
            self.assertEqual(machine.commit(os.path.join(place, "bench")), clean + "-dirty")

    def test_no_repository(self):
        with tempfile.TemporaryDirectory() as place:
            self.assertEqual(machine.commit(place), "?")


if __name__ == "__main__":
    unittest.main()
