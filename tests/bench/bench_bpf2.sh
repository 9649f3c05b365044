#!/bin/bash
# bench_bpf2.sh BUILD - bpf(2) under ubpfctl run, beside a notification that nobody does anything for; a table
set -eu
build=$(cd "$1" && pwd)
rounds=${BENCH_BPF2_ROUNDS:-5}
bench=$build/tests/bench/bench_bpf2
# shellcheck source=tests/bench/mount.sh
. "$(dirname "$0")/mount.sh"
start_server
for _ in $(seq "$rounds"); do
	"$bench" null
	"$build/ubpfctl" run -m "$M" -- "$bench" calls
	"$bench" batch "$M"
done >"$work/all"

median() { awk -v n="$1" '$1 == n { print $2 }' "$work/all" | sort -n | sed -n "$(((rounds + 1) / 2))p"; }
row() { # WHAT NAME BESIDE NAME
	awk -v w="$1" -v v="$(median "$2")" -v b="$3" -v k="$(median "$4")" \
		'BEGIN{printf "| %s | %.4g | %s | %.2f |\n", w, v, b, v / k}'
}
rate() { # WHAT NAME
	awk -v w="$1" -v v="$(median "$2")" 'BEGIN{printf "| %s | %.0f | %.1f |\n", w, v, 1e3 / v}'
}
echo "| call | ns | beside | ratio |"
echo "| --- | ---: | --- | ---: |"
row "a notification that does nothing" null "itself" null
row "bpf(2): lookup" lookup "a notification" null
row "bpf(2): update" update "a notification" null
row "read of a mapped array" mapped "a notification" null
row "the same" mapped "memory of one's own" own
echo
echo "| elements of a hash map | ns | million a second |"
echo "| --- | ---: | ---: |"
rate "ioctl: batches of updates" ioctl_batch_update
rate "ioctl: batches of lookups" ioctl_batch_lookup
rate "bpf(2): batches of updates" batch_update
rate "bpf(2): batches of lookups" batch_lookup
