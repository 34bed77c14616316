#!/usr/bin/env python3
"""Runs a command and tells what its whole process tree cost: measure.py REPORT.json COMMAND [ARGUMENT...]

CPU-seconds come from the kernel's account of all children that were waited for, orphans included (this process adopts them); the
highest RSS (VmHWM) and the CPU time of each process from /proc, sampled ten times a second. Its own cost is not in the figures.
"""
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


def parents():
    """Parent of each process."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                found[int(name)] = int(stat.read().rsplit(b")", 1)[1].split()[1])
        except OSError:
            pass  # it has just ended
    return found


def descendants(root):
    children = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    todo, found = list(children.get(root, [])), []
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def command_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
        return cmdline.read().replace(b"\0", b" ").decode(errors="replace").strip()[:300]


def sample(seen):
    for pid in descendants(os.getpid()):
        try:
            entry = seen.setdefault(pid, {"pid": pid, "command": "", "rssBytes": 0, "cpuSeconds": 0})
            entry["command"] = command_of(pid) or entry["command"]
            with open(f"/proc/{pid}/status") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        entry["rssBytes"] = max(entry["rssBytes"], int(line.split()[1]) * 1024)
            with open(f"/proc/{pid}/stat", "rb") as stat:
                fields = stat.read().rsplit(b")", 1)[1].split()
            entry["cpuSeconds"] = (int(fields[11]) + int(fields[12])) / TICKS
        except OSError:
            pass  # it has just ended


def watch(seen, done):
    while not done.wait(SAMPLE_SECONDS):
        sample(seen)


def main():
    target, command = sys.argv[1], sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    seen, done = {}, threading.Event()
    started = time.monotonic()
    child = subprocess.Popen(command, start_new_session=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.killpg(child.pid, signal.SIGKILL))
    watcher = threading.Thread(target=watch, args=(seen, done), daemon=True)
    watcher.start()
    exit_code = child.wait()
    while True:
        try:
            os.wait()  # adopted orphans
        except ChildProcessError:
            break
    wall = time.monotonic() - started
    done.set()
    watcher.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {"exit": exit_code, "wallSeconds": wall, "userSeconds": used.ru_utime, "systemSeconds": used.ru_stime, "processes": list(seen.values())}
    with open(target, "w") as out:
        json.dump(report, out)
    sys.exit(0)


main()
