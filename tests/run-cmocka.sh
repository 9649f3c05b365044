#!/bin/sh
# run-cmocka.sh DIR PROGRAM... - run the cmocka programs, as many at once as there are CPUs; show each one's closing
# lines as it ends, all of a failed one, and fail if one fails. Dying without the closing line is failing.
export DIR="$1"
shift
mkdir -p "$DIR"
rm -f "$DIR"/*.log "$DIR"/*.shown "$DIR"/*.failed
# Children of a process with threads (liburcu's) start threads, which ThreadSanitizer must be told to bear.
export TSAN_OPTIONS="die_after_fork=0:atexit_sleep_ms=50${TSAN_OPTIONS:+:$TSAN_OPTIONS}"

printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 sh -c '
	name=$(basename "$1")
	log=$DIR/$name.log
	if "$1" >"$log" 2>&1 </dev/null && grep -qE "^\[  PASSED  \] [0-9]+ test" "$log"; then
		{
			printf "== %s\n" "$name"
			grep -E "^\[( +SKIPPED +|==========|  PASSED  )\]" "$log"
		} >"$DIR/$name.shown"
	else
		{
			printf "== %s: FAILED\n" "$name"
			cat "$log"
		} >"$DIR/$name.shown"
		: >"$DIR/$name.failed"
	fi
	cat "$DIR/$name.shown"' run-cmocka

bad=
for t in "$@"; do
	name=$(basename "$t")
	[ -f "$DIR/$name.shown" ] && [ ! -f "$DIR/$name.failed" ] || bad="$bad $name"
done
[ -z "$bad" ] || { echo "failed:$bad"; exit 1; }
