#!/bin/bash
# bench_local.sh BUILD - a program of a mount in a process of one's own beside the engine's own; a table
set -eu
build=$(cd "$1" && pwd)
work=$(mktemp -d)
M=$work/m
mkdir "$M"
cleanup() {
	umount -l "$M" 2>/dev/null || fusermount3 -uz "$M" 2>/dev/null || true
	[ -z "${server:-}" ] || wait "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

"$build/ubpffs" -f -o state="$work/state" "$M" &
server=$!
for _ in $(seq 100); do [ -e "$M/version" ] && break; sleep 0.1; done
cat "$build/tests/progs/local.bpf.o" >"$M/progs/new"
"$build/tests/bench/bench_local" "$M" "$build/tests/progs/local.bpf.o" "${BENCH_ROUNDS:-15}"
