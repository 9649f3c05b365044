#!/bin/sh
# deps.sh LIST - install the Debian packages of LIST that are missing; asks nothing.
# Silent and without privilege when everything is there.
set -eu
missing=
for p in $(sed 's/#.*//' "$1"); do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
as=
[ "$(id -u)" = 0 ] || as='sudo -n'
export DEBIAN_FRONTEND=noninteractive
if ! $as sh -c 'apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends '"$missing"' >/dev/null'; then
	echo "deps: could not install:$missing (run 'make deps' as root, or install them by hand)" >&2
	exit 1
fi
