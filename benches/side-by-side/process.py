"""What a tree of processes used, from /proc; and its end."""

import collections
import os
import re
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def fields(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except OSError:
        return None
    return text[text.rindex(")") + 2:].split()


def tree(root):
    """`root` and all that it started, as far as they are alive."""
    children = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := fields(name)):
            children[int(found[1])].append(int(name))
    alive, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        if (found := fields(pid)) and found[0] != "Z":
            alive.append(pid)
            waiting += children[pid]
    return alive


def cpu_seconds(root):
    """By ticks of 10 ms, which also know threads that ended, or by the scheduler's nanoseconds: the larger."""
    ticks = nanoseconds = 0
    for pid in tree(root):
        if found := fields(pid):
            ticks += int(found[11]) + int(found[12])
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                    nanoseconds += int(file.read().split()[0])
        except OSError:
            pass
    return ticks / TICKS, nanoseconds / 1e9


def cpu_between(before, after):
    ticks, nanoseconds = after[0] - before[0], after[1] - before[1]
    return max(ticks, nanoseconds) if ticks > 2 else nanoseconds


def memory_mib(root):
    """Resident now, and the sum of the peaks."""
    now = peak = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/status") as file:
                text = file.read()
            now += int(re.search(r"VmRSS:\s+(\d+)", text)[1])
            peak += int(re.search(r"VmHWM:\s+(\d+)", text)[1])
        except (OSError, TypeError):
            pass
    return now / 1024, peak / 1024


def received_bytes(ports=(8883, 8884)):
    """Of TCP payload, TLS records and all, that the broker received on connections that stand; without TCP and IP headers."""
    total = 0
    for port in ports:
        command = ["ss", "-tinH", "state", "established", f"( sport = :{port} )"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        total += sum(int(found) for found in re.findall(r"bytes_received:(\d+)", text))
    return total


def kill(process):
    """SIGKILL for all of the tree: nothing gets a chance."""
    for pid in tree(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def end(process, patience=10):
    if process is None:
        return
    pids = tree(process.pid)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError:
            pass
    until = time.monotonic() + patience
    while time.monotonic() < until and any(fields(pid) and fields(pid)[0] != "Z" for pid in pids):
        process.poll()
        time.sleep(0.05)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    process.wait()
