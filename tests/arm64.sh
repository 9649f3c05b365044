#!/bin/sh
# arm64.sh DIR - cross-compile for aarch64 in a Debian of its own, and run the unit tests by qemu's emulation of a process
#
# The libraries are Debian's for both machines in one root, so nothing is installed on this one. The programs run in the
# interpreter: there is no JIT for aarch64.
set -u
cd "$(dirname "$0")/.." || exit 1
dir=$1
libs="libfuse3-dev libelf-dev libdw-dev liburcu-dev libbpf-dev libpcap-dev libxxhash-dev zlib1g-dev libmnl-dev libmount-dev
	libnetfilter-queue-dev libseccomp-dev libcmocka-dev libcapstone-dev"
mkdir -p "$(dirname "$dir")"
sh tests/root.sh "$dir" trixie sh -c '
	set -e
	if ! [ -e /made-arm64 ]; then
		dpkg --add-architecture arm64
		apt-get update -q
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends crossbuild-essential-arm64 \
			clang-19 pkg-config qemu-user $(for l in $1; do echo $l:arm64; done)
		: >/made-arm64
	fi
	exec timeout 2400 make CROSS_COMPILE=aarch64-linux-gnu- O=build-arm64 RUN=qemu-aarch64 all check-unit' sh "$libs" \
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
