#!/bin/sh
# install.sh   for boxes without dpkg or rpm: run as root in the unpacked folder. DESTDIR=... installs below that folder.
# Takes nothing away: /etc/lingate and /var/lib/lingate stay as they are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=${DESTDIR:-}
mkdir -p "$to/usr"
cp -a "$here/usr/." "$to/usr/"
[ -z "$to" ] || exit 0
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers /usr/lib/sysusers.d/lingate.conf
else
    id lingate >/dev/null 2>&1 || useradd --system --home-dir /var/lib/lingate --no-create-home --shell /usr/sbin/nologin lingate
fi
mkdir -p /etc/lingate /var/lib/lingate/inbox /var/lib/lingate/veto
chown root:lingate /etc/lingate && chmod 750 /etc/lingate
chown lingate:lingate /var/lib/lingate /var/lib/lingate/inbox /var/lib/lingate/veto && chmod 700 /var/lib/lingate /var/lib/lingate/inbox /var/lib/lingate/veto
if [ -d /run/systemd/system ]; then systemctl daemon-reload && systemctl enable lingate.service; fi
echo "next: /usr/share/doc/lingate/install.md"
