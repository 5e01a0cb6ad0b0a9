"""teddy-load, as the measures use it."""

import fcntl
import json
import os
import select
import subprocess
import time

WAIT_S = 240


class LoadError(Exception):
    """result: what the generator said all the same, or {}."""

    def __init__(self, text, result=None):
        super().__init__(text)
        self.result = result or {}


def _result(lines):
    try:
        return json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}


class Load:
    """Runs the load generator on its core. lock: a file held while something is measured, for machines that
    several people measure on."""

    def __init__(self, build, cpu=1, lock=None):
        self.program = os.path.join(build, "teddy-load")
        if not os.path.exists(self.program):
            self.program = os.path.join(build, "bench", "teddy-load")
        self.cpu, self.lock = cpu, lock
        self.bottlenecks = []  # what the generator itself was the limit of
        self.waited_s = 0.0    # for the lock
        self.wrong = []        # whose answers were not what they should be

    def command(self, mode, **options):
        command = [self.program, mode]
        if self.cpu is not None:
            command += ["--cpu", str(self.cpu)]
        for key, value in options.items():
            if value is None or value is False:
                continue
            command.append("--" + key.replace("_", "-"))
            if value is not True:
                command.append(str(value))
        return command

    def start(self, mode, **options):
        return subprocess.Popen(self.command(mode, **options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def judge(self, result, what, status=0, said=""):
        """The result itself; LoadError when a byte was wrong, or it could not connect."""
        if result.get("wrong_bytes"):
            self.wrong.append(what)
        if status != 0 or not result or result.get("errors"):
            counts = ", ".join(f"{key} {result[key]}" for key in ("errors", "wrong_bytes") if key in result)
            raise LoadError(f"status {status}: {said.strip()[-300:] or counts}", result)
        if result.get("bottleneck"):
            self.bottlenecks.append(what)
        return result

    def finish(self, process, what=""):
        """Its result, judged."""
        try:
            out, err = process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise LoadError(f"no end within {WAIT_S} s") from None
        return self.judge(_result(out.strip().splitlines()), what, process.returncode, err)

    def run(self, mode, what="", **options):
        with self.alone():
            return self.finish(self.start(mode, **options), what)

    def alone(self):
        return Alone(self)


class Turns:
    """Connections of an `echo` that are opened once and kept: each turn is measured by itself."""

    def __init__(self, load, **options):
        self.load = load
        with load.alone():
            self.process = load.start("echo", turns=True, **options)
            try:
                opened(self.process)
            except LoadError:
                self.close()
                raise

    def turn(self, what):
        with self.load.alone():
            try:
                self.process.stdin.write("\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                pass  # it has ended, and said why
            if not select.select([self.process.stdout], [], [], WAIT_S)[0]:
                raise LoadError(f"no end within {WAIT_S} s")
            line = self.process.stdout.readline()
            said = "" if line else self.process.stderr.read()
            return self.load.judge(_result([line] if line else []), what, 0 if line else 1, said)

    def close(self):
        self.process.kill()
        self.process.communicate()


class Alone:
    """Holds the lock, if there is one."""

    def __init__(self, load):
        self.load, self.file = load, None

    def __enter__(self):
        if self.load.lock:
            begun = time.monotonic()
            self.file = open(self.load.lock, "a")
            fcntl.flock(self.file, fcntl.LOCK_EX)
            self.load.waited_s += time.monotonic() - begun

    def __exit__(self, *exc):
        if self.file:
            self.file.close()


def opened(process):
    """Waits for {"opened":N} of `idle` and `storm`."""
    if not select.select([process.stdout], [], [], WAIT_S)[0]:
        process.kill()
        raise LoadError(f"not opened within {WAIT_S} s")
    line = process.stdout.readline()
    if not line.startswith('{"opened"'):
        process.kill()
        raise LoadError(f"{line.strip()} {process.stderr.read().strip()[-300:]}")
    return json.loads(line)["opened"]
