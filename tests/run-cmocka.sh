#!/bin/sh
# run-cmocka.sh DIR PROGRAM... - run the cmocka programs, as many at once as there are CPUs; show each one's closing
# lines and why it skipped what it did as it ends, all of a failed one, and fail if one fails. Dying without the closing
# line is failing, and so is skipping without a reason (the line that a test prints before skip()).
# RUN: what each is run by (an emulator).
export DIR="$1" RUN="${RUN:-}"
shift
mkdir -p "$DIR"
rm -f "$DIR"/*.log "$DIR"/*.shown "$DIR"/*.failed
# Children of a process with threads (liburcu's) start threads, which ThreadSanitizer must be told to bear.
export TSAN_OPTIONS="die_after_fork=0:atexit_sleep_ms=50${TSAN_OPTIONS:+:$TSAN_OPTIONS}"

# One line a reason; status 1: a skip without one.
export CLOSING='
	/^\[ RUN /			{ running = 1; said = ""; next }
	/^\[  SKIPPED \]/ && running	{ running = 0; count[said]++; name[said] = substr($0, 14); next }
	/^\[ /				{ running = 0 }
	running				{ said = $0 }
	/^\[(==========|  PASSED  )\]/	{ print }
	END {
		for (why in count) {
			what = count[why] > 1 ? count[why] " tests" : name[why]
			print "[  SKIPPED ] " what ": " (why == "" ? "no reason given" : why)
			bare += why == ""
		}
		exit (bare > 0)
	}'

printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 sh -c '
	name=$(basename "$1")
	log=$DIR/$name.log
	if $RUN "$1" >"$log" 2>&1 </dev/null && grep -qE "^\[  PASSED  \] [0-9]+ test" "$log" &&
	   awk "$CLOSING" "$log" >"$DIR/$name.closing"; then
		printf "== %s\n" "$name" | cat - "$DIR/$name.closing" >"$DIR/$name.shown"
	else
		{
			printf "== %s: FAILED\n" "$name"
			cat "$log"
			grep "no reason given" "$DIR/$name.closing" 2>/dev/null
		} >"$DIR/$name.shown"
		: >"$DIR/$name.failed"
	fi
	rm -f "$DIR/$name.closing"
	cat "$DIR/$name.shown"' run-cmocka

bad=
for t in "$@"; do
	name=$(basename "$t")
	[ -f "$DIR/$name.shown" ] && [ ! -f "$DIR/$name.failed" ] || bad="$bad $name"
done
[ -z "$bad" ] || { echo "failed:$bad"; exit 1; }
