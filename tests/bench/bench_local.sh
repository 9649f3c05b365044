#!/bin/bash
# bench_local.sh BUILD - a program of a mount in a process of one's own beside the engine's own; a table
set -eu
build=$(cd "$1" && pwd)
# shellcheck source=tests/bench/mount.sh
. "$(dirname "$0")/mount.sh"
start_server
cat "$build/tests/progs/local.bpf.o" >"$M/progs/new"
"$build/tests/bench/bench_local" "$M" "$build/tests/progs/local.bpf.o" "${BENCH_ROUNDS:-15}"
