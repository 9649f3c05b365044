#!/bin/bash
# demo.sh BUILD [PCAP] - the main job, end to end, on real packets
#
# Mounts a bpffs in a private directory, loads examples/traffic.bpf.c, makes a second map by hand, captures
# traffic that it generates on the loopback of a network namespace of its own (or takes PCAP), runs the packets
# through the program, shows the counts, a rejected program and its log, pins, a killed shell, a killed server.
set -eu
build=$(cd "$1" && pwd)
pcap=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
M=$work/mnt
mkdir "$M"
cleanup() {
	cd /
	fusermount3 -u -z "$M" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'echo "demo: failed at line $LINENO" >&2' ERR

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
# Show a command as the user would type it, then run it.
run() {
	printf '$ %s\n' "$(echo "$1" | sed "s|$M|M|g; s|$build|build|g; s|$work/||g")"
	bash -c "$1" 2>&1 | sed "s|$M|M|g"
	return "${PIPESTATUS[0]}"
}

say "Mount. The state is a directory; the server is a FUSE filesystem like any other."
run "$build/ubpffs -o state=$work/state $M"
run "ls $M; cat $M/README | head -20"

say "Load a program: write its object file. The verifier decides while you write."
run "cat $build/examples/traffic.bpf.o > $M/progs/new"
run "ls $M/progs $M/progs/traffic $M/maps"
run "cat $M/progs/traffic/info"

say "A map of your own: mkdir, then one echo an attribute."
run "mkdir $M/maps/mine; cd $M/maps/mine; echo hash > type; echo 4 > key_size; echo 8 > value_size; echo 100 > max_entries"
run "echo 17 > $M/maps/mine/entries/42; echo 0x10 > $M/maps/mine/entries/7; ls $M/maps/mine/entries; cat $M/maps/mine/dump"
if run "for k in \$(seq 200 400); do echo 1 > $M/maps/mine/entries/\$k || exit; done" 2>&1; then false; else
	run "tail -n 1 $M/log; cat $M/maps/mine/stats"
fi

if [ -z "$pcap" ]; then
	pcap=$work/real.pcap
	say "Real traffic: TCP, UDP and ping on the loopback of a network namespace, captured by tcpdump."
	cat >"$work/traffic.sh" <<'T'
ip link set lo up
[ "$(id -u)" != 0 ] || keep="-Z root"
tcpdump ${keep:-} -i lo -U --immediate-mode -w "$1" 2>/dev/null &
dump=$!
for i in $(seq 50); do [ -s "$1" ] && break; sleep 0.1; done
for port in 8080 8443; do
	nc -l -N 127.0.0.1 $port < "$2" >/dev/null &
	for i in $(seq 50); do nc -N 127.0.0.1 $port </dev/null >/dev/null 2>&1 && break; sleep 0.1; done
done
for i in 1 2 3 4 5; do echo hello | nc -u -w 0 127.0.0.1 5353 || true; done
ping -c 3 -i 0.2 127.0.0.1 >/dev/null || true
ping -6 -c 2 -i 0.2 ::1 >/dev/null || true
sleep 0.5
kill $dump
wait $dump
T
	if [ "$(id -u)" = 0 ]; then ns="unshare -n"; else ns="unshare -nc --keep-caps"; fi
	if ! $ns true; then
		echo "demo: no network namespace to be had; give it a capture: make demo PCAP=FILE" >&2
		exit 1
	fi
	$ns bash "$work/traffic.sh" "$pcap" README.md
	tcpdump -r "$pcap" 2>/dev/null | wc -l | sed 's/$/ packets captured/'
fi

say "Push every packet through the JITed program."
run "$build/ubpfctl -m $M push traffic $pcap"

say "What it counted. A key is protocol * 100000 + port."
run "cat $M/maps/port_packets/dump"
run "cat $M/maps/port_bytes/dump"
run "grep -v ' 0\$' $M/maps/proto_packets/dump"

say "A program that is not safe is refused, and the log says why."
if run "cat $build/examples/unsafe.bpf.o > $M/progs/new"; then
	echo "demo: the unsafe program was accepted" >&2
	exit 1
fi
run "head -n 12 $M/progs/log; ls $M/progs"

say "Pins are hard links. A shell that dies takes nothing with it."
run "mkdir $M/app; ln $M/progs/traffic/prog $M/app/counter; ln $M/maps/port_bytes/map $M/app/bytes; kill -9 \$\$" 2>/dev/null || true
run "ls -l $M/app; cat $M/maps/port_bytes/dump | wc -l"

say "Nor does a server that is killed: its keeper starts the next one, and what is open goes on."
run "exec 3<$M/maps/port_bytes/dump; kill -9 \$(sed -n 's/^pid: //p' $M/status); wc -l <&3; tail -n 1 $M/log"

say "All of it is in the state directory: end the server, and start it again."
run "fusermount3 -u $M"
run "$build/ubpffs -o state=$work/state $M"
run "ls $M/progs $M/maps $M/app; cat $M/maps/mine/stats | head -n 1; cat $M/maps/port_bytes/dump"
say "Done. Take it down with: fusermount3 -u M"
