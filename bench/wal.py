"""The store's log under as many claims as hours bring, at full speed, while somebody reads all along."""

import contextlib
import os
import shutil
import sqlite3
import threading
import time

from load import LoadError
from measures import _wal

CLAIMS_AN_HOUR = 1000 * 3600  # of a fleet that claims 1,000 times a second
SAMPLE_S = 0.2
SNAPSHOT_S = 0.05             # how long the reader keeps each of its snapshots


class Every:
    """Calls `what` again and again, on a thread of its own, with so many seconds between."""

    def __init__(self, what, seconds):
        self.what, self.seconds = what, seconds
        self.end, self.thread = threading.Event(), threading.Thread(target=self._run)
        self.failed = None

    def _run(self):
        try:
            while not self.end.wait(self.seconds):
                self.what()
        except (OSError, sqlite3.Error) as e:
            self.failed = e

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.end.set()
        self.thread.join()
        if self.failed and not exc[0]:
            raise RuntimeError(self.failed)


def _read(data):
    """One snapshot after the other, as a backup or somebody's report takes them."""
    with contextlib.closing(sqlite3.connect(f"file:{data}/teddy.db?mode=ro", uri=True, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        time.sleep(SNAPSHOT_S)
        db.execute("COMMIT")


def wal(bench):
    """The most that teddy.db-wal was, and what it was at the end: alone, and beside another program that reads."""
    wanted = round(bench.plan["hours_of_claims"] * CLAIMS_AN_HOUR)
    for measure, reads in (("WAL", False), ("WAL beside a reader", True)):
        try:
            _wal_of(bench, measure, wanted, reads)
        except LoadError as e:
            bench.book.fail(measure, e)


def _wal_of(bench, measure, wanted, reads):
    data, seen, done = os.path.join(bench.fleet.place, "wal"), [], 0
    shutil.copytree(bench.toys.plain, data)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, data)
        server = stack.enter_context(bench.fleet.teddyd(data, cpu=None))
        stack.enter_context(Every(lambda: seen.append(_wal(data)), SAMPLE_S))
        if reads:
            stack.enter_context(Every(lambda: _read(data), 0))
        while done < wanted:
            bench.book.say(f"  {measure}: {done:,} of {wanted:,} claims, {max(seen, default=0) >> 20} MiB at most")
            done += bench.load.run("claims", measure, url=server.url("http", ""), devices_file=bench.toys.devices,
                                   connections=256, seconds=bench.plan["wal_piece_s"])["operations"]
        seen.append(_wal(data))
        bench.book.add(measure, f"most of {wanted:,} claims", "all", max(seen))
        if not reads:
            bench.book.add(measure, f"at the end of {wanted:,} claims", "all", seen[-1])
