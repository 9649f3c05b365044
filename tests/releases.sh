#!/bin/sh
# releases.sh DIR [RELEASE...] - what a newcomer does, in each Debian that we promise: make deps, make, make check
#
# CHECK says what of `make check` (its CHECK_PARTS); by default what a chroot allows in some minutes.
set -u
cd "$(dirname "$0")/.." || exit 1
dir=$1
shift
parts=${CHECK:-check-unit check-differential}
bad=
for release in "${@:-bookworm trixie}"; do
	for r in $release; do
		echo "== $r"
		sh tests/root.sh "$dir/$r" "$r" sh -c "
			make deps && make WERROR=y && make tests WERROR=y && make check CHECK_PARTS='$parts'" \
			>"$dir-$r.out" 2>&1
		case $? in
		0) tail -n 1 "$dir-$r.out" ;;
		77) grep '^not run' "$dir-$r.out" ;;
		*)
			grep -E 'error:|^E: |warning:|\*\*\*|FAILED|failed' "$dir-$r.out" | head -n 40
			echo "failed: $dir-$r.out"
			bad="$bad $r"
			;;
		esac
	done
done
[ -z "$bad" ]
