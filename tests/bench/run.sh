#!/bin/sh
# run.sh BUILD PAGE - run the benchmarks and write the page; what it says is what was measured.
set -eu
build=$1
page=$2
rounds=${BENCH_ROUNDS:-101}
new=$(mktemp)
trap 'rm -f "$new"' EXIT

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
cpus=$(getconf _NPROCESSORS_ONLN)
virtual=$(grep -q '^flags.*hypervisor' /proc/cpuinfo && echo ', virtual machine' || true)

{
	cat <<EOF
# Performance

Written by \`make bench\` on $(uname -m)${cpu:+, $cpu}, $cpus CPUs$virtual, Linux $(uname -r | sed 's/-.*//').

## How fast programs run

\`$(basename "$build")/tests/bench/bench_exec -rounds $rounds\`: each program of \`tests/progs/bench.bpf.c\` runs in the
kernel's JIT, our JIT and our interpreter by BPF_PROG_TEST_RUN's repeat, the engines taking turns; medians of
$rounds samples, without the time of the empty program of the same engine. A ratio below 1 says that we
are faster. The kernel of this machine returns through a thunk (a CPU mitigation), which each helper call
and each bpf-to-bpf call pays for; we run in a process of our own and do not.

EOF
	"$build"/tests/bench/bench_exec -rounds "$rounds"
	cat <<EOF

## What map operations cost

\`$(basename "$build")/tests/bench/bench_maps -rounds $rounds\`: nanoseconds an operation inside a program, on random
keys of a full map with 8-byte values, without the loop around it; the kernel and we take turns, medians of
$rounds samples. At 1 k entries hashing and the atomics bound us; at 1 M the cache and TLB misses do: one for the
bucket, one for the element (a miss is mostly decided in the bucket), and for inserts one more for the free
list's next element or the LRU list's node.

EOF
	"$build"/tests/bench/bench_maps -rounds "$rounds"
	cat <<EOF

## What cgroups cost

\`$(basename "$build")/tests/bench/bench_cgroup attach\`: replacing a program in a hierarchy of 10,000 cgroups; the cost
is that of the subtree, a new array a cgroup. Medians of 101.

EOF
	"$build"/tests/bench/bench_cgroup attach
	cat <<EOF

\`tests/bench/bench_cgroup.sh\`: real packets with \`-o enforce\` and one program for each direction, through nftables
and a queue to the server and back. "Outside" is a process in none of our cgroups: it pays for one rule.

EOF
	sh "$(dirname "$0")"/bench_cgroup.sh "$build"
	cat <<EOF

## What samples cost

\`tests/bench/bench_events.sh\`: cpu-clock on examples/burn.c, two threads that compute; the program, the ring and the
unwinding together. The process that is sampled uses both CPUs meanwhile.

EOF
	bash "$(dirname "$0")"/bench_events.sh "$build"
} >"$new"
cat "$new" >"$page"
cat "$page"
