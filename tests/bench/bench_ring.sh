#!/bin/bash
# bench_ring.sh BUILD - records a second from a program to a consumer: ours mapped and read, and the kernel's; a table
set -eu
build=$(cd "$1" && pwd)
rounds=${BENCH_RING_ROUNDS:-7}
records=${BENCH_RECORDS:-2000000}
object=$build/tests/progs/ring_stream.bpf.o
# shellcheck source=tests/bench/mount.sh
. "$(dirname "$0")/mount.sh"
start_server
cat "$object" >"$M/progs/new"

kernel=yes
"$build/tests/bench/bench_ring_kernel" "$object" 1000 >/dev/null 2>&1 || kernel=
for _ in $(seq "$rounds"); do
	[ -z "$kernel" ] || "$build/tests/bench/bench_ring_kernel" "$object" "$records" >>"$work/kernel"
	"$build/tests/bench/bench_ring" "$M" mmap "$records" >>"$work/mmap"
	"$build/tests/bench/bench_ring" "$M" read $((records / 10)) >>"$work/read"
done

median() { [ -s "$work/$1" ] && sort -n "$work/$1" | sed -n "$(((rounds + 1) / 2))p"; }
k=$(median kernel || true)
row() { # NAME FILE
	awk -v n="$1" -v v="$(median "$2")" -v k="$k" \
		'BEGIN{printf "| %s | %.2f | %.0f | %s |\n", n, v / 1e6, 1e9 / v, k ? sprintf("%.2f", v / k) : "-"}'
}
echo "| consumer | million records a second | ns a record | of the kernel's |"
echo "| --- | ---: | ---: | ---: |"
[ -z "$k" ] || row "the kernel's ring buffer, libbpf's ring_buffer" kernel
row "ours, mapped (bpf_ring_consume)" mmap
row "ours, lines of \`records\`" read
