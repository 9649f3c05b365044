#!/bin/sh
# root.sh DIR RELEASE COMMAND... - run a command as root in a Debian of its own, in /src a copy of this checkout
#
# DIR is made by debootstrap at the first time and kept; what a command mounts is in a mount namespace of its own, and goes
# with it. Exits with 77 and a sentence where that cannot be done.
set -eu
dir=$1
release=$2
shift 2
cannot() {
	echo "not run: $1"
	exit 77
}
[ "$(id -u)" = 0 ] || cannot "a root of its own is made and entered by root only"
command -v debootstrap >/dev/null || cannot "debootstrap is not installed (apt-get install debootstrap)"
unshare -m true 2>/dev/null || cannot "no mount namespace can be made here"
mirror=${MIRROR:-http://deb.debian.org/debian}
if [ ! -e "$dir/made" ]; then
	rm -rf "$dir"
	mkdir -p "$dir"
	if ! timeout 1200 debootstrap --variant=minbase --include=git,make,ca-certificates "$release" "$dir" "$mirror" \
		>"$dir.log" 2>&1; then
		tail -n 1 "$dir.log"
		cannot "debootstrap of $release from $mirror failed (MIRROR names another; $dir.log)"
	fi
	: >"$dir/made"
fi
! [ -e /etc/resolv.conf ] || cp /etc/resolv.conf "$dir/etc/resolv.conf"
ln -sf ../proc/self/mounts "$dir/etc/mtab" # fusermount3 -u asks it
mkdir -p "$dir/src"
# What another checkout had and this one has not would be built, too.
find "$dir/src" -mindepth 1 -maxdepth 1 ! -name 'build*' -exec rm -rf {} +
# New times (-m): what another checkout built there is older, whatever its files' own times are.
git ls-files | tar cf - -T - | tar xf - -m --no-same-owner -C "$dir/src"
exec unshare -m sh -c '
	dir=$1
	shift
	mount --bind "$dir" "$dir" && mount -t proc proc "$dir/proc" && mount --rbind /sys "$dir/sys" && mount --rbind /dev "$dir/dev" || exit 77
	exec chroot "$dir" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TERM=dumb \
		sh -c "cd /src && exec \"\$@\"" sh "$@"' sh "$dir" "$@"
