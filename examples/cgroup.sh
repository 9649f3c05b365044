#!/bin/bash
# cgroup.sh BUILD - a firewall for the processes of a cgroup, made of directories and echo
#
# Runs in a network namespace of its own: mounts a bpffs that enforces, loads examples/firewall.bpf.c, puts real
# processes into cgroups and shows which of their packets arrive. Needs root (the host's cgroup v2 is written to; all
# of it goes when the server ends).
set -eu
if [ "$(id -u)" != 0 ]; then
	echo "demo-cgroup: run it as root; see -o enforce in docs/reference.md for how to do without" >&2
	exit 1
fi
[ "${2:-}" = inside ] || exec unshare -n bash "$0" "$1" inside
build=$(cd "$1" && pwd)
work=$(mktemp -d)
M=$work/mnt
mkdir "$M"
cleanup() {
	cd /
	for job in $(jobs -p); do kill -- -"$job" 2>/dev/null || true; done
	fusermount3 -u -z "$M" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'echo "demo-cgroup: failed at line $LINENO" >&2; cat "$M/log" >&2' ERR

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() {
	printf '$ %s\n' "$(echo "$1" | sed "s|$M|M|g; s|$build|build|g; s|$work/||g")"
	bash -c "$1" 2>&1 | sed "s|$M|M|g"
	return "${PIPESTATUS[0]}"
}
# talk CGROUP PORT: does a process of that cgroup reach the server on that port?
talk() {
	if bash -c "echo 0 > $M/cgroup/$1/cgroup.procs; nc -N -w 1 127.0.0.1 $2 </dev/null" >"$work/heard" 2>&1; then
		echo "a process of $1 reaches port $2: $(cat "$work/heard")"
	else
		echo "a process of $1 does not reach port $2"
	fi
}

ip link set lo up
set -m # each of them a process group, so that what it started ends with it
for port in 8080 8443; do
	while true; do echo "hello from $port" | nc -l -N 127.0.0.1 $port >/dev/null; done &
done
set +m

say "A server that enforces: directories of M/cgroup are cgroups of the host."
run "$build/ubpffs -o enforce,state=$work/state $M"
run "cat $build/examples/firewall.bpf.o > $M/progs/new"
run "mkdir -p $M/cgroup/app/worker $M/cgroup/other"

say "Attached to app, the program is effective for all below it."
run "echo firewall > $M/cgroup/app/egress.attach; grep . $M/cgroup/*/egress.effective $M/cgroup/app/worker/egress.effective"
talk app/worker 8080

say "Block a port: one echo. It holds for the next packet."
run "echo 0 > $M/maps/blocked/entries/8080"
talk app/worker 8080
talk app/worker 8443
talk other 8080
run "cat $M/maps/blocked/dump; head -n 6 $M/cgroup/app/worker/stats"

say "And free again."
run "rm $M/maps/blocked/entries/8080"
talk app/worker 8080
say "Done. When the server ends, its rules and cgroups go with it."
