#!/usr/bin/env bash
# build.sh [ARCH ...]   from a fresh machine to packages in target/packages: toolchain, programs, self-tests, packages.
#
# ARCH: amd64, arm64, armhf; all three when none is named. PROFILE: dist (default), or cross-check, which is quick and
# not small. Debian 12 on amd64. HOST_LINGATE: a lingate that runs here and writes the manual pages; else one is built.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
cd "$root"
[ $# -gt 0 ] || set -- amd64 arm64 armhf
profile=${PROFILE:-dist}
version=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
out=$root/target/packages
programs=${CARGO_TARGET_DIR:-$root/target}/cross

cross/toolchain.sh "$@"
# Two checkouts in two places give the same program: their paths are not in it.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export CARGO_TARGET_DIR=$programs
export RUSTFLAGS="--remap-path-prefix=$root=/lingate --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$programs=/target"
export CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$programs=/target"
targets=() host=()
[ -n "${HOST_LINGATE:-}" ] || host=(amd64)
for arch in "${host[@]}" "$@"; do
    architecture "$arch"
    [[ " ${targets[*]} " == *" $target "* ]] || targets+=(--target "$target")
done
cross/cargo build --quiet --locked --profile "$profile" -p lingate "${targets[@]}"
for arch in "$@"; do
    architecture "$arch"
    program=$programs/$target/$profile/lingate
    cross/check-program.sh "$arch" "$program"
    HOST_LINGATE=${HOST_LINGATE:-$programs/x86_64-unknown-linux-gnu/$profile/lingate} cross/package.sh "$arch" "$program" "$version" "$out"
done
