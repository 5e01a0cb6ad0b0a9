"""What the operating system says: of the machine, of a process's memory and CPU."""

import os
import platform
import re
import socket
import subprocess
import time

def resident(pid):
    """Resident bytes of a process (its own pages and its share of others')."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Rss:\s+(\d+) kB", f.read(), re.M)[1]) * 1024


def settled(pid, step_s=0.2, patience_s=2):
    """The same when it has not changed for a moment, or when patience ends."""
    before, end = resident(pid), time.monotonic() + patience_s
    while True:
        time.sleep(step_s)
        now = resident(pid)
        if now == before or time.monotonic() > end:
            return now
        before = now


def peak(pid):
    """The most that was ever resident, in bytes."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) * 1024


def cpu_by_thread(pid):
    """Seconds of CPU by thread id."""
    spent = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
            spent[tid] = int(f.read().split()[0]) / 1e9
    return spent


def cpu(pid):
    """Seconds of CPU of all its threads that are left."""
    return sum(cpu_by_thread(pid).values())


def rested(pid, step_s=2, patience_s=180):
    """Waits until it does nothing by itself: under 1% of a core. Returns the seconds of CPU that it has used meanwhile."""
    begun, end = cpu(pid), time.monotonic() + patience_s
    before = begun
    while True:
        time.sleep(step_s)
        now = cpu(pid)
        if now - before < 0.01 * step_s or time.monotonic() > end:
            return now - begun
        before = now


def ticks():
    """Of all cores since they began: all there were, and those in which the hypervisor ran somebody else while
    something here was ready to run (`steal`)."""
    with open("/proc/stat") as f:
        spent = [int(n) for n in f.readline().split()[1:9]]
    return sum(spent), spent[7]


def taken(before):
    """Percent of the time since those ticks that the hypervisor took."""
    all_now, taken_now = ticks()
    return 100 * (taken_now - before[1]) / max(1, all_now - before[0])


def free_port():
    """A port below those that the system hands out, so that nobody else gets it while a server restarts."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low = int(f.read().split()[0])
    for port in range(low - 1, 10240, -1):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise OSError("no port is free")


def descriptors():
    """How many descriptors one process may hold; the limit is raised as far as it goes."""
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _first(command):
    try:
        said = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    except OSError:
        return "?"
    return said.strip().splitlines()[0] if said.strip() else "?"


def _package(name):
    return _first(["dpkg-query", "-W", "-f", "${Version}", name])


OWN = ("bench/RESULTS.md", "bench/plots")  # what the bench itself writes


def commit(place=os.path.dirname(os.path.abspath(__file__))):
    """What is measured. What the bench wrote itself does not make it another."""
    def git(*args):
        return subprocess.run(["git", "-C", place, *args], check=True, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout.strip()
    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/",
                      *(f":(top,exclude){path}" for path in OWN))
        return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "?"


def facts():
    """The lines at the head of a report."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s+(\d+)", f.read())[1]) // (1 << 20)
    return {
        "CPU": f"{os.cpu_count()} × {model[1] if model else platform.machine()}",
        "memory": f"{memory} GiB",
        "kernel": platform.release(),
        "descriptors of a process": str(descriptors()),
        "OpenSSL": _first(["openssl", "version"]).split(" (")[0],
        "libwebsockets": _package("libwebsockets-dev"),
        "node": _first(["node", "--version"]),
        "FastAPI, uvicorn": f"{_package('python3-fastapi')}, {_package('uvicorn')}",
    }
