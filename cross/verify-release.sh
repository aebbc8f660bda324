#!/usr/bin/env bash
# verify-release.sh FOLDER SIGNERS SEEN [--older]   is FOLDER a release of ours, whole, and not an older one?
#
# SIGNERS: lines `lingate-release namespaces="lingate-release" ssh-ed25519 AAAA...`, got once by another way than the
# release itself. SEEN: a file of this machine that keeps number and digest of the newest release that was good; it is made at
# the first time. --older: somebody wants to go back, and says so; SEEN stays as it is.
# Exit code 0: install it. 1: do not. Needs ssh-keygen (openssh-client) and coreutils.
set -euo pipefail

die() { echo "verify-release.sh: $*" >&2; exit 1; }
[ $# -eq 3 ] || { [ $# -eq 4 ] && [ "$4" = --older ]; } || die "give FOLDER, SIGNERS and SEEN; see the first lines of this file"
folder=$1 signers=$(realpath "$2") seen=$(realpath -m "$3") older=${4:-}
cd "$folder" 2>/dev/null || die "$folder is no folder that can be read"
for file in RELEASE RELEASE.sig; do [ -f "$file" ] || die "$folder/$file is missing: this is no signed release"; done
[ "$(stat -c %s RELEASE)" -le 1048576 ] || die "RELEASE has more than 1 MiB"
# One copy is judged, so that nobody exchanges it in between.
statement=$(mktemp)
trap 'rm -f "$statement"' EXIT
cat RELEASE > "$statement"

ssh-keygen -q -Y verify -f "$signers" -I lingate-release -n lingate-release -s RELEASE.sig < "$statement" >/dev/null 2>&1 ||
    die "RELEASE is not signed by a key of $signers: take the release from where it came again, and ask before you install it"

field() { sed -n "${1}s/^$2 \([0-9A-Za-z.~]*\)$/\1/p" "$statement"; }
[ "$(sed -n 1p "$statement")" = "lingate-release 1" ] || die "RELEASE has a format that this script does not know: take a newer one"
version=$(field 2 version) serial=$(field 3 serial)
[ -n "$version" ] && [[ $serial =~ ^[1-9][0-9]{0,8}$ ]] || die "RELEASE names no version and number"

count=0
while read -r word sum size name; do
    [ "$word" = file ] && [[ $name =~ ^[0-9A-Za-z][0-9A-Za-z._~+-]*$ ]] || die "RELEASE has a line that is none: $word"
    [ -f "$name" ] && [ ! -L "$name" ] || die "$name is missing"
    [ "$(stat -c %s "$name")" = "$size" ] || die "$name has another size than the release names"
    [ "$(sha256sum "$name" | cut -d ' ' -f 1)" = "$sum" ] || die "$name is not the file that was signed"
    count=$((count + 1))
done < <(tail -n +4 "$statement")
[ "$count" -gt 0 ] || die "RELEASE names no file"
for name in *; do
    [[ $name = RELEASE || $name = RELEASE.sig ]] || awk -v name="$name" '$4 == name { found = 1 } END { exit !found }' "$statement" ||
        die "$name lies in $folder and is not part of the release: take it out"
done

digest=$(sha256sum "$statement" | cut -d ' ' -f 1)
newest=0 newest_digest=
if [ -e "$seen" ]; then
    read -r newest newest_digest < "$seen" || true
    [[ $newest =~ ^[1-9][0-9]{0,8}$ ]] || die "$seen cannot be understood; without it nobody knows what was installed here"
fi
if [ "$serial" -lt "$newest" ]; then
    [ "$older" = --older ] || die "release $version has number $serial, and number $newest was here already: an older release may bring mended weaknesses back. To go back on purpose: --older"
elif [ "$serial" -eq "$newest" ] && [ "$digest" != "$newest_digest" ]; then
    die "two different releases have number $serial: tell the maintainers, and install neither"
elif [ "$serial" -gt "$newest" ]; then
    mkdir -p "$(dirname "$seen")"
    echo "$serial $digest" > "$seen.new"
    sync "$seen.new"
    mv "$seen.new" "$seen"
fi
echo "release $version, number $serial: $count files, signed and whole"
