#!/usr/bin/env bash
# reproduce.sh [ARCH]   builds the packages of one commit twice, in two checkouts at two places, and compares every byte.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
arch=${1:-amd64}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in first second/and/deeper; do
    mkdir -p "$work/$place"
    git -C "$root" archive HEAD | tar -x -C "$work/$place"
    # Of the commit, as in a checkout.
    (cd "$work/$place" && SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct) CARGO_TARGET_DIR=$work/$place/target cross/build.sh "$arch")
done
diff -r "$work/first/target/packages" "$work/second/and/deeper/target/packages" || die "the two builds differ"
say "the same bytes twice:"
(cd "$work/first/target/packages" && sha256sum ./*)
