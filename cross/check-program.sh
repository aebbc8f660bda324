#!/usr/bin/env bash
# check-program.sh ARCH PROGRAM   the file is for that machine, needs no more than the C library, and passes its self-test.
#
# An ARM program runs under qemu here. The oldest C library that it accepts is printed, and must be Debian 12's or older.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
architecture "$1"
program=$2
header=$("$gcc-readelf" -h "$program")
case $1 in
    amd64) wanted='X86-64' ;;
    arm64) wanted='AArch64' ;;
    armhf) wanted='hard-float ABI' ;;
esac
grep -q "$wanted" <<<"$header" || die "$program is not a program for $1"
"$gcc-readelf" -lW "$program" | grep -q GNU_RELRO || die "$program lacks RELRO"
needed=$("$gcc-readelf" -d "$program" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
for library in $needed; do
    case $library in
        libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux*) ;;
        *) die "$program needs $library, which a bare box lacks" ;;
    esac
done
glibc=$("$gcc-objdump" -T "$program" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1)
dpkg --compare-versions "${glibc#GLIBC_}" le 2.36 || die "$program asks for $glibc, and Debian 12 has 2.36"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck disable=SC2086
timeout 300 $qemu ${sysroot:+-L $sysroot} "$program" selftest --state "$folder" >"$folder/told" || { cat "$folder/told"; die "the self-test of $1 failed"; }
say "$1: $(stat -c %s "$program") bytes, $glibc, $(tr '\n' ' ' <<<"$needed")- self-test passed"
