#!/bin/bash
# bench_files.sh BUILD [SERVER] - operations on the files of a mount of its own; a table
set -eu
build=$(cd "$1" && pwd)
server=${2:-$build/ubpffs}
work=$(mktemp -d)
M=$work/m
mkdir "$M"
cleanup() {
	umount "$M" 2>/dev/null || fusermount3 -u "$M" 2>/dev/null || true
	[ -z "${pid:-}" ] || wait "$pid" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

"$server" -f -o state="$work/state" "$M" &
pid=$!
for _ in $(seq 100); do [ -e "$M/version" ] && break; sleep 0.1; done
"$build/tests/bench/bench_files" "$M" -rounds "${BENCH_ROUNDS:-101}"
