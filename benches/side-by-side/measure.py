#!/usr/bin/env python3
"""One gateway, one way of work: starts broker, device, counting subscriber and gateway, measures, prints a line of JSON and
appends it to results.jsonl. Everything is on this machine's loopback and ends with it. `run` calls this; see README.md."""

import argparse
import collections
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import plant
from process import cpu_between, cpu_seconds, end, kill, memory_mib, received_bytes, tree

HERE = os.path.dirname(os.path.abspath(__file__))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", help="lingate, c-loop, or a peer of the kit")
    parser.add_argument("mode", choices=["pace", "max", "outage", "kill"])
    parser.add_argument("--work", choices=["M", "O"], default="M")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--settle", type=float)
    parser.add_argument("--outage", type=float, default=60)
    parser.add_argument("--drain", type=float, default=60, help="after the outage")
    parser.add_argument("--folder", required=True, help="for runs and results")
    parser.add_argument("--bin", required=True, help="lingate, lingate-sandbox, registers, tally")
    parser.add_argument("--cpus", help="of lingate, as taskset takes it")
    parser.add_argument("--label", default="")
    parser.add_argument("--devices", type=int, default=10)
    parser.add_argument("--values", type=int, default=500, help="of a device")
    parser.add_argument("--apart", action="store_true", help="each device at an address of its own")
    parser.add_argument("--every", default=None)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--age", default="1s", help="of a batch, in whole seconds")
    parser.add_argument("--commit", default="200ms")
    found = parser.parse_args()
    found.every = found.every or ("10ms" if found.mode == "max" else "1s")
    return found


# For each of them a beat goes the same way.
BEAT_READINGS = 50


class Stage:
    """What runs, and where it writes."""

    def __init__(self, options):
        self.options = options
        self.folder = f"{options.folder}/run/{options.peer}-{options.work}-{options.mode}"
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(f"{self.folder}/broker")
        os.makedirs(f"{self.folder}/peer")
        self.running = {}
        self.spec = self.peer_of_kit() if options.peer not in ("lingate", "c-loop") else {}
        self.environment = dict(
            os.environ, RUN=f"{self.folder}/peer", MODE="max" if options.mode == "max" else "1s", WORKLOAD=options.work,
            BUFFER="1" if options.mode in ("outage", "kill") else "0", CERTS=f"{self.folder}/certificates",
            KIT=os.environ.get("KIT", ""), PEERS_WORK=os.environ.get("PEERS_WORK", ""))

    def peer_of_kit(self):
        with open(f"{os.environ['KIT']}/peers.json") as file:
            return json.load(file)[self.options.peer]

    def spawn(self, name, command, cwd=None):
        log = open(f"{self.folder}/{name}.log", "ab")
        self.running[name] = subprocess.Popen(
            command, shell=isinstance(command, str), cwd=cwd or self.folder, env=self.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        return self.running[name]

    def prepare(self):
        """Keys and certificates for everybody from the sandbox's own authority."""
        state, sandbox = f"{self.folder}/lingate", f"{self.folder}/sandbox"
        plant.enroll(self.options.bin, self.options, state, sandbox)
        certificates = f"{self.folder}/certificates"
        os.makedirs(certificates)
        names = {"ca.pem": "ca.crt", "broker.pem": "server.crt", "broker.key": "server.key",
                 "receiver.pem": "client.crt", "receiver.key": "client.key"}
        for name, there in names.items():
            shutil.copy(f"{sandbox}/{name}", f"{certificates}/{there}")
        with open(f"{HERE}/mosquitto.conf") as file:
            text = file.read().replace("@RUN@", self.folder)
        with open(f"{self.folder}/mosquitto.conf", "w") as file:
            file.write(text)

    def broker(self):
        self.spawn("broker", ["mosquitto", "-c", f"{self.folder}/mosquitto.conf"])

    def device(self):
        beats, began = f"{self.folder}/served", f"{self.folder}/began"
        if self.options.work == "O":
            self.spawn("device", [f"{self.environment['PEERS_WORK']}/bin/opcua-sim", beats, began])
            return
        address = ["--address", "0.0.0.0"] if self.options.apart else []
        self.spawn("device", [f"{self.options.bin}/registers", "--units", str(self.options.devices), "--beats", beats,
                              "--began", began, *address])

    def subscriber(self):
        sealed = ["--sandbox", f"{self.folder}/sandbox"] if self.options.peer == "lingate" else []
        self.spawn("tally", [f"{self.options.bin}/tally", "--counts", f"{self.folder}/counts", "--beats",
                             f"{self.folder}/arrived", *sealed])

    def peer(self):
        options = self.options
        if options.peer == "lingate":
            pinned = ["taskset", "-c", options.cpus] if options.cpus else []
            return self.spawn("peer", [*pinned, f"{options.bin}/lingate", "run", "--config", "lingate.toml"],
                              cwd=f"{self.folder}/lingate")
        if options.peer == "c-loop":
            period = "0" if options.mode == "max" else "1000"
            return self.spawn("peer", [f"{options.folder}/loop", self.environment["CERTS"], period])
        return self.spawn("peer", "exec " + self.spec[options.work], cwd=f"{self.folder}/peer")

    def start(self):
        self.prepare()
        self.broker()
        self.device()
        time.sleep(1)
        self.subscriber()
        time.sleep(1)
        if "prep" in self.spec:
            subprocess.run(self.spec["prep"], shell=True, check=True, cwd=f"{self.folder}/peer", env=self.environment, timeout=120)
        if "helper" in self.spec:
            self.spawn("helper", "exec " + self.spec["helper"])
            time.sleep(1)
        peer = self.peer()
        until = time.monotonic() + 120
        while self.counts()[3] == 0:
            if peer.poll() is not None or time.monotonic() > until:
                sys.exit(f"{self.options.peer}: no reading arrived; see {self.folder}/peer.log and tally.log")
            time.sleep(0.2)
        settle = self.options.settle
        time.sleep(settle if settle is not None else self.spec.get("settle", 5))

    def pid(self, name="peer"):
        return self.running[name].pid

    def lines(self):
        try:
            with open(f"{self.folder}/counts") as file:
                rows = [[int(word) for word in line.split()] for line in file.read().split("\n")[-400:]]
        except OSError:
            return []
        return [row for row in rows if len(row) == 6]

    def counts(self):
        """Microseconds since 1970, messages, payload bytes, readings, wrong, refused."""
        rows = self.lines()
        return rows[-1] if rows else [0] * 6

    def began(self):
        with open(f"{self.folder}/began") as file:
            return int(file.read()) / 1e6

    def beats(self, name, form):
        with open(f"{self.folder}/{name}", "rb") as file:
            data = file.read()
        size = struct.calcsize(form)
        return struct.iter_unpack(form, data[:len(data) // size * size])

    def end(self):
        for name in ("peer", "helper", "tally", "device", "broker"):
            end(self.running.pop(name, None))


def steady(stage):
    """A window of steady work. Its readings are those that the device served within it and that arrived in the end: the
    subscriber may be slower than the gateway, and is not what is measured."""
    pid, peak = stage.pid(), 0.0
    look = lambda: (time.time(), cpu_seconds(pid), cpu_seconds(stage.pid("broker")), cpu_seconds(stage.pid("device")))
    before, first = look(), stage.counts()
    while time.time() - before[0] < stage.options.seconds:
        time.sleep(min(1, max(0.05, stage.options.seconds - (time.time() - before[0]))))
        now, highest = memory_mib(pid)
        peak = max(peak, now, highest if len(tree(pid)) == 1 else 0)
    after = look()
    time.sleep(0.3)
    end(stage.running.pop("device"))
    found = settled(stage, before[0], after[0])
    readings = BEAT_READINGS * found["window_arrived"]
    if readings == 0:
        sys.exit(f"{stage.options.peer}: nothing arrived of what was read in the window; see {stage.folder}")
    seconds, cpu, last = after[0] - before[0], cpu_between(before[1], after[1]), stage.counts()
    # TLS and MQTT around the payload are the same share all the time; a catalogue at the start is not.
    payload, around = (last[2] - first[2]) / max(1, last[3] - first[3]), received_bytes() / max(1, last[2])
    result = {
        "seconds": round(seconds, 1), "readings": readings, "readings_per_s": round(readings / seconds),
        "readings_per_message": round((last[3] - first[3]) / max(1, last[1] - first[1])),
        "cpu_s": round(cpu, 3), "cpu_s_per_million": round(cpu * 1e6 / readings, 3),
        "peak_mib": round(peak, 1), "end_mib": round(now, 1), "payload_bytes_per_reading": round(payload, 3),
        "tls_bytes_per_reading": round(payload * max(1.0, around), 3),
        "broker_cpu_s": round(cpu_between(before[2], after[2]), 2), "device_cpu_s": round(cpu_between(before[3], after[3]), 2),
        "delay_ms": delays(stage, before[0] * 1e6, after[0] * 1e6),
    }
    result.update(found)
    return result


def settled(stage, begin, finish):
    """The window's losses, when everything has arrived or nothing more does."""
    quiet, before = 0, None
    # A batch that nobody adds to is closed at its age.
    patience = 5 + int(stage.options.age.rstrip("s"))
    for _ in range(60):
        time.sleep(1)
        found = losses(stage, begin, finish, "window")
        quiet, before = (quiet + 1 if found["window_arrived"] == before else 0), found["window_arrived"]
        if found["window_lost"] == 0 or quiet == patience:
            break
    return found


def delays(stage, begin, finish):
    """From the answer of the device to the counted, opened reading."""
    began = stage.began() * 1e6
    found = sorted((utc - began) / 1000 - ms for _, ms, utc in stage.beats("arrived", "<IIQ") if begin <= utc <= finish)
    if not found:
        return None
    at = lambda share: round(found[min(len(found) - 1, int(len(found) * share))], 1)
    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1)}


def losses(stage, begin, finish, prefix):
    """Beats that the device served between these times (seconds since 1970), against what arrived until now."""
    began = stage.began()
    low, high = (begin - began) * 1000, (finish - began) * 1000
    served = collections.Counter(beat for beat in stage.beats("served", "<II") if low <= beat[1] <= high)
    arrived = collections.Counter((tag, ms) for tag, ms, _ in stage.beats("arrived", "<IIQ"))
    lost = [beat for beat in served if beat not in arrived]
    twice = sum(arrived[beat] - count for beat, count in served.items() if arrived[beat] > count)
    invented = sum(1 for beat in arrived if low <= beat[1] <= high and beat not in served)
    return {f"{prefix}_beats": len(served), f"{prefix}_arrived": len(served) - len(lost), f"{prefix}_lost": len(lost), f"{prefix}_twice": twice, f"{prefix}_invented": invented}


def outage(stage):
    """The broker is away for a while; with `kill`, the gateway is killed in the middle and started again at once."""
    options, away = stage.options, time.time()
    end(stage.running.pop("broker"))
    killed = None
    if options.mode == "kill":
        time.sleep(options.outage / 2)
        killed = time.time()
        kill(stage.running.pop("peer"))
        time.sleep(0.5)
        stage.peer()
    time.sleep(max(0, away + options.outage - time.time()))
    before, back, first = stage.counts()[3], time.time(), None
    stage.broker()
    while time.time() - back < options.drain:
        time.sleep(0.2)
        if first is None and stage.counts()[3] > before:
            first = round(time.time() - back, 1)
    finish = time.time() - min(10, options.drain / 3)
    result = {"outage_s": options.outage, "first_after_s": first, "alive": stage.running["peer"].poll() is None}
    result.update(losses(stage, away - 5, finish, "all"))
    result.update(losses(stage, away, killed or back, "away"))
    return result


def check(stage, result):
    """What must be true of lingate whatever the speed: its complaints."""
    total = stage.counts()
    result.update(wrong=total[4], refused=total[5])
    names = ["wrong", "refused", "window_lost", "window_twice", "window_invented", "all_invented"]
    if stage.options.mode == "outage":
        # Twice is no fault: what was not acknowledged before the outage is sent again, and a receiver with a store knows it.
        names += ["all_lost"]
    return [f"{name} is {result[name]}" for name in names if result.get(name)]


def main():
    options = arguments()
    leave = lambda *_: sys.exit("stopped by a signal")
    signal.signal(signal.SIGTERM, leave), signal.signal(signal.SIGINT, leave)
    stage = Stage(options)
    result = {"peer": options.peer, "work": options.work, "mode": options.mode, "label": options.label}
    try:
        stage.start()
        result.update(steady(stage) if options.mode in ("pace", "max") else outage(stage))
        complaints = check(stage, result) if options.peer == "lingate" else []
    finally:
        stage.end()
    result["load"] = round(os.getloadavg()[0], 1)
    line = json.dumps(result)
    print(line, flush=True)
    with open(f"{options.folder}/results.jsonl", "a") as file:
        file.write(line + "\n")
    if complaints:
        sys.exit(f"{options.peer} {options.mode}: {'; '.join(complaints)}")


if __name__ == "__main__":
    main()
