# mount.sh - for benches, which source it with $build set: a mount of their own at $M until they end, files in $work
# shellcheck shell=bash
work=$(mktemp -d)
M=$work/m
mkdir "$M"
cleanup() {
	umount -l "$M" 2>/dev/null || fusermount3 -uz "$M" 2>/dev/null || true
	[ -z "${server:-}" ] || wait "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

start_server() { # [PROGRAM]
	"${1:-$build/ubpffs}" -f -o state="$work/state" "$M" &
	server=$!
	for _ in $(seq 100); do
		[ ! -e "$M/version" ] || return 0
		sleep 0.1
	done
	echo "the server does not start" >&2
	exit 1
}
