# Producing over a wire that loses, doubles, reorders and damages frames, between two network
# namespaces: every record arrives once, whichever dataplane receives it.
. tests/e2e/namespace.sh
[ "$(id -u)" = 0 ] || skip "not root"
namespace_or_skip --mount --net
own_namespace --mount --net
. tests/e2e/lib.sh
RELAY=

in_ns() { # NAME command...
	local n=$1
	shift
	ip netns exec "$n" "$@"
}

# link NAME DEVICE PEER: a veth between namespace NAME and the relay's, with honest frames.
link() {
	ip -n "$1" link add "$2" type veth peer name "$3" netns relay
	for x in "$1 $2" "relay $3"; do
		read -r n dev <<<"$x"
		ip -n "$n" link set "$dev" up
		in_ns "$n" ethtool -K "$dev" tx off tso off gso off gro off >/dev/null 2>&1 || true
	done
}

# relay_start option...
relay_start() {
	exec 9> >(ip netns exec relay "$B/tests/e2e/relay" c1 s1 "$@" >"$TMP/relay.out" 2>"$TMP/relay.err")
	RELAY=$!
	PIDS+=("$RELAY")
	until_true grep -qs ready "$TMP/relay.out"
}

relay_stop() {
	exec 9>&-
	wait "$RELAY" || fail "the relay exited with $?"
}

count_of() { sed -n "s/^$1 //p" "$TMP/relay.out"; }

# Names of network namespaces are files in here.
mkdir -p /run/netns
mount -t tmpfs none /run/netns
for n in client relay server; do ip netns add $n; done
link client c0 c1
link server s0 s1
ip -n client addr add 10.77.0.1/24 dev c0
ip -n client link set lo up
ip -n server link set lo up

# serve NAME option...: as lib.sh's start, in the server's namespace.
serve() {
	local name=$1 b=$B
	shift
	printf '#!/bin/sh\nexec ip netns exec %s %s/millraced "$@"\n' server "$b" >"$TMP/millraced"
	chmod +x "$TMP/millraced"
	B=$TMP
	start "$name" "$@"
	B=$b
}

query_there() { in_ns server "$B/millrace" sql --connect "127.0.0.1:$SQL_PORT" -c "$1" | grep -oE '[0-9]+' | head -n 1; }

produce_and_count() { # NAME
	local n=100000
	relay_start --delay-us 100 --loss-ppm 10000 --duplicate-ppm 5000 --reorder-ppm 5000 --corrupt-ppm 2000 --seed 7
	query_there "CREATE TABLE events (id bigint) WITH (partitions = 4)" || true
	seq -f "{\"id\":%.0f,\"fill\":\"$(printf '%0200d' 0)\"}" $n >"$TMP/lines"
	in_ns client timeout 120 "$B/millrace" produce --idempotent --bootstrap "10.77.0.2:${KAFKA##*:}" \
		--topic events "$TMP/lines" >/dev/null || fail "$1: produce exited with $?"
	expect $n "$(query_there 'SELECT count(*) FROM events')" "$1: rows"
	expect $n "$(query_there 'SELECT count(DISTINCT id) FROM events')" "$1: distinct rows"
	[ "$(in_ns client kcat -b "10.77.0.2:${KAFKA##*:}" -C -t events -o beginning -e -q | sort -u | wc -l)" = $n ] ||
		fail "$1: fetching gives other records"
	relay_stop
	for what in lost duplicated reordered corrupted; do
		[ "$(count_of $what)" -gt 0 ] || fail "$1: the relay has $what nothing"
	done
}

ip -n server addr add 10.77.0.2/24 dev s0
# Kernel sockets on both sides.
serve socket --listen 0.0.0.0 --insecure --workers 2
produce_and_count socket
stop

# Our own TCP on the server's end: the kernel there has no address on the wire.
if [ -e "$B/millrace-dpdk.so" ]; then
	ip -n server addr flush dev s0
	[ ! -e /proc/sys/net/ipv6 ] || in_ns server sh -c 'echo 1 >/proc/sys/net/ipv6/conf/s0/disable_ipv6'
	serve dpdk --workers 2 --dataplane dpdk --set net.address=10.77.0.2/24 --set net.memory_bytes=64MiB \
		--eal "--vdev net_af_packet0,iface=s0,qdisc_bypass=1,framecnt=2048,blocksz=1048576"
	produce_and_count dpdk
	stop
fi
