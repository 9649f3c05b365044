#!/bin/sh
# check.sh BUILD SAN SET [PART...] - build and run the tests; a part that fails does not keep the next from running
#
# SET: all, alone (the smaller configuration), quick. Each part's own output is shown as it comes; the last line is
# the sum over cmocka's and pytest's closing lines: "N passed, N failed, N skipped".
build=$1 san=$2 set=$3
shift 3
log=$(mktemp)
failed=$log.failed
trap 'rm -f "$log" "$failed"' EXIT
: >"$failed"

# part NAME COMMAND...: its status goes through a file, for a pipe has that of its last command.
part() {
	name=$1
	shift
	{ "$@" 2>&1 || echo "$name" >>"$failed"; } | tee -a "$log"
}
target() {
	part "$1" make --no-print-directory "$@" O="$build" SAN="$san"
}

make --no-print-directory tests O="$build" SAN="$san" || exit 1
case $set in
quick)
	target check-unit
	target check-e2e-quick
	;;
alone)
	target check-unit
	target check-differential
	;;
*)
	all=
	[ $# != 0 ] || { all=yes; set -- check-unit check-differential check-e2e; }
	for p; do
		target "$p"
	done
	if [ -n "$all" ]; then
		make --no-print-directory tests CONFIG_BPF_SYSCALL=n O="$build-alone" SAN="$san" || exit 1
		for p in check-unit check-differential; do
			part "$p (interpreter only)" make --no-print-directory $p CONFIG_BPF_SYSCALL=n \
				O="$build-alone" SAN="$san"
		done
	fi
	;;
esac

[ ! -s "$failed" ] || echo "failed: $(tr '\n' ' ' <"$failed")"
# cmocka: "[  PASSED  ] N test(s)." "[  FAILED  ] N test(s), listed below:"; pytest: "N passed, N failed, ... in Ns".
awk -v parts="$(wc -l <"$failed")" '
	/^\[  PASSED  \] [0-9]+ test/	{ passed += $4 }
	/^\[  FAILED  \] [0-9]+ test/	{ bad += $4 }
	/^\[  SKIPPED \]/		{ skipped += $5 ~ /^tests/ ? $4 : 1 }
	/^[0-9]+ (passed|failed|skipped|error).* in [0-9.]+s/ {
		n = split($0, words, /,? /)
		for (i = 1; i < n; i++) {
			if (words[i + 1] ~ /^passed/) passed += words[i]
			if (words[i + 1] ~ /^(failed|error)/) bad += words[i]
			if (words[i + 1] ~ /^skipped/) skipped += words[i]
		}
	}
	END { if (bad < parts) bad = parts # a program died without a closing line
		printf "%d passed, %d failed, %d skipped\n", passed, bad, skipped }' "$log"
[ ! -s "$failed" ]
