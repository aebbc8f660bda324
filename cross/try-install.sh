#!/usr/bin/env bash
# try-install.sh PACKAGE.deb   types the commands of docs/plant-it/install.md in a fresh Debian, until data is in the sandbox.
#
# The machine, the broker (mosquitto) and the sandbox run beside it, on this computer. What a person does there by hand - the
# editor, the operator's answer, starting the service where no systemd runs - is at the top of the script inside. PROGRAMS:
# the folder with lingate-sandbox and lingate-plant (default target/release).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
package=$(realpath "$1")
programs=$(realpath "${PROGRAMS:-$root/target/release}")
debian=$home/debian-12
[ -e "$debian.done" ] || die "run cross/try-packages.sh first: it makes the Debian"
installed mosquitto
work=$(mktemp -d)
children=()
# What was started ends with this script, and the Debian is left as it was.
cleanup() {
    [ ! -e "$debian/root/try/daemon.pid" ] || as_root kill "$(cat "$debian/root/try/daemon.pid")" || true
    kill "${children[@]}" 2>/dev/null || true
    wait || true
    as_root chroot "$debian" /bin/bash -c 'dpkg -P lingate; rm -rf /root/try' >/dev/null 2>&1 || true
    as_root umount "$debian/proc" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# free_port   one that nobody uses
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
cd "$work"
"$programs/lingate-sandbox" init authority --port "$port" >/dev/null
PATH="/usr/sbin:$PATH" mosquitto -c authority/mosquitto.conf >mosquitto.log 2>&1 &
children+=($!)
"$programs/lingate-plant" --device extruder --listen 127.0.0.1:0 >plant.log 2>&1 &
children+=($!)
for _ in $(seq 100); do grep -q '127.0.0.1:' plant.log && break; sleep 0.1; done
machine=$(grep -o '127.0.0.1:[0-9]*' plant.log | head -n 1)

as_root mkdir -p "$debian/root/try"
as_root cp "$package" "$debian/root/try/lingate_0.1.0_amd64.deb"
as_root mount -t proc proc "$debian/proc"
# Every command of the page, in its order.
awk '/^```sh$/ {inside = 1; next} /^```$/ {inside = 0} inside' "$root/docs/plant-it/install.md" > commands
{
    cat <<'SHIMS'
set -euo pipefail
cd /root/try
apt-get() { dpkg -i "${@: -1}"; }
editor() {
    if [ -e root.json ]; then
        sed -i "s/^root_sha256 = .*/root_sha256 = \"$(sha256sum root.json | cut -d' ' -f1)\"/" "$1"
    else
        sed -i "s|^broker = .*|broker = \"mqtts://localhost:$BROKER_PORT\"|; s|^address = .*|address = \"$MACHINE\"|" "$1"
    fi
}
# The operator's answer lies here as soon as there is a request.
runuser() {
    command runuser "$@"
    if [ -e /var/lib/lingate/enroll.json ] && [ ! -e answered ]; then
        cp /var/lib/lingate/enroll.json . && touch asked
        for _ in $(seq 300); do [ -e answered ] && break; sleep 0.1; done
    fi
}
systemctl() {
    setpriv --reuid lingate --regid lingate --init-groups -- lingate run --config /etc/lingate/lingate.toml > /root/try/daemon.log 2>&1 &
    echo $! > /root/try/daemon.pid
    { set +x; for _ in $(seq 300); do lingate status >/dev/null 2>&1 && break; sleep 0.1; done; set -x; } 2>/dev/null
}
PS4='$ '
set -x
SHIMS
    cat commands
} > typed
as_root cp typed "$debian/root/try/typed"
as_root chroot "$debian" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
    BROKER_PORT="$port" MACHINE="$machine" /bin/bash /root/try/typed > typed.log 2>&1 &
typing=$!
children+=("$typing")

try=$debian/root/try
for _ in $(seq 600); do as_root test -e "$try/asked" && break; kill -0 "$typing" 2>/dev/null || break; sleep 0.1; done
as_root cat "$try/enroll.json" > enroll.json || { cat typed.log; die "no request was made"; }
"$programs/lingate-sandbox" issue authority enroll.json >/dev/null
for file in gateway.pem sandbox-ca.pem root.json bundle.jws.json; do as_root cp "authority/gateways/gw-0001/$file" "$try/"; done
"$programs/lingate-sandbox" receive authority --role role:oem-quality --broker "mqtts://localhost:$port" --store sqlite:received.db --for 60 >receive.log 2>&1 &
children+=($!)
as_root touch "$try/answered"
wait "$typing" || { cat typed.log; as_root cat "$try/daemon.log" || true; die "a command of install.md failed"; }
tail -n 4 typed.log
for _ in $(seq 300); do
    readings=$("$programs/lingate-sandbox" report --store sqlite:received.db --json 2>/dev/null \
        | python3 -c 'import json, sys; print(sum(d["readings"] for d in json.load(sys.stdin)["datasets"]))' 2>/dev/null || echo 0)
    [ "$readings" -gt 0 ] && break
    sleep 0.1
done
[ "$readings" -gt 0 ] || { cat typed.log receive.log; die "nothing reached the sandbox"; }
say "install.md: $(wc -l < commands) commands typed, $readings readings opened by the sandbox"
