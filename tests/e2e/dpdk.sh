# Runs what sources it in a network namespace of its own, where daemons serve over DPDK; source it
# first, then `wire tap` or `wire veth`, then lib.sh or another test. Executed, it runs a whole test
# so, unchanged: dpdk.sh KIND TEST [ARGUMENT]...
#
# Daemons are started by a millraced that adds --dataplane dpdk and a device of its own to their
# options; dpdk_daemon.sh has the kinds. Device N has 10.77.N.2/24 and fd77:N::2/64; this side, the
# kernel's TCP, has 10.77.N.1 and fd77:N::1. The namespace and all that is in it goes with the last
# process of the test.
B=${MILLRACE_BUILD:-build/release}
. tests/e2e/namespace.sh

if [ -z "${WIRE:-}" ]; then
	[ -e "$B/millrace-dpdk.so" ] || skip "built without DPDK"
	[ -c /dev/net/tun ] || skip "no /dev/net/tun here"
	map=
	[ "$(id -u)" = 0 ] || map=--map-root-user
	# shellcheck disable=SC2086
	namespace_or_skip --net $map
	WIRE=$(mktemp -d "${TMPDIR:-/tmp}/millrace-wire.XXXXXX")
	export WIRE
	rc=0
	# shellcheck disable=SC2086
	unshare --net $map bash "$0" "$@" || rc=$?
	rm -rf "$WIRE"
	exit $rc
fi

# wire KIND [option of millraced]...: from here on, millraced serves over such devices.
wire() {
	local kind=$1 f
	shift
	ip link set lo up
	mkdir -p "$WIRE/$kind"
	for f in "$(realpath "$B")"/*; do ln -sfn "$f" "$WIRE/$kind/$(basename "$f")"; done
	rm "$WIRE/$kind/millraced"
	printf 'exec bash tests/e2e/dpdk_daemon.sh %s %q %s "$@"\n' "$kind" "$(realpath "$B")" "$*" |
		sed '1i #!/usr/bin/env bash' >"$WIRE/$kind/millraced"
	chmod +x "$WIRE/$kind/millraced"
	export MILLRACE_BUILD=$WIRE/$kind
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	wire "${1:-tap}"
	case $2 in
	*.py) exec /usr/bin/python3 "${@:2}" ;;
	*) exec bash "${@:2}" ;;
	esac
fi
