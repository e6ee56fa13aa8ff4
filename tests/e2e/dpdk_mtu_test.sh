# net.mtu=9000 from end to end: large records over jumbo frames; to a peer whose MTU is 1500; to one
# behind a router whose next link takes 1400, which says so (path MTU discovery); and the ports that
# carry no such frames say what they carry.
. tests/e2e/namespace.sh
# The ring of net_af_packet is locked memory, 32 MiB with such frames.
locked=$(ulimit -l)
[ "$(id -u)" = 0 ] || [ "$locked" = unlimited ] || [ "$locked" -ge 65536 ] || skip "only $locked KiB may be locked here"
. tests/e2e/dpdk.sh
export WIRE_MTU=9000
wire veth --set net.gateway=10.77.0.1
. tests/e2e/lib.sh
metric() { curl -s "http://$HTTP/metrics" | awk -v m="millrace_$1" '$1 ~ "^" m { n += $2 } END { printf "%d", n }'; }
# carry WHERE command...: records of 900,000 bytes to and fro; the command's words run kcat.
carry() {
	local where=$1
	shift
	"$@" kcat -b "$KAFKA" -P -t "$where" -X acks=all -X message.max.bytes=2000000 "$TMP"/big.* || fail "$where: produce"
	"$@" kcat -b "$KAFKA" -C -t "$where" -e -q -o beginning -X fetch.message.max.bytes=2000000 >"$TMP/back"
	sort "$TMP/back" | cmp - "$TMP/sent" || fail "$where: other bytes came back"
}
for i in 1 2 3 4; do head -c 900000 /dev/zero | tr '\0' "$i" >"$TMP/big.$i"; done
for i in 1 2 3 4; do cat "$TMP/big.$i" && echo; done >"$TMP/sent"

start d
expect 9000 "$(query "SELECT mtu FROM millrace.ports")" "the port's MTU"
carry jumbo
mean() { query "SELECT $1_bytes / $1_frames FROM millrace.ports"; }
[ "$(mean rx)" -gt 2500 ] || fail "jumbo: frames received have $(mean rx) bytes on average"
[ "$(mean tx)" -gt 2500 ] || fail "jumbo: frames sent have $(mean tx) bytes on average"
expect 0 "$(metric tcp_pmtu_lowered_total)" "paths found narrower"

# A peer with ordinary frames says so as it connects.
ip link set mr0 mtu 1500
carry ordinary
ip link set mr0 mtu 9000
expect 0 "$(metric tcp_pmtu_lowered_total)" "paths found narrower with a peer of 1500"

# A client beyond a router. It promises to take 8960 bytes; the router's link to it does not.
unshare --net sleep 1000 &
far=$!
PIDS+=("$far")
is_apart() { [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; }
until_true is_apart
ip link add r0 type veth peer name c0
ip link set c0 netns $far
in_far() { nsenter -t $far -n "$@"; }
for x in "ip addr add 10.78.0.1/24 dev r0" "ip link set r0 mtu 1400 up" "in_far ip addr add 10.78.0.2/24 dev c0" \
	"in_far ip link set c0 mtu 9000 up" "in_far ip route add 10.77.0.0/24 via 10.78.0.1 mtu 1400 advmss 8960" \
	"ethtool -K r0 tx off tso off gso off gro off" "in_far ethtool -K c0 tx off tso off gso off gro off"; do
	$x >/dev/null
done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv4/conf/mrp0/forwarding # the daemon's end, which the kernel hears too
carry far in_far
[ "$(metric tcp_pmtu_lowered_total)" -gt 0 ] || fail "nobody has said that the path is narrow"
stop

# refused BYTES DEVICE
refused() {
	rm -rf "$TMP/x"
	"$(dirname "$(realpath "$B/millrace")")/millraced" --data "$TMP/x" --kafka-port 0 --sql-port 0 --http-port 0 \
		--dataplane dpdk --eal "--vdev $2" --set net.address=10.79.0.2/24 --set net.mtu=9000 >"$TMP/out" 2>"$TMP/said" &&
		fail "$2 takes frames of 9000 bytes"
	grep -q "carries at most $1 bytes" "$TMP/said" || fail "$2 says: $(tail -n 1 "$TMP/said")"
}
refused 1504 net_tap0,iface=mr9
refused 1920 net_af_packet0,iface=r0
refused 1920 "net_memif0,role=server,id=0,socket=$TMP/m,socket-abstract=no"
! grep -q '^XDP ' /proc/net/protocols || refused 3422 net_af_xdp0,iface=r0
