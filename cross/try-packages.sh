#!/usr/bin/env bash
# try-packages.sh OLD.deb NEW.deb [NEW.rpm]   installs, upgrades, removes and purges in a fresh Debian of its own.
#
# Needs root for debootstrap and chroot; touches nothing outside that folder, which is kept as a cache.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
old=$1 new=$2 rpm_file=${3:-}
debian=$home/debian-12
installed debootstrap
if [ ! -e "$debian.done" ]; then
    say "debootstrap"
    rm -rf "$debian"
    mkdir -p "$home"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
    as_root debootstrap --variant=minbase --include=systemd,init-system-helpers,rpm bookworm "$debian" "$mirror" > "$home/debootstrap.log" 2>&1 \
        || { tail -n 5 "$home/debootstrap.log"; die "debootstrap failed"; }
    # An installed Debian has it; a bootstrapped one does not.
    echo "127.0.0.1 localhost" | as_root tee "$debian/etc/hosts" >/dev/null
    touch "$debian.done"
fi
as_root cp "$old" "$debian/root/old.deb"
as_root cp "$new" "$debian/root/new.deb"
[ -z "$rpm_file" ] || as_root cp "$rpm_file" "$debian/root/new.rpm"
as_root chroot "$debian" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive /bin/bash -eu <<'INSIDE'
dpkg -P lingate >/dev/null 2>&1 || true
is() { [ "$2" = "$3" ] || { echo "$1: expected \"$2\", is \"$3\""; exit 1; }; }
leftovers() { find / -xdev \( -path /proc -o -path /sys -o -path /root \) -prune -o -name '*lingate*' -print; }

dpkg -i /root/old.deb
is "the user's shell" /usr/sbin/nologin "$(getent passwd lingate | cut -d: -f7)"
is "/etc/lingate" 750:root:lingate "$(stat -c %a:%U:%G /etc/lingate)"
is "/var/lib/lingate" 700:lingate:lingate "$(stat -c %a:%U:%G /var/lib/lingate)"
[ -L /etc/systemd/system/multi-user.target.wants/lingate.service ] || { echo "not enabled"; exit 1; }
lingate --version
lingate selftest --state /var/lib/lingate
lingate sample modbus-tcp > /etc/lingate/lingate.toml
echo unsent > /var/lib/lingate/inbox/kept
gzip -t /usr/share/man/man1/lingate.1.gz

dpkg -i /root/new.deb
[ -s /etc/lingate/lingate.toml ] && [ -s /var/lib/lingate/inbox/kept ] || { echo "the upgrade took something away"; exit 1; }
dpkg -r lingate
[ ! -e /usr/bin/lingate ] && [ -s /etc/lingate/lingate.toml ] && [ -s /var/lib/lingate/inbox/kept ] || { echo "remove took too much, or too little"; exit 1; }
dpkg -P lingate
is "left behind by purge" "" "$(leftovers)"

if [ -e /root/new.rpm ]; then
    rpm --nodeps --force-debian -i /root/new.rpm
    lingate --version
    is "/etc/lingate of the rpm" 750:root:lingate "$(stat -c %a:%U:%G /etc/lingate)"
    rpm --nodeps --force-debian -e lingate
    [ ! -e /usr/bin/lingate ] || { echo "the rpm left its program"; exit 1; }
    rm -rf /root/new.rpm /etc/lingate /var/lib/lingate
fi
INSIDE
say "install, upgrade, remove and purge leave what they should"
