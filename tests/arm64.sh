#!/bin/sh
# arm64.sh DIR - cross-compile for aarch64 in a Debian of its own, and run there by qemu's emulation of a process: the unit
# tests, a program that embeds the engine, and random programs, native against interpreted
#
# The libraries are Debian's for both machines in one root, so nothing is installed on this one.
set -u
cd "$(dirname "$0")/.." || exit 1
dir=$1
libs=$(sed -n '/^\[build\]/,/^$/p' deps.list | grep '^lib.*-dev$')
libs="$libs libcmocka-dev libcapstone-dev"
mkdir -p "$(dirname "$dir")"
sh tests/root.sh "$dir" trixie sh -c '
	set -e
	if [ "$1" != "$(cat /made-arm64 2>/dev/null)" ]; then
		dpkg --add-architecture arm64
		apt-get update -q
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends crossbuild-essential-arm64 \
			clang-19 pkg-config qemu-user $(for l in $1; do echo $l:arm64; done)
		printf %s "$1" >/made-arm64
	fi
	b=build-arm64
	timeout 2400 make CROSS_COMPILE=aarch64-linux-gnu- O=$b RUN=qemu-aarch64 all check-unit $b/tests/fuzz/fuzz_jit
	qemu-aarch64 $b/examples/embed
	exec qemu-aarch64 $b/tests/fuzz/fuzz_jit -seconds 60' sh "$libs" \
	>"$dir.out" 2>&1
status=$?
case $status in
0) awk '/^\[  PASSED  \]/ { n += $4 } /^\[  SKIPPED \]/ { s++ } END { print n " unit tests passed, " s + 0 " lines of skips" }' "$dir.out" ;;
77) grep '^not run' "$dir.out"; status=0 ;;
*)
	grep -E 'error:|^E: |\*\*\*|FAILED|failed' "$dir.out" | head -n 40
	echo "failed: $dir.out"
	;;
esac
exit $status
