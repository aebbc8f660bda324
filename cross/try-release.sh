#!/usr/bin/env bash
# try-release.sh   signs releases with keys made for it, and shows that whatever else is tried is refused with its reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

ssh-keygen -q -t ed25519 -N "" -C ours -f ours
ssh-keygen -q -t ed25519 -N "" -C stranger -f stranger
echo "lingate-release namespaces=\"lingate-release\" $(cut -d ' ' -f 1,2 ours.pub)" > signers

release() { # FOLDER VERSION SERIAL KEY
    mkdir "$1"
    echo "program of $2" > "$1/lingate_$2_amd64.deb"
    echo "list of $2" > "$1/sbom.cdx.json"
    "$here/release.sh" "$2" "$3" "$1" "$4" >/dev/null
}
good() { "$here/verify-release.sh" "$@" >said 2>&1 || { cat said; echo "a good release was refused: $*"; exit 1; }; }
bad() { # WORDS, then the arguments
    local words=$1
    shift
    if "$here/verify-release.sh" "$@" >said 2>&1; then echo "taken, and it must not be: $words"; exit 1; fi
    grep -qF -- "$words" said || { cat said; echo "refused for another reason than: $words"; exit 1; }
    refused=$((refused + 1))
}
refused=0

release first 0.1.0 1 ours
release second 0.2.0 2 ours
release foreign 0.3.0 3 stranger
release twin 0.2.1 2 ours

good first signers seen
good first signers seen # once more
good second signers seen
bad "an older release may bring mended weaknesses back" first signers seen
good first signers seen --older
grep -q '^2 ' seen # going back on purpose forgets nothing
bad "two different releases have number 2" twin signers seen
bad "is not signed by a key of" foreign signers seen
grep -q '^2 ' seen # what was refused leaves no trace

spoil() { rm -rf spoilt && cp -r second spoilt && (cd spoilt && eval "$1"); }
spoil 'printf x | dd of=lingate_0.2.0_amd64.deb bs=1 seek=3 conv=notrunc status=none'
bad "is not the file that was signed" spoilt signers seen
spoil 'echo more >> sbom.cdx.json'
bad "another size" spoilt signers seen
spoil 'rm sbom.cdx.json'
bad "sbom.cdx.json is missing" spoilt signers seen
spoil 'rm sbom.cdx.json && ln -s ../second/sbom.cdx.json .'
bad "sbom.cdx.json is missing" spoilt signers seen
spoil 'echo extra > postinst.sh'
bad "is not part of the release" spoilt signers seen
spoil 'sed -i "s/^serial 2/serial 9/" RELEASE'
bad "is not signed by a key of" spoilt signers seen
spoil 'sed -i "/sbom/d" RELEASE && rm sbom.cdx.json'
bad "is not signed by a key of" spoilt signers seen
spoil 'rm RELEASE.sig'
bad "this is no signed release" spoilt signers seen
# Signed by our key, for another purpose.
spoil 'rm RELEASE.sig && ssh-keygen -q -Y sign -n file -f ../ours RELEASE'
bad "is not signed by a key of" spoilt signers seen
echo "x" > broken
bad "cannot be understood" second signers broken
echo "3 releases taken, $refused refused with their reasons"
