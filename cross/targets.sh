# Sourced by the scripts of this folder: where things lie, and what each architecture is called by whom.
# shellcheck shell=bash disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# A cache: what is deleted is made again.
home=${LINGATE_CROSS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/lingate-cross}
rust=$home/rust/usr

say() { printf '[cross] %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# architecture ARCH   sets: target (Rust), gcc (prefix of the C compiler), qemu, sysroot, deb and rpm (their names for it)
architecture() {
    case $1 in
        amd64) target=x86_64-unknown-linux-gnu gcc=x86_64-linux-gnu qemu='' sysroot='' deb=amd64 rpm=x86_64 ;;
        arm64) target=aarch64-unknown-linux-gnu gcc=aarch64-linux-gnu qemu=qemu-aarch64-static sysroot=/usr/aarch64-linux-gnu deb=arm64 rpm=aarch64 ;;
        armhf) target=armv7-unknown-linux-gnueabihf gcc=arm-linux-gnueabihf qemu=qemu-arm-static sysroot=/usr/arm-linux-gnueabihf deb=armhf rpm=armv7hl ;;
        *) die "there is no architecture \"$1\" here: amd64, arm64 or armhf" ;;
    esac
}

# as_root COMMAND ...   as it is for root, else through sudo
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# installed PACKAGE ...   Debian packages that are not there yet are installed
installed() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "apt-get install ${missing[*]}"
    # A mirror that is being refreshed ends `update` with 100; the lists that are there will do.
    as_root apt-get update -qq || say "apt-get update had errors, going on with the lists there are"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
