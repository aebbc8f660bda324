#!/usr/bin/env bash
# try-container.sh PACKAGE.deb   builds cross/Containerfile with buildah, on the Debian of try-packages.sh, and runs it as its user.
#
# No registry and no engine are needed: the base image is made from that folder.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
debian=$home/debian-12
[ -e "$debian.done" ] || die "run cross/try-packages.sh first: it makes the Debian"
installed buildah
work=$(mktemp -d)
# Of its own, so that images of this computer's user are left alone. chroot: no user namespace is needed.
store=(--root "$work/images" --runroot "$work/run" --storage-driver vfs)
export BUILDAH_ISOLATION=chroot
container() { as_root env BUILDAH_ISOLATION=chroot buildah "${store[@]}" "$@"; }
trap 'container rm --all >/dev/null 2>&1; as_root rm -rf "$work"' EXIT

cp "$1" "$work/"
base=$(container from scratch)
container add --quiet "$base" "$debian" / >/dev/null
container commit --quiet "$base" localhost/debian:12 >/dev/null
container build --quiet --build-arg BASE=localhost/debian:12 -t lingate -f "$root/cross/Containerfile" "$work" >/dev/null
one=$(container from localhost/lingate)
[ "$(container run "$one" -- id -un)" = lingate ] || die "the container runs as another user"
container run "$one" -- lingate selftest --state /var/lib/lingate >/dev/null
say "container: built, runs as lingate, self-test passed"
