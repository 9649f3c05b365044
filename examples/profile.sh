#!/bin/bash
# profile.sh BUILD [SECONDS] - where a process spends its time, as a picture
#
# Mounts a bpffs in a private directory, starts examples/burn.c, samples it through M/events with examples/profile.bpf.c,
# and writes BUILD/flame.svg (look at it with any browser).
set -eu
build=$(cd "$1" && pwd)
seconds=${2:-4}
work=$(mktemp -d)
M=$work/mnt
mkdir "$M"
burn=
cleanup() {
	cd /
	[ -z "$burn" ] || kill "$burn" 2>/dev/null || true
	fusermount3 -u -z "$M" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'echo "demo-profile: failed at line $LINENO" >&2; cat "$M/log" >&2' ERR

run() {
	printf '$ %s\n' "$(echo "$1" | sed "s|$M|M|g; s|$build|build|g; s|$work/||g")"
	bash -c "$1" 2>&1 | sed "s|$M|M|g"
	return "${PIPESTATUS[0]}"
}

run "$build/ubpffs -o state=$work/state $M"
run "cat $build/examples/profile.bpf.o > $M/progs/new"
"$build/examples/burn" $((seconds + 2)) &
burn=$!
run "mkdir $M/events/cpu; cd $M/events/cpu; echo perf > type; echo cpu-clock > event; echo $burn > pid; echo 999 > freq; echo profile > attach"
run "echo $burn > $M/maps/stacks/symbols"
sleep "$seconds"
run "echo > $M/events/cpu/attach; cat $M/events/cpu/stats"
run "$build/ubpfctl -m $M flame -t 'examples/burn, cpu-clock' $M/maps/stacks $M/maps/counts > $build/flame.svg"
run "$build/ubpfctl -m $M flame --folded stacks counts | sort -k 2 -n -r -t ' ' | head -n 5"
run "ls -l $build/flame.svg"
