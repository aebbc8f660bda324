#!/usr/bin/env bash
# toolchain.sh ARCH ...   a Rust for ARM in a private folder: compilers of Debian, and the standard library from their sources.
#
# For machines whose rustup cannot fetch a target. Debian 12's security archive carries a current Rust (`rustc-web`) with
# the sources of its standard library. It is unpacked and not installed; no foreign architecture is added to dpkg, which
# would make `apt-get update` depend on mirrors that are often behind. Does only what is missing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"

compilers() {
    installed gcc libc6-dev libgit2-1.5 libssh2-1 binutils
    for arch in "$@"; do
        architecture "$arch"
        # libc6-dev-*-cross is only recommended by the compiler, and holds the start files.
        case $arch in
            arm64) installed gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static ;;
            armhf) installed gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user-static ;;
        esac
    done
}

unpack_rust() {
    [ ! -e "$home/rust.version" ] || return 0
    local version release packages
    version=$(apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p')
    [ -n "$version" ] && [ "$version" != "(none)" ] || die "apt offers no rustc-web: Debian 12 with bookworm-security has it"
    release=$(cut -d. -f1,2 <<<"$version")
    dpkg --compare-versions "$release" ge 1.95 || die "rustc-web is $version, and lingate needs Rust 1.95"
    packages=(rustc-web cargo-web libstd-rust-web-dev "libstd-rust-web-$release" rust-web-src)
    # shellcheck disable=SC2046
    installed $(apt-cache depends "libstd-rust-web-$release" | sed -n 's/.*Depends: \(libllvm[0-9]*\).*/\1/p')
    say "Rust $version from Debian"
    rm -rf "$home/rust" "$home/packages"
    mkdir -p "$home/rust" "$home/packages"
    (cd "$home/packages" && apt-get -o APT::Sandbox::User=root download -qq "${packages[@]/%/=$version}")
    for package in "$home"/packages/*.deb; do dpkg-deb -x "$package" "$home/rust"; done
    rm -rf "$home/packages" "$home"/std-*.done
    echo "$version" > "$home/rust.version"
}

standard_library() {
    architecture "$1"
    [ "$1" != amd64 ] && [ ! -e "$home/std-$1.done" ] || return 0
    say "standard library for $target"
    local work=$home/std libraries=$rust/lib/rustlib/$target/lib
    rm -rf "$work"
    cp -r "$rust"/src/rustc-*/library "$work"
    # The packaged vendor folder lacks what only std's tests need, and cargo wants it whole; the lock file has the checksums.
    rm -rf "$work/vendor"
    # Programs link the static library. A shared one would need a linker for the target here.
    sed -i 's/crate-type = \["dylib", "rlib"\]/crate-type = ["rlib"]/' "$work/std/Cargo.toml"
    # std is the one thing built with unstable features, and marked so: programs must not see the crates inside of it.
    (cd "$work" && env -u RUSTUP_TOOLCHAIN RUSTC="$rust/bin/rustc" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
        LD_LIBRARY_PATH="$rust/lib/x86_64-linux-gnu" CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_DEBUG=0 \
        RUSTFLAGS="-Zforce-unstable-if-unmarked -Cembed-bitcode=yes --remap-path-prefix=$work=/rustc/library" \
        "$rust/bin/cargo" build --quiet --locked --release --target "$target" --manifest-path sysroot/Cargo.toml \
        --features "panic-unwind backtrace") || die "the standard library for $target does not build"
    mkdir -p "$libraries"
    cp "$work/target/$target/release/deps/"*.rlib "$libraries/"
    rm -rf "$work"
    touch "$home/std-$1.done"
}

[ $# -gt 0 ] || set -- arm64 armhf
mkdir -p "$home"
compilers "$@"
unpack_rust
for arch in "$@"; do standard_library "$arch"; done
say "ready: $(LD_LIBRARY_PATH=$rust/lib/x86_64-linux-gnu "$rust/bin/rustc" --version) for $*"
