#!/usr/bin/env bash
# Builds the Debian package: deploy/deb/build.sh [DIR]   (default: build/ of the checkout)
# It holds the wheels of uv.lock and the files of deploy/; its scripts call the install.sh that it brings, so it does the
# same. It fits the release of Debian or Ubuntu it is built on. DEBFULLNAME and DEBEMAIL name who maintains it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=$(mkdir -p "${1:-$root/build}" && cd "${1:-$root/build}" && pwd)
deploy=$root/deploy
maintainer="${DEBFULLNAME:-Stock GRIP Live} <${DEBEMAIL:-stockgrip@$(hostname -d 2>/dev/null | grep . || echo stockgrip.invalid)}>"

"$deploy/wheels.sh" "$target/wheels"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml" | head -n 1)-1
architecture=$(dpkg --print-architecture)
python=$(cat "$target/wheels/PYTHON")
date=$(git -C "$root" log -1 --format=%cD 2>/dev/null || date -R)

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 0755 "$tree"
umask 022

lib=$tree/usr/lib/stockgrip
install -d "$lib/wheels" "$tree/DEBIAN"
install -m 0755 "$deploy/install.sh" "$deploy/stockgrip" "$lib"
services=("$deploy"/stockgrip.service "$deploy"/stockgrip-failed@.service "$deploy"/stockgrip-workflow.service)
install -m 0644 "${services[@]}" "$deploy"/*.timer "$deploy"/*.mount "$deploy"/{sysusers,tmpfiles,sshd}.conf "$deploy/config.yaml" "$lib"
install -m 0644 "$root/docs/install.md" "$lib"
install -m 0644 "$target/wheels"/*.whl "$target/wheels"/{SHA256SUMS,RELEASE,PYTHON} "$lib/wheels"
install -D -m 0755 "$deploy/stockgrip" "$tree/usr/bin/stockgrip"
install -D -m 0644 -t "$tree/usr/lib/systemd/system" "${services[@]}" "$deploy"/*.timer "$deploy"/*.mount
install -D -m 0644 "$deploy/sysusers.conf" "$tree/usr/lib/sysusers.d/stockgrip.conf"
install -D -m 0644 "$deploy/tmpfiles.conf" "$tree/usr/lib/tmpfiles.d/stockgrip.conf"
install -D -m 0640 "$deploy/config.yaml" "$tree/etc/stockgrip/config.yaml"

doc=$tree/usr/share/doc/stockgrip-live
install -d "$doc"
ln -s ../../../lib/stockgrip/install.md "$doc/install.md"
install -D -m 0644 -t "$doc/examples" "$deploy"/litestream.yml "$deploy"/stockgrip-litestream.service
cat >"$doc/copyright" <<TEXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: stockgrip-live

Files: *
Copyright: the owners of Stock GRIP Live
License: proprietary
 All rights reserved. Not for distribution.

Files: usr/lib/stockgrip/wheels/*
Copyright: their authors
License: see-packages
 Each wheel holds its licence, in its folder *.dist-info.
TEXT
printf 'stockgrip-live (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$date" | gzip -9n >"$doc/changelog.Debian.gz"

echo /etc/stockgrip/config.yaml >"$tree/DEBIAN/conffiles"
cat >"$tree/DEBIAN/control" <<TEXT
Package: stockgrip-live
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Section: misc
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)
Depends: python3 (>= $python), python3 (<< ${python%.*}.$((${python#*.} + 1))~), python3-systemd, python3-venv, systemd
Recommends: openssh-server
Suggests: postgresql
Description: loads retail CSV feeds exactly once
 Watches a folder of CSV files with sales, stock and demand, checks each row,
 loads each file exactly once into SQLite or PostgreSQL, and brings quality
 metrics, features and alerts up to date.
TEXT

cat >"$tree/DEBIAN/preinst" <<'TEXT'
#!/bin/sh
set -e
if [ -f /etc/systemd/system/stockgrip.service ]; then
  echo "stockgrip was installed by install.sh: remove it first (install.sh --uninstall); data and configuration stay" >&2
  exit 1
fi
TEXT
cat >"$tree/DEBIAN/postinst" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  /usr/lib/stockgrip/install.sh --package --wheels /usr/lib/stockgrip/wheels
fi
TEXT
cat >"$tree/DEBIAN/prerm" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = remove ]; then
  /usr/lib/stockgrip/install.sh --package --uninstall
fi
TEXT
# By the time of `purge` the package's files are gone, so this script holds install.sh itself.
{
  # shellcheck disable=SC2016  # expanded when it runs
  printf '#!/bin/bash\nif [ "$1" != purge ]; then exit 0; fi\nset -- --package --uninstall --purge\n'
  tail -n +2 "$deploy/install.sh"
} >"$tree/DEBIAN/postrm"
chmod 0755 "$tree"/DEBIAN/{preinst,postinst,prerm,postrm}
(cd "$tree" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)

package=$target/stockgrip-live_${version}_$architecture.deb
rm -f "$target"/stockgrip-live_*.deb
dpkg-deb --root-owner-group -Zxz -z0 --build "$tree" "$package" >/dev/null
echo "$package"
