#!/bin/bash
# bench_events.sh BUILD - samples a second, and what one costs the server
set -eu
build=$(cd "$1" && pwd)
seconds=${BENCH_SECONDS:-3}
work=$(mktemp -d)
M=$work/m
mkdir "$M"
burn=
cleanup() {
	[ -z "$burn" ] || kill "$burn" 2>/dev/null || true
	umount -l "$M" 2>/dev/null || true
	[ -z "${server:-}" ] || wait "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

"$build/ubpffs" -f -o state="$work/state" "$M" &
server=$!
for _ in $(seq 100); do [ -e "$M/version" ] && break; sleep 0.1; done
cat "$build/examples/profile.bpf.o" >"$M/progs/new"
cat "$build/tests/progs/event_packets.bpf.o" >"$M/progs/new"

stat_of() { sed -n "s/^$1: //p" "$M/events/b/stats"; }
# A process and all below it
below() {
	for p in "$@"; do
		echo "$p"
		# shellcheck disable=SC2046 # a word a process
		below $(cat /proc/"$p"/task/*/children 2>/dev/null)
	done
}
# CPU time of the server's threads, and of the processes that act for it, in nanoseconds
cpu() {
	for p in $(below "$server"); do cat /proc/"$p"/task/*/schedstat 2>/dev/null; done |
		awk '{n += $1} END {printf "%.0f", n}'
}

# NAME UNWIND PROGRAM FREQ
measure() {
	"$build/examples/burn" 60 &
	burn=$!
	mkdir "$M/events/b"
	# shellcheck disable=SC2238 # files whose names are commands
	( cd "$M/events/b"; echo perf >type; echo cpu-clock >event; echo "$2" >unwind; echo $burn >pid; echo "$4" >freq )
	echo "$3" >"$M/events/b/attach"
	sleep 0.5
	run=$(stat_of run); t=$(cpu); start=$(date +%s%N)
	sleep "$seconds"
	run=$(($(stat_of run) - run)); t=$(($(cpu) - t)); ns=$(($(date +%s%N) - start))
	echo "| $1 | $4 | $(awk "BEGIN{printf \"%.0f | %.1f\", $run * 1e9 / $ns, $run ? $t / 1e3 / $run : 0}") | $(stat_of lost) |"
	rmdir "$M/events/b"
	kill $burn
	wait $burn 2>/dev/null || true
	burn=
}

echo "| program | asked for, a thread | samples a second | us of the server's CPU a sample | lost |"
echo "| --- | --- | --- | --- | --- |"
measure "count" fp tick 1000
measure "count" fp tick 20000
measure "two stack ids and a hash map" fp profile 1000
measure "two stack ids and a hash map" fp profile 20000
measure "the same, unwind dwarf" dwarf profile 1000
measure "the same, unwind dwarf" dwarf profile 20000
