#!/usr/bin/env bash
# figures.sh [PROGRAM]   what a package promises of its program, measured; fails above a limit.
#
# Size of the program; sizes of its packages; time from start to READY=1, and memory of a gateway that reads 20 points each
# 100 ms and publishes them, by a test of tests/e2e. Without PROGRAM the `dist` profile is built here for this machine, which
# takes two cores 7 minutes.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
cd "$root"
program=${1:-${CARGO_TARGET_DIR:-target}/dist/lingate}
[ $# -gt 0 ] || cargo build --locked --profile dist -p lingate
program=$(realpath "$program")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

size=$(stat -c %s "$program")
say "program: $size bytes"
[ "$size" -le 15000000 ] || die "it may have 15,000,000 at most"
HOST_LINGATE=$program cross/package.sh "$(dpkg --print-architecture)" "$program" 0.1.0 "$out"
LINGATE_BIN=$program LINGATE_LIMITS=1 cargo test --quiet --workspace --locked --test service -- --ignored --nocapture start_and_memory
say "within 15 MB, 300 ms and 15 MiB"
