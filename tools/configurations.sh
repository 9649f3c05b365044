#!/bin/sh
# configurations.sh FULL ALONE DOCUMENT - what each build of the library holds, between the marks of the document
set -e
full=$1 alone=$2 doc=$3

functions() { nm -a "$1/libubpffs.so" | grep -ci ' t [^.]'; }
section() { size -A "$1/libubpffs.so" | awk -v s="$2" '$1 == s { print $2 }'; }
sum() { size "$1/libubpffs.so" | awk 'NR == 2 { print $1 + $2 + $3 }'; }
exported() { nm -D --defined-only "$1/libubpffs.so" | wc -l; }
needs() { objdump -p "$1/libubpffs.so" | awk '$1 == "NEEDED" { printf "%s%s", s, $2; s = ", " }'; }
row() { printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.0f %%", 100 * (a - b) / a }')"; }

table() {
	echo '| libubpffs.so | default | CONFIG_BPF_SYSCALL=n | saved |'
	echo '| --- | --- | --- | --- |'
	row 'functions' "$(functions "$full")" "$(functions "$alone")"
	row 'functions that it exports' "$(exported "$full")" "$(exported "$alone")"
	row 'bytes of code (.text)' "$(section "$full" .text)" "$(section "$alone" .text)"
	row 'bytes of constants (.rodata)' "$(section "$full" .rodata)" "$(section "$alone" .rodata)"
	row 'bytes in memory when loaded' "$(sum "$full")" "$(sum "$alone")"
	printf '| libraries that it needs | %s | %s | |\n' "$(needs "$full")" "$(needs "$alone")"
}

table >"$alone/table.md"
awk -v table="$alone/table.md" '
	/^<!-- table -->/ { print; while ((getline line < table) > 0) print line; skip = 1; next }
	/^<!-- end -->/ { skip = 0 }
	!skip { print }
' "$doc" >"$alone/document.md"
cat "$alone/document.md" >"$doc"
cat "$alone/table.md"
