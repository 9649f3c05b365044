#!/bin/sh
# bench_cgroup.sh BUILD - the way of packets through -o enforce, in two network namespaces of its own; prints a table.
set -eu
build=$(cd "$1" && pwd)
bench=$build/tests/bench/bench_cgroup
if [ "${2:-}" != inside ]; then
	if [ "$(id -u)" != 0 ] || ! unshare -n true 2>/dev/null; then
		echo "(not measured: network namespaces need root here)"
		exit 0
	fi
	exec unshare -n sh "$0" "$build" inside
fi

dir=$(mktemp -d)
m=$dir/m
mkdir "$m"
server='' peer=''
finish() {
	umount "$m" 2>/dev/null || true
	[ -z "$server" ] || wait "$server" || true
	[ -z "$peer" ] || kill "$peer" 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT

ip link set lo up
unshare -n sleep 600 &
peer=$!
sleep 0.2
ip link add ubench0 type veth peer name ubench1 netns "$peer"
ip address add 10.99.0.1/24 dev ubench0
ip link set ubench0 up
nsenter --net=/proc/$peer/ns/net sh -c \
	'ip link set lo up; ip address add 10.99.0.2/24 dev ubench1; ip link set ubench1 up'

"$build/ubpffs" -f -o "state=$dir/state,enforce" "$m" &
server=$!
for _ in $(seq 200); do
	[ -e "$m/version" ] && break
	kill -0 $server 2>/dev/null || { server=''; echo "(not measured: packets cannot be queued here)"; exit 0; }
	sleep 0.05
done
cat "$build/tests/progs/cgroup_verdicts.bpf.o" >"$m/progs/new"
mkdir -p "$m/cgroup/A" "$m/cgroup/1/2/3/4/5/6/7/8"
echo allow >"$m/cgroup/egress.attach"
echo allow >"$m/cgroup/ingress.attach"

tcp() {
	nsenter --net=/proc/$peer/ns/net "$bench" sink 10.99.0.2 &
	sink=$!
	"$bench" tcp 10.99.0.2 "$1"
	wait $sink
}
row() { # name, command: without, in a cgroup, in a deep one
	name=$1
	shift
	echo "| $name | $("$@" -) | $("$@" "$m/cgroup/A/cgroup.procs") | $("$@" "$m/cgroup/1/2/3/4/5/6/7/8/cgroup.procs") |"
}
echo "| | outside | in a cgroup | 8 deeper |"
echo "| --- | ---: | ---: | ---: |"
row "UDP there and back over lo, 4 hooks, ns" "$bench" rr
row "UDP packets a second, one at a time, 1 hook" "$bench" packets 1
row "UDP packets a second, 1000 at a time, 1 hook" "$bench" packets 1000
row "TCP over veth, Gbit/s" tcp

echo
echo "| a packet of 64 bytes through \`egress.run\`, ns | one descriptor | open and close each time |"
echo "| --- | ---: | ---: |"
for name in . A 1/2/3/4/5/6/7/8; do
	echo "| \`cgroup/$name\` | $("$bench" run "$m/cgroup/$name/egress.run" | sed 's/ / | /') |"
done
echo
echo "What \`mkdir\` of a cgroup costs with \`-o enforce\`: a directory of the host, a queue, a share of a transaction of rules."
echo
mkdir "$m/cgroup/many"
"$bench" mkdir "$m/cgroup/many"
