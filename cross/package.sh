#!/usr/bin/env bash
# package.sh ARCH PROGRAM VERSION OUT   makes OUT/lingate_VERSION_ARCH.deb, .rpm and .tar.gz, with their SHA-256.
#
# dpkg-deb, rpmbuild and tar do the work. The same program and commit give the same bytes: all times are the commit's.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/targets.sh"
architecture "$1"
program=$(realpath "$2") version=$3
mkdir -p "$4"
out=$(realpath "$4")
parts=$root/cross/packaging
maintainer=${MAINTAINER:-lingate maintainers <maintainers@lingate.invalid>}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
installed rpm binutils xz-utils
# An unprivileged mktemp folder is 0700, and the package would hold that.
chmod 755 "$work"

"$root/cross/stage.sh" "$1" "$program" "$work/stage"
find "$work/stage" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
# What the program asks of the C library, read from the program.
glibc=$(LC_ALL=C objdump -T "$program" 2>/dev/null | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1 || true)
[ -n "$glibc" ] || glibc=$("$gcc-objdump" -T "$program" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1)
glibc=${glibc#GLIBC_}

make_deb() {
    local tree=$work/deb doc=usr/share/doc/lingate
    cp -a "$work/stage" "$tree"
    gzip -9n "$tree/$doc/CHANGELOG.md"
    mv "$tree/$doc/CHANGELOG.md.gz" "$tree/$doc/changelog.gz"
    mkdir "$tree/DEBIAN"
    for script in postinst prerm postrm; do install -m 755 "$parts/$script" "$tree/DEBIAN/$script"; done
    cat > "$tree/DEBIAN/control" <<CONTROL
Package: lingate
Version: $version
Architecture: $deb
Maintainer: $maintainer
Depends: libc6 (>= $glibc), libgcc-s1, systemd | systemd-standalone-sysusers
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$tree" | cut -f1)
Section: net
Priority: optional
Description: edge telemetry gateway with sealed store and forward
 Reads machines over OPC UA and Modbus, keeps what a rule allows, seals it for
 the recipients that a trusted sandbox named, stores it on local disk until it
 is acknowledged, and streams it by mutually authenticated MQTT.
CONTROL
    (cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums)
    find "$tree" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/lingate_${version}_$deb.deb" >/dev/null
}

make_rpm() {
    local wanted="libc.so.6(GLIBC_$glibc), libgcc_s.so.1"
    [ "$1" = armhf ] || wanted="libc.so.6(GLIBC_$glibc)(64bit), libgcc_s.so.1()(64bit)"
    sed -e "s|@VERSION@|$version|; s|@WANTED@|$wanted|; s|@STAGE@|$work/stage|" "$parts/lingate.spec" > "$work/lingate.spec"
    rpmbuild -bb --quiet --target "$rpm-linux" --define "_topdir $work/rpm" --define "_rpmdir $out" \
        --define "_rpmfilename lingate-%{version}-1.$rpm.rpm" --define "_buildhost lingate.invalid" \
        --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" "$work/lingate.spec"
}

make_tarball() {
    local name=lingate-$version-$deb
    cp -a "$work/stage" "$work/$name"
    install -m 755 "$parts/install.sh" "$work/$name/install.sh"
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$work" -c "$name" | gzip -9n > "$out/$name.tar.gz"
}

make_deb
make_rpm "$1"
make_tarball
(cd "$out" && sha256sum "lingate_${version}_$deb.deb" "lingate-$version-1.$rpm.rpm" "lingate-$version-$deb.tar.gz" > "lingate-$version-$deb.sha256")
cp "$work/stage/usr/share/doc/lingate/sbom.cdx.json" "$out/lingate-$version-$deb.cdx.json"
(cd "$out" && ls -l "lingate_${version}_$deb.deb" "lingate-$version-1.$rpm.rpm" "lingate-$version-$deb.tar.gz" | awk '{print $5, $NF}')
