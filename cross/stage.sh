#!/usr/bin/env bash
# stage.sh ARCH PROGRAM FOLDER   lays out below FOLDER what every package of ARCH installs.
#
# HOST_LINGATE names a lingate that runs on this machine: it writes the manual pages and the completions.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
architecture "$1"
program=$2 stage=$3
host=${HOST_LINGATE:?a lingate that runs here, for manual pages and completions}
umask 022
cd "$root"

put() { install -D -m "$1" "$2" "$stage/$3"; }

put 755 "$program" usr/bin/lingate
put 644 systemd/lingate.service usr/lib/systemd/system/lingate.service
put 644 systemd/sysusers.d/lingate.conf usr/lib/sysusers.d/lingate.conf
put 644 systemd/tmpfiles.d/lingate.conf usr/lib/tmpfiles.d/lingate.conf
install -d -m 750 "$stage/etc/lingate"

doc=usr/share/doc/lingate
for page in README.md README.zh-CN.md CHANGELOG.md SECURITY.md docs/*.md docs/plant-it/*.md systemd/README.md; do
    case $page in systemd/*) put 644 "$page" "$doc/systemd.md" ;; *) put 644 "$page" "$doc/$(basename "$page")" ;; esac
done
put 644 cross/packaging/copyright "$doc/copyright"
for example in config/examples/*.toml; do put 644 "$example" "$doc/examples/$(basename "$example")"; done
for file in systemd/monitoring/* systemd/lingate.service.d/*.conf systemd/udev/*.rules; do put 644 "$file" "$doc/examples/${file#systemd/}"; done

"$host" man "$stage/usr/share/man/man1"
gzip -9n "$stage"/usr/share/man/man1/*.1
mkdir -p "$stage"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
"$host" completions bash > "$stage/usr/share/bash-completion/completions/lingate"
"$host" completions zsh > "$stage/usr/share/zsh/vendor-completions/_lingate"
"$host" completions fish > "$stage/usr/share/fish/vendor_completions.d/lingate.fish"

cross/sbom.py "$target" > "$stage/$doc/sbom.cdx.json"
