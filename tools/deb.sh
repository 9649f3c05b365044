#!/bin/sh
# deb.sh DIR - build the Debian packages of what is committed into DIR, and let lintian look at them
set -eu
dir=$1
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
rm -rf "$dir" && mkdir -p "$dir"
git archive --prefix="ubpffs-$version/" HEAD | tar -x -C "$dir"
(cd "$dir/ubpffs-$version" && dpkg-buildpackage -us -uc -b > ../build.log 2>&1) || {
	tail -n 30 "$dir/build.log" >&2
	exit 1
}
rm -r "$dir/ubpffs-$version"
lintian --fail-on error,warning "$dir"/*.changes
ls "$dir"/*.deb
