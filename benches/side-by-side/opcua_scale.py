#!/usr/bin/env python3
"""opcua_scale.py POINTS --bin FOLDER --folder FOLDER: lingate on one OPC UA server of lingate-plant with so many variables that all
change each second. Prints a line of JSON: time to full flow, readings a second, CPU and memory of the gateway. The broker is
mosquitto, the subscriber mosquitto_sub. Fails if the gateway loses or refuses a reading."""

import argparse
import json
import os
import sys
import time
import urllib.request

from measure import Stage
from process import cpu_between, cpu_seconds, memory_mib


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("devices", metavar="POINTS", type=int)
    parser.add_argument("--bin", required=True, help="lingate, lingate-sandbox, lingate-plant")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--every", default="1s")
    parser.add_argument("--seconds", type=float, default=20)
    parser.set_defaults(peer="lingate", mode="scale", work="N", values=1, batch=5000, age="2s", commit="200ms", cpus=None)
    return parser.parse_args()


def status():
    try:
        with urllib.request.urlopen("http://127.0.0.1:9273/status", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return {"datasets": [], "lost": {}}


def read(found):
    return sum(dataset["read"] for dataset in found["datasets"])


def until(what, is_true, patience):
    began = time.monotonic()
    while not is_true():
        if time.monotonic() - began > patience:
            sys.exit(f"not within {patience} s: {what}")
        time.sleep(0.2)
    return round(time.monotonic() - began, 1)


def is_quiet(seconds):
    before = status()
    time.sleep(seconds)
    return status().get("lost") == before.get("lost")


def main():
    options = arguments()
    stage = Stage(options)
    try:
        stage.prepare()
        stage.broker()
        tick = str(int(options.every.rstrip("s")) * 1000)
        stage.spawn("device", [f"{options.bin}/lingate-plant", "--opcua", f"m=numbered:{options.devices}", "--opcua-listen",
                               "127.0.0.1:4840", "--listen", "127.0.0.1:0", "--tick-ms", tick])
        time.sleep(5)
        stage.spawn("tally", ["mosquitto_sub", "-V", "5", "-p", "1883", "-q", "1", "-t", "lingate/1/#", "-F", "%l"])
        pid = stage.peer().pid
        full = until("a value of every variable", lambda: read(status()) >= options.devices, 300)
        settled = until("no more slots missed while the items are set up", lambda: is_quiet(5), 300)
        first, cpu, moment = status(), cpu_seconds(pid), time.monotonic()
        time.sleep(options.seconds)
        found, used, seconds = status(), cpu_between(cpu, cpu_seconds(pid)), time.monotonic() - moment
        resident, peak = (round(mib, 1) for mib in memory_mib(pid))
    finally:
        stage.end()
    # Until its item is set up, each slot of a variable is missed and declared; from there on none may be.
    readings, known = read(found) - read(first), first.get("lost", {})
    lost = {cause: count - known.get(cause, 0) for cause, count in found.get("lost", {}).items() if count > known.get(cause, 0)}
    print(json.dumps({"points": options.devices, "full_flow_s": full, "settled_s": settled,
                      "missed_before": sum(known.values()), "readings_per_s": round(readings / seconds),
                      "cpu_s_per_million": round(used * 1e6 / max(1, readings), 2), "resident_mib": resident, "peak_mib": peak,
                      "lost": lost, "load": round(os.getloadavg()[0], 1)}))
    if lost or readings == 0:
        sys.exit("readings were lost" if lost else "nothing was read")


if __name__ == "__main__":
    main()
