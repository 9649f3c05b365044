#!/bin/sh
# style.sh - what keeps the house: the format, 100 columns (comments too), who may include whom, that names and
# links are there, scripts and spelling
cd "$(dirname "$0")/.." || exit 1
bad=0
format=$(command -v clang-format-14 || command -v clang-format) || {
	echo "style: clang-format is missing: run 'make deps'" >&2
	exit 1
}
sources=$(git ls-files '*.c' '*.h' | grep -v '\.bpf\.c$')
# Another version formats otherwise; ours is the one of Debian 12.
case $($format --version) in
*"version 14."*) $format --dry-run -Werror $sources || bad=1 ;;
*) echo "style: the format is checked by clang-format 14 only" ;;
esac
for f in $sources $(git ls-files '*.bpf.c'); do
	expand -t8 "$f" | awk -v f="$f" 'length($0) > 100 { print f ":" NR ": " length($0) " columns"; n = 1 } END { exit n }'
	[ $? = 0 ] || bad=1
done
# Scripts, words, and the links of the documents
if command -v shellcheck >/dev/null && command -v codespell >/dev/null; then
	git ls-files '*.sh' .ci/run | xargs shellcheck -x -S warning || bad=1
	git ls-files '*.md' '*.c' '*.h' '*.py' '*.sh' debian service | xargs codespell -L upto,leas || bad=1
else
	echo "style: shellcheck or codespell is missing: run 'make deps'" >&2
	bad=1
fi
# Changes of the state's names are noted (fs/store/state/durable.h). The agent and the host's cgroups have none.
git ls-files 'fs/*.c' | grep -Ev '^fs/(agent|enforce)/|/durable\.c$' |
	xargs grep -nE '(^|[^_[:alnum:]])(mkdirat|linkat|symlinkat|renameat2?|unlinkat)\(' |
	grep -v '^fs/store/objects/files.c:.*unlinkat(tree.objects_fd' && {
	echo "style: names of the state are changed by durable.h's functions"
	bad=1
}
/usr/bin/python3 tests/links.py || bad=1
/usr/bin/python3 tests/includes.py || bad=1
/usr/bin/python3 tests/names.py || bad=1
exit $bad
