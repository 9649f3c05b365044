#!/bin/sh
# man.sh FILE NAME.SECTION VERSION - a manual page out of our markdown, or of a public header
#
# The first heading is "name - what it is". A line "@table HEADING@" stands for the first table below that heading of
# docs/reference.md, "@section HEADING@" for all of it. The comments of a header are markdown enough.
set -eu
file=$1 name=${2%.*} section=${2##*.} version=$3

from_reference() { # table|section HEADING
	awk -v mode="$1" -v heading="$2" '
		/^#/ { level = index($0, " ") - 1
		       if (inside && level <= depth) exit
		       if (substr($0, level + 2) == heading) { inside = 1; depth = level; next } }
		!inside { next }
		mode == "section" { print }
		mode == "table" && /^\|/ { print; seen = 1; next }
		mode == "table" && seen { exit }' docs/reference.md
}

body() {
	while IFS= read -r line; do
		case $line in
		'@table '*@ | '@section '*@)
			line=${line%@} kind=${line%% *}
			text=$(from_reference "${kind#@}" "${line#* }")
			[ -n "$text" ] || { echo "man.sh: $file: the reference has no '${line#* }'" >&2; exit 1; }
			printf '%s\n' "$text" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done
}

# The comment at its head, then each declaration with the comment before it
header() {
	awk '
		/^\/\*/ { comment = ""; inside = 1 }
		inside { line = $0
			 sub(/^ *\/\*+ ?/, "", line); sub(/ ?\*\/.*$/, "", line); sub(/^ \* ?/, "", line)
			 if (!(line == "" && comment == "")) comment = comment line "\n"
			 if (/\*\//) { inside = 0
				if (!head) { head = 1; sub(/^[^\n]* - /, "# @NAME@ - ", comment)
					     sub(/\n/, "\n\n## DESCRIPTION\n", comment); printf "%s\n", comment; comment = "" }
				else if (comment ~ /^---- /) { sub(/^---- /, "## ", comment); printf "%s\n", toupper(comment); comment = "" } }
			 next }
		/^(#|$)/ || /^extern "C"/ || /^}$/ { if (/^$/ && decl == "") comment = ""; next }
		{ decl = decl "    " $0 "\n" }
		/;$/ && !/^[ \t]/ || /^};$/ || /\);$/ { printf "%s\n%s\n", decl, comment; decl = ""; comment = "" }' "$file" |
		sed "s/@NAME@/$name/"
}

{
	case $file in
	*.h) header ;;
	*) body < "$file" ;;
	esac
} | awk -v name="$name" '
	NR == 1 { sub(/^# *.* - /, name " - "); printf "# NAME\n\n%s\n\n", $0; next }
	/^##/ { sub(/^##/, "#") }
	# A table as a list: its cells may be longer than a page of a terminal is high.
	/^\|/ { gsub(/\\\|/, "\001"); sub(/^\| */, ""); sub(/ *\|$/, ""); n = split($0, cell, / *\| */)
		if (++row <= 2) next
		text = "- " cell[1] ":"
		for (i = 2; i <= n; i++) text = text (i > 2 ? ";" : "") " " cell[i]
		gsub(/\001/, "|", text); print text; next }
	{ row = 0 }
	{ print }' |
	pandoc --standalone --from gfm --to man \
		--metadata title="$name" --metadata section="$section" --metadata header=ubpffs \
		--metadata footer="ubpffs $version"
