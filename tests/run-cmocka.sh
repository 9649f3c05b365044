#!/bin/sh
# run-cmocka.sh DIR PROGRAM... - run each cmocka program, show what it prints, fail if one fails.
# A program that dies without its closing line counts as failed.
dir=$1
shift
mkdir -p "$dir"
bad=
for t in "$@"; do
	name=$(basename "$t")
	if "$t" >"$dir/$name.log" 2>&1 && grep -qE '^\[  PASSED  \] [0-9]+ test' "$dir/$name.log"; then
		printf '== %s\n' "$name"
		grep -E '^\[( +SKIPPED +|==========|  PASSED  )\]' "$dir/$name.log"
	else
		printf '== %s: FAILED\n' "$name"
		cat "$dir/$name.log"
		bad="$bad $name"
	fi
done
[ -z "$bad" ] || { echo "failed:$bad"; exit 1; }
