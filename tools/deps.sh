#!/bin/sh
# deps.sh LIST SECTION - install the Debian packages of a section that are missing; asks nothing.
# Silent and without privilege when everything is there. Without root or sudo it names them.
set -eu
installed() {
	dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'
}
# The alternatives of each line that has none installed, joined by |.
missing=
for line in $(sed -n "/^\[$2\]/,/^\[/{s/#.*//; s/ *| */|/g; /^\[/d; p}" "$1"); do
	found=
	for p in $(echo "$line" | tr '|' ' '); do
		! installed "$p" || found=yes
	done
	[ -n "$found" ] || missing="$missing $line"
done
[ -n "$missing" ] || exit 0
as=
if [ "$(id -u)" != 0 ]; then
	as='sudo -n'
	if ! $as true 2>/dev/null; then
		echo "deps: missing packages; as root: apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
fi
$as apt-get update -q >/dev/null || true
packages=
for line in $missing; do
	chosen=
	for p in $(echo "$line" | tr '|' ' '); do
		[ -n "$chosen" ] || [ -z "$(apt-cache madison "$p" 2>/dev/null)" ] || chosen=$p
	done
	packages="$packages ${chosen:-${line%%|*}}"
done
echo "installing:$packages"
if ! $as sh -c 'DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends '"$packages"' >/dev/null'; then
	echo "deps: could not install:$packages (run 'make deps' as root, or install them by hand)" >&2
	exit 1
fi
