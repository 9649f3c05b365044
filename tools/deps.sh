#!/bin/sh
# deps.sh LIST - install the Debian packages of LIST that are missing; asks nothing.
# Silent and without privilege when everything is there. Without root or sudo it names them.
set -eu
missing=
for p in $(sed 's/#.*//' "$1"); do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
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
echo "installing:$missing"
if ! $as sh -c 'apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends '"$missing"' >/dev/null'; then
	echo "deps: could not install:$missing (run 'make deps' as root, or install them by hand)" >&2
	exit 1
fi
