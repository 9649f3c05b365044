#!/bin/sh
# roll.sh NEW OLD MOUNT... - apply NEW to one mount after the other; when one fails, all have OLD again
#
# Where mounts are on other machines, say how a command reaches each: ON="ssh" and MOUNT as host:path.
# CHECK is a command that says whether a mount is well (its path is the argument); none: apply's word counts.
set -u
new=$1 old=$2
shift 2
ctl=${UBPFCTL:-ubpfctl} check=${CHECK:-true} done=

on() { # MOUNT COMMAND...: here, or there
	where=$1
	shift
	case ${ON:-} in
	'') "$ctl" -m "$where" "$@" ;;
	*) $ON "${where%%:*}" "$ctl" -m "${where#*:}" "$@" ;;
	esac
}

for mount; do
	if on "$mount" apply "$new" && $check "$mount"; then
		echo "$mount: has $new"
		done="$done $mount"
		continue
	fi
	echo "$mount: failed; back to $old" >&2
	for m in $done $mount; do
		on "$m" apply "$old" >/dev/null || echo "$m: cannot go back" >&2
	done
	exit 1
done
