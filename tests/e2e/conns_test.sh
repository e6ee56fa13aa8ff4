# Connections by number, over memif between two processes of ours: all of many idle ones are
# answered again and cost what the memory plan says, and those that come and go leave nothing.
. tests/e2e/lib.sh
[ -e "$B/millrace-dpdk.so" ] || skip "built without DPDK"
# Bytes a connection: the plan's 1 KiB, and as much again for what the server touches once, meanwhile
# (3 MB were seen on a busy machine).
BUDGET=2048
N=20000

eal() { # role
	echo "--lcores 0@0-1 --no-huge -m 256 --no-shconf --no-pci --no-telemetry" \
		"--vdev net_memif0,role=$1,id=0,socket=$TMP/m.sock,socket-abstract=no,rsize=11"
}
conns() { # option...
	timeout 120 "$B/millrace" bench wire --bootstrap 10.66.0.2:9092 --address 10.66.0.1/24,10.66.0.3/24 \
		--eal "$(eal client)" --pid "${PIDS[0]}" --json --seconds 1 "$@" 2>"$TMP/load.err"
}
field() { grep -oE "\"$1\": *-?[0-9.]+" <<<"$2" | grep -oE -- '-?[0-9.]+$'; }

"$B/millraced" --data "$TMP/d" --kafka-port 9092 --sql-port 0 --http-port 0 --workers 1 --dataplane dpdk \
	--set net.address=10.66.0.2/24 --set net.memory_bytes=16MiB --set "kafka.connections_max=$N" \
	--eal "$(eal server)" >"$TMP/ready" 2>"$TMP/d.err" &
PIDS+=($!)
until_true [ -s "$TMP/ready" ]

# The first ones touch what the server has once.
conns --idle --connections 1000 >/dev/null || fail "a few connections: $(tail -n 1 "$TMP/load.err")"
idle=$(conns --idle --connections $N) || fail "idle connections: $(tail -n 1 "$TMP/load.err")"
each=$(field bytes_per_conn "$idle")
case $B in # the sanitizers' own memory is in it
*asan* | *tsan*) ;;
*) [ "${each%.*}" -le $BUDGET ] || fail "$each bytes a connection" ;;
esac
churn=$(conns --churn --connections 32) || fail "churn: $(tail -n 1 "$TMP/load.err")"
[ "$(field opened_and_closed "$churn")" -gt 100 ] || fail "hardly a connection: $churn"
conns --idle --connections $N >/dev/null || fail "idle connections again: $(tail -n 1 "$TMP/load.err")"
# One beyond the limit is refused, and said so.
if conns --idle --connections $((N + 40)) >/dev/null; then fail "more connections than kafka.connections_max"; fi
kill "${PIDS[0]}"
wait "${PIDS[0]}" || fail "the daemon exited with $?"
