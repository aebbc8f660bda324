#!/usr/bin/env bash
# release.sh VERSION SERIAL FOLDER KEY   signs what lies in FOLDER as release VERSION, number SERIAL.
#
# Writes FOLDER/RELEASE (version, number, SHA-256 and size of every file) and FOLDER/RELEASE.sig, a signature by the
# Ed25519 key KEY in ssh's format (a file, or the public half of a key that an agent or a hardware token holds). SERIAL
# grows by one with each release, and never goes back: verify-release.sh refuses what is older than what it saw.
set -euo pipefail

die() { echo "release.sh: $*" >&2; exit 1; }
[ $# -eq 4 ] || die "give VERSION, SERIAL, FOLDER and KEY; see the first lines of this file"
version=$1 serial=$2 folder=$3 key=$4
[[ $version =~ ^[0-9]+(\.[0-9]+){2}(~[0-9a-z.]+)?$ ]] || die "$version is not a version such as 0.2.0"
[[ $serial =~ ^[1-9][0-9]{0,8}$ ]] || die "$serial is not a number from 1"
[ -d "$folder" ] || die "$folder is no folder"
key=$(realpath "$key")
grep -qE '^(ssh-ed25519|sk-ssh-ed25519@openssh.com) ' <(ssh-keygen -y -f "$key" 2>/dev/null || cat "$key") ||
    die "$key is no Ed25519 key: ssh-keygen -t ed25519 -f KEY, or -t ed25519-sk for a hardware token"
cd "$folder"
rm -f RELEASE RELEASE.sig
mapfile -t files < <(find . -maxdepth 1 -type f -printf '%f\n' | LC_ALL=C sort)
[ ${#files[@]} -gt 0 ] || die "$folder holds no file"
for file in "${files[@]}"; do
    [[ $file =~ ^[0-9A-Za-z][0-9A-Za-z._~+-]*$ ]] || die "$file: only letters, digits and ._~+- are allowed in names"
done
{
    echo "lingate-release 1"
    echo "version $version"
    echo "serial $serial"
    for file in "${files[@]}"; do
        echo "file $(sha256sum "$file" | cut -d ' ' -f 1) $(stat -c %s "$file") $file"
    done
} > RELEASE
ssh-keygen -q -Y sign -n lingate-release -f "$key" RELEASE
echo "release $version, number $serial: ${#files[@]} files signed in $folder/RELEASE"
