#!/bin/sh
# run.sh BUILD PAGE - run the benchmarks and write the page; what it says is what was measured.
set -eu
build=$1
page=$2
rounds=${BENCH_ROUNDS:-101}
PYTHON=/usr/bin/python3
few=$((rounds < 25 ? rounds : 25))
plot=$(dirname "$page")/scaling.svg
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

\`$(basename "$build")/tests/bench/bench_exec -rounds $rounds\`: each program of \`tests/progs/bench.bpf.c\` runs in our
JIT, the kernel's JIT and our interpreter by BPF_PROG_TEST_RUN's repeat, and the same C, compiled for this machine by the
same compiler (\`clang -O2\`), is called as often; they take turns. Medians of $rounds samples, without the time of the empty program
of the same engine. A ratio below 1 says that the first is faster. What no compiled function has (hash tables, tail
calls, locks) has no native column; \`checksum\` is made of vector instructions there.
$(if grep -qsi "safe ret\\|return thunk" /sys/devices/system/cpu/vulnerabilities/*; then
	echo 'The kernel of this machine returns through a thunk (a CPU mitigation), which each helper call and each bpf-to-bpf'
	echo 'call pays for; we run in a process of our own and do not.'
else
	echo 'The kernel of this machine returns without a thunk; where it needs one, its calls cost several times as much.'
fi)

EOF
	"$build"/tests/bench/bench_exec -rounds "$rounds"
	cat <<EOF

## What loading costs

\`tests/bench/bench_load.c\`: from an object's bytes to programs that can run, in this process (warm) and in one of its own (fresh), by
the engine and by libbpf into the kernel, taking turns; medians of $few rounds. Above 10 ms the kernel waits for a grace period of its own.

EOF
	(
		cd "$build"
		objects="big_switch callbacks count_ports functions global_data json_types map_in_map ringbuf spin_lock subprograms"
		# shellcheck disable=SC2046 # a word an object
		tests/bench/bench_load -rounds "$few" examples/firewall.bpf.o examples/profile.bpf.o examples/traffic.bpf.o \
			$(printf 'tests/progs/%s.bpf.o ' $objects)
	)
	cat <<EOF

## What strict loads cost

\`tests/bench/bench_strict.c\`: programs of \`tests/progs/bench.bpf.c\` as root's are loaded and as another user's (\`-o strict\`): the load, and a
run over 1 KiB of packet. Most of it are barriers, some nanoseconds each, in loops that compare with \`data_end\` or look up arrays.

EOF
	"$build"/tests/bench/bench_strict -rounds "$few" bench
	cat <<EOF

## What map operations cost

\`$(basename "$build")/tests/bench/bench_maps -rounds $rounds\`: nanoseconds an operation inside a program, on random
keys of a full map with 8-byte values, without the loop around it; the kernel and we take turns, medians of
$rounds samples.

EOF
	"$build"/tests/bench/bench_maps -rounds "$rounds"
	cat <<EOF

What bounds them. At 1 k entries everything is in the first caches; at 1 M nearly every access to a bucket or an element
goes to memory, and huge pages leave the TLB out of it. The floor is in the last table under "Memory": a load that waits for
another one, and an atomic. Lookups do not wait for each other, so that the CPU overlaps the misses of several; an
atomic or a branch that the CPU could not foresee (where in its chain is the key?) ends the overlap.

| operation | 1 k | 1 M |
| --- | --- | --- |
| array lookup | one load | one cache miss, overlapped with the next ones |
| array update | the call | the same |
| hash hit | one multiplication for the hash, two loads that wait for each other, and an unforeseen branch in 2 of 10 | two misses, bucket and element, overlapped: below one floor load |
| hash miss | the hash and one load: the bucket's filter turns 14 of 15 away | one miss (of 16 MiB of buckets) |
| hash update existing | one atomic, one store of the bucket's word | three misses: bucket, old element, the slot's spare (which was the last old element, so it is near) |
| hash delete + insert | two atomics on the bucket, two on the free list | bucket and 1.2 elements of its chain, each after the other, nothing else: 2.2 floor loads |
| percpu_hash hit | as hash, with chains twice as long | a third miss, the value's |
| lru_hash hit | as percpu_hash; the mark is written only if it is not set | as hash |
| lru_hash update existing | as hash, and a store into the list's node | one more miss, the node's |
| lru_hash, evicting | two atomics on bucket locks, two on the slot's lock; the common lock once in up to 128 | two buckets, two elements, two nodes; the next to be evicted is fetched ahead |

## Several threads on one LRU map

\`$(basename "$build")/tests/bench/bench_scaling -rounds $few\`: all threads together, 100 k entries, u32 keys, medians of
$few slices of 40 ms; "evicting" updates choose among four times as many keys as there are entries (3 of 4 evict). This
machine has $cpus CPUs: more threads than that share them, and show what it costs when the holder of a lock
loses its CPU.

![million updates a second by threads](scaling.svg)

EOF
	"$build"/tests/bench/bench_scaling -rounds "$few" -svg "$plot"
	cat <<EOF

## Memory

\`$(basename "$build")/tests/bench/bench_memory\`, u32 keys and 8-byte values. Resident is what a full map added to the process;
pages come as they are touched, so that a map of 100 million entries is made at once and an empty one takes next
to nothing (\`tests/unit/test_arena_sparse.c\`). A hash entry is an element of 8 bytes and its key and value, each
to a multiple of 8, and 8 bytes of bucket (for the next power of two of entries; the smallest elements of hash have
two buckets); for LRU a node of 16.

EOF
	"$build"/tests/bench/bench_memory
	cat <<EOF

## From a program to its consumer

\`tests/bench/bench_ring.sh\`: records of 16 bytes through a ring of 1 MiB, one producer (test runs without pause) and one
consumer in one process, each on its CPU; 1 in 17 records is discarded. The consumer sleeps in poll or epoll when it has caught up.
Medians of 7, the engines taking turns.

EOF
	bash "$(dirname "$0")"/bench_ring.sh "$build"
	cat <<EOF

## A program of the mount in a process of its own

\`tests/bench/bench_local.sh\`: a program that counts in an array and a global by atomic operations, its maps those of a mount
or of the process; ways take turns, medians of $few rounds.

EOF
	BENCH_ROUNDS=$few bash "$(dirname "$0")"/bench_local.sh "$build"
	cat <<EOF

## What a file of the mount costs

\`tests/bench/bench_files.sh\`: one client, a hash map of 1,000 entries; operations take turns, medians of $few rounds. Each
is beside one that only goes to the server and back.

EOF
	BENCH_ROUNDS=$few bash "$(dirname "$0")"/bench_files.sh "$build"
	cat <<EOF

## What a call of bpf(2) costs under \`ubpfctl run\`

\`tests/bench/bench_bpf2.sh\`: one thread, medians of 5 runs that take turns. Beside is a notification of seccomp that another process
answers and does nothing for: a call on the mount is that, an ioctl on the mount (above), and some ten system calls of
the supervisor's. Memory that is mapped costs none of them.

EOF
	bash "$(dirname "$0")"/bench_bpf2.sh "$build"
	cat <<EOF

## What a state on disk costs

\`tests/bench/bench_state.py\`: a server with its state on disk and one with it on tmpfs, taking turns; medians. What a map holds is
memory in both: programs run as fast, and the disk is written to later.

EOF
	$PYTHON "$(dirname "$0")"/bench_state.py "$build"
	cat <<EOF

## What durability costs

\`tests/bench/bench_durable.py\`: servers with \`-o durable=none\`, \`close\` and \`each\` on a disk, taking turns; medians. Callers
wait for the disk, which is another one elsewhere.

EOF
	$PYTHON "$(dirname "$0")"/bench_durable.py "$build"
	cat <<EOF

## What the sandbox costs

\`tests/bench/bench_options.py\`: a server and one with \`-o sandbox=off\`, taking turns; medians of $rounds samples.

EOF
	BENCH_ROUNDS=$rounds $PYTHON "$(dirname "$0")"/bench_options.py "$build" sandbox
	cat <<EOF

## What the keeper costs

\`tests/bench/bench_options.py\`: a server and one with \`-o keeper=off\`, taking turns; medians of $rounds samples.

EOF
	BENCH_ROUNDS=$rounds $PYTHON "$(dirname "$0")"/bench_options.py "$build" keeper
	cat <<EOF

## What a start costs that finds many objects

\`tests/bench/bench_start.py\`: from exec(2) of the server to its first answer (a list of \`progs/\`), to what one map's file says, and until all
programs are verified and all maps are open, which a thread in the background does. Medians of up to 11.

EOF
	$PYTHON "$(dirname "$0")"/bench_start.py "$build"
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
