#!/bin/sh
# Installs sockdiag and ss from where this file lies, or removes them again.
#   ./install.sh [--prefix DIR] [--uninstall]       (DIR: /usr/local)
# With DESTDIR in the environment everything goes below DESTDIR/DIR.
# ss does not take the place of the one that the system has: it is found first
# where DIR/bin comes first in PATH.
set -eu
prefix=/usr/local
remove=
while [ $# -gt 0 ]; do
	case $1 in
	--prefix) prefix=${2?"--prefix needs a directory"}; shift ;;
	--prefix=*) prefix=${1#--prefix=} ;;
	--uninstall) remove=yes ;;
	-h | --help) sed -n '2,6s/^# //p' "$0"; exit 0 ;;
	*) echo "install.sh: $1 is not understood (see --help)" >&2; exit 2 ;;
	esac
	shift
done
from=$(dirname "$0")
to=${DESTDIR-}$prefix
list=share/doc/sockdiag/installed
if [ -n "$remove" ]; then
	# Read whole: the list is among what is removed.
	names=$(cat "$to/$list")
	for name in $names; do
		rm -f "$to/$name"
		(cd "$to" && rmdir -p "$(dirname "$name")" 2>/dev/null) || true
	done
	exit 0
fi
while read -r name; do
	case $name in
	bin/*) mode=755 ;;
	*) mode=644 ;;
	esac
	install -D -m "$mode" "$from/$name" "$to/$name"
	echo "$to/$name"
done <"$from/$list"
