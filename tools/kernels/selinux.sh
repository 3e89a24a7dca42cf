#!/bin/bash
# SELinux contexts of an ss, compared with the reference in a guest with SELinux:
#
#   selinux.sh SS [KERNEL...]     (default: trixie)
#
# Status 0 if nothing differs, 1 if something does.  RIG_OUT=DIR keeps outputs.
set -eu
here=$(dirname "$(readlink -f "$0")")
ss=${1:?usage: selinux.sh SS [KERNEL...]}
shift
[ $# -gt 0 ] || set -- trixie
work=${RIG_WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/sockdiag-reference}
make -s -C "$here/gen" OUT="$work/gen"
status=0
for kernel in "$@"; do
	out=()
	[ -z "${RIG_OUT:-}" ] || out=(-o "$RIG_OUT/${kernel//\//-}")
	"$here/rig.py" run -k "$kernel" --selinux "$here/gen/selinux.cil" -t 900 -i sid \
		-f "$ss:/bin/ss-ours" -f "$work/gen/zoo:/bin/zoo" -f "$here/gen/zoo-net.sh:/root/zoo-net.sh" "${out[@]}" "$here/scenario-selinux.sh" || status=1
done
exit $status
