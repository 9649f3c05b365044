#!/bin/bash
# bench_files.sh BUILD [SERVER] - operations on the files of a mount of its own; a table
set -eu
build=$(cd "$1" && pwd)
# shellcheck source=tests/bench/mount.sh
. "$(dirname "$0")/mount.sh"
start_server "${2:-}"
"$build/tests/bench/bench_files" "$M" -rounds "${BENCH_ROUNDS:-101}"
