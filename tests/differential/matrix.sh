#!/bin/sh
# matrix.sh BUILD MULTIARCH - the same programs by each clang that is installed, for each version of the instruction set
# that it knows, into BUILD/tests/matrix; diff_objects compares what the kernel and we say to them
#
# Ten kinds of program, chosen for what compilers do differently: sizes of jumps and of arithmetic (v1 has 64-bit ones only),
# spills, calls, loops, atomics, packet pointers, contexts.
set -eu
build=$1
multiarch=$2
kinds="count_ports xdp_rewrite tc_mark cgroup_filter event_packets global_data bounded_loops callbacks subprograms tail_calls"
out=$build/tests/matrix
mkdir -p "$out"
for clang in clang-14 clang-15 clang-16 clang-17 clang-18 clang-19 clang-20 clang-21; do
	command -v $clang >/dev/null || continue
	for cpu in v1 v2 v3 v4; do
		echo 'int x;' | $clang -target bpf -mcpu=$cpu -x c -c - -o /dev/null 2>/dev/null || continue
		for kind in $kinds; do
			src=tests/progs/$kind.bpf.c
			obj=$out/$clang-$cpu-$kind.bpf.o
			if [ -e "$obj" ] && [ -z "$(find "$src" tests/progs/*.h -newer "$obj" 2>/dev/null)" ]; then
				continue
			fi
			$clang -target bpf -O2 -g -Wall -mcpu=$cpu -D__TARGET_"${multiarch%%-*}"__ -I. \
				-I/usr/include/"$multiarch" -c "$src" -o "$obj"
		done
	done
done
