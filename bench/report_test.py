"""The bench's arithmetic and its honesty: verdicts follow the figures, and a figure that nobody measured is none."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

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

    def test_beside_the_best_peer(self):
        book = book_of(("echo", "teddyd, session", 1000, [8]), ("echo", "libwebsockets", 1000, [9]),
                       ("echo", "node ws", 1000, [7]))
        self.assertEqual(verdict(book, "1,000 connections: ahead").verdict, "missed")
        book = book_of(("echo", "teddyd, session", 1000, [8]), ("echo", "libwebsockets", 1000, [9]))
        self.assertEqual(verdict(book, "1,000 connections: ahead").verdict, "met")

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


if __name__ == "__main__":
    unittest.main()
