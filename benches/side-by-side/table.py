#!/usr/bin/env python3
"""Tables with ratios out of results.jsonl, and plot.svg beside it.   table.py FOLDER [--bound BYTES_PER_READING]
With --bound it fails if lingate needs more bytes of TLS for a reading of fifty points, 500 in a batch."""

import argparse
import json
import sys

# Neuron needs a toolchain of its own and cannot be had from a registry: measured once on this work (docs/performance-side-by-side.md).
NEURON = {"peer": "neuron (elsewhere)", "work": "M", "mode": "max", "cpu_s_per_million": 5.6, "tls_bytes_per_reading": 19.31,
          "peak_mib": 29.7, "readings_per_s": 49987}
BASES = {"M": "c-loop", "O": "pyopc"}
# Ten readings of each point in a batch of 500: what the bound on bytes holds for.
BOUND = "50 points each 100 ms"
NAMES = {("M", "pace"): "Modbus, 5,000 values each second", ("M", "max"): "Modbus, as fast as it goes",
         ("O", "pace"): "OPC UA, 1,000 variables each 100 ms"}


def newest(folder):
    found = {}
    with open(f"{folder}/results.jsonl") as file:
        for line in file:
            result = json.loads(line)
            found[result["work"], result["mode"], result["peer"], result["label"]] = result
    return list(found.values())


def ratio(result, base, key):
    return f"{result[key] / base[key]:.2f}" if base and base.get(key) else ""


def steady(results):
    for (work, mode), name in NAMES.items():
        rows = [result for result in results if (result["work"], result["mode"]) == (work, mode)]
        if not rows:
            continue
        base = next((result for result in rows if result["peer"] == BASES[work]), None)
        if (work, mode) == ("M", "max"):
            rows = rows + [NEURON]
        print(f"\n### {name}\n\n| | readings/s | CPU s a million | to {BASES[work]} | bytes a reading, TLS | to {BASES[work]} | peak MiB "
              "| ms from reading to subscriber p50 / p95 / p99 | load |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|")
        for row in sorted(rows, key=lambda row: row["cpu_s_per_million"]):
            # At full speed the subscriber that counts is what is waited for.
            delay = (row.get("delay_ms") or {}) if mode == "pace" else {}
            delays = " / ".join(str(delay.get(key, "")) for key in ("p50", "p95", "p99"))
            print(f"| {row['peer']}{' ' + row['label'] if row.get('label') else ''} | {row['readings_per_s']:,} | "
                  f"{row['cpu_s_per_million']:.2f} | {ratio(row, base, 'cpu_s_per_million')} | {row['tls_bytes_per_reading']:.2f} | "
                  f"{ratio(row, base, 'tls_bytes_per_reading')} | {row['peak_mib']} | {delays} | {row.get('load', '')} |")


def outages(results):
    rows = [result for result in results if result["mode"] in ("outage", "kill")]
    if not rows:
        return
    print("\n### The broker is away; `kill`: and the gateway is killed in the middle. In beats, one for 50 readings\n\n"
          "| | | read | lost | read while away, before a kill | of these lost | twice | first data after, s |\n|---|---|--:|--:|--:|--:|--:|--:|")
    for row in sorted(rows, key=lambda row: (row["mode"], row["all_lost"])):
        print(f"| {row['peer']} | {row['mode']} | {row['all_beats']:,} | {row['all_lost']:,} | {row['away_beats']:,} | "
              f"{row['away_lost']:,} | {row['all_twice']} | {row['first_after_s']} |")


def plot(results, file):
    """Bars on a logarithmic scale: what a reading costs, in CPU and on the wire."""
    rows = [result for result in results if (result["work"], result["mode"]) == ("M", "max")] + [NEURON]
    rows.sort(key=lambda row: row["cpu_s_per_million"])
    panels = [("CPU seconds for a million readings", "cpu_s_per_million", 0.05, 100), ("bytes of TLS for a reading", "tls_bytes_per_reading", 0.5, 50)]
    import math
    step, left, width = 26, 150, 300
    height = 60 + step * len(rows)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * (left + width) + 40}" height="{height}" font-family="sans-serif" font-size="13">',
             '<rect width="100%" height="100%" fill="white"/>']
    for number, (title, key, low, high) in enumerate(panels):
        begin = number * (left + width + 20)
        parts.append(f'<text x="{begin + left}" y="24" font-weight="bold">{title}</text>')
        for place, row in enumerate(rows):
            top = 40 + step * place
            share = math.log(max(row[key], low) / low) / math.log(high / low)
            color = "#0b6e4f" if row["peer"] == "lingate" else "#9aa5b1"
            parts.append(f'<text x="{begin + left - 8}" y="{top + 14}" text-anchor="end">{row["peer"]}</text>'
                         f'<rect x="{begin + left}" y="{top}" width="{max(2, width * min(1, share) * 0.85):.0f}" height="18" fill="{color}"/>'
                         f'<text x="{begin + left + max(2, width * min(1, share) * 0.85) + 6:.0f}" y="{top + 14}">{row[key]:.2f}</text>')
    with open(file, "w") as out:
        out.write("\n".join(parts + ["</svg>\n"]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--bound", type=float)
    options = parser.parse_args()
    results = newest(options.folder)
    steady(results)
    outages(results)
    plot(results, f"{options.folder}/plot.svg")
    print(f"\n{options.folder}/results.jsonl, {options.folder}/plot.svg")
    bound = [result["tls_bytes_per_reading"] for result in results if result["label"] == BOUND]
    if options.bound and (not bound or max(bound) > options.bound):
        sys.exit(f"{BOUND}: {bound} bytes for a reading, {options.bound} at most")


if __name__ == "__main__":
    main()
