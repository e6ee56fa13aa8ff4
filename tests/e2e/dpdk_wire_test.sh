# What the machine says of its own network: the tables of ports and connections, a capture that
# tshark reads without complaint, big and small messages over several workers and both families, and
# the line that names a peer's offloads.
. tests/e2e/dpdk.sh
wire veth --set log_level=notice
. tests/e2e/lib.sh

start d --workers 3
expect "net_af_packet0|net_af_packet|up|1500|1|software" \
	"$(query "SELECT name, driver, link, mtu, rx_queues, steering FROM millrace.ports")" "the port"
expect "d/capture/a.pcapng" "$(query "SELECT millrace.capture_start('a.pcapng', 'snap 2000')" | grep -o 'd/capture/.*')" "a capture"
refused() { [[ "$(query "SELECT millrace.$1" 2>&1 || true)" = *"$2"* ]] || fail "millrace.$1 is not refused with '$2'"; }
refused "capture_start('b.pcapng')" "a capture is running"

seq 1 20000 | kcat -b "$KAFKA" -P -t small -X acks=all
expect 20000 "$(kcat -b "$KAFKA" -C -t small -e -q -o beginning | sort -u | wc -l)" "small messages"
for i in 1 2 3 4 5 6; do head -c 900000 /dev/zero | tr '\0' "$i" >"$TMP/big.$i"; done
kcat -b "$KAFKA" -P -t big -X acks=all -X message.max.bytes=2000000 "$TMP"/big.*
kcat -b "$KAFKA" -C -t big -e -q -o beginning -D '' -X fetch.message.max.bytes=2000000 >"$TMP/back"
expect 5400000 "$(stat -c %s "$TMP/back")" "bytes of big messages"
"$B/tests/e2e/producer" --bootstrap "$KAFKA" --topics many --acked "$TMP/acked" --records 20000 --rate 100000 \
	>"$TMP/sent" || fail "producer: $(cat "$TMP/sent")"
"$B/tests/e2e/consumer" --bootstrap "$KAFKA" --topics many --acked "$TMP/acked" --exact >/dev/null ||
	fail "what was acknowledged is not what is there"
# IPv6: the address of the connection is what clients are told.
six="[fd77:${KAFKA#10.77.}"
six="${six%%.*}::2]:${KAFKA##*:}"
if /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET6)' 2>/dev/null; then
	expect 20000 "$(kcat -b "$six" -X broker.address.family=v6 -C -t small -e -q -o beginning 2>"$TMP/six.err" | wc -l)" "messages over IPv6"
else
	echo "the host has no IPv6: that part is left out"
fi

expect "3|t|t" "$(query "SELECT count(*), min(rx_frames) > 100 AND min(tx_bytes) > 1000,
	max(rx_dropped) = 0 AND max(tx_dropped) = 0
	FROM millrace.workers")" "frames of each worker"

exec 5<>"/dev/tcp/${KAFKA%:*}/${KAFKA##*:}"
expect "established|t" "$(query "SELECT tcp_state, srtt_us >= 0 FROM millrace.connections
	WHERE kind = 'kafka' LIMIT 1")" "a connection"
exec 5<&-
stopped=$(query "SELECT millrace.capture_stop()")
# What a busy machine's disk was too slow for is counted; nothing waits for it.
[[ $stopped =~ ^[0-9]+\ frames,\ [0-9]+\ lost:\  ]] || fail "the capture says: $stopped"
refused "capture_stop()" "no capture is running"
refused "capture_start('../x')" "file name"
refused "capture_start('c', 'colour red')" "filter"

file=$TMP/d/capture/a.pcapng
# Kafka's bytes look like other protocols to tshark's guesses.
sharked() { tshark -r "$file" -d "tcp.port==${KAFKA##*:}-$((${KAFKA##*:} + 2)),data" "$@" 2>/dev/null; }
expect 0 "$(sharked -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE \
	-Y 'tcp.checksum.status == "Bad" || ip.checksum.status == "Bad" || _ws.malformed' | wc -l)" "bad frames"
# Retransmissions and what follows from them happen where a machine is busy; all else must not.
sharked -q -z expert >"$TMP/expert"
odd=$(sed -n '/^Errors\|^Warns/,/^Notes\|^Chats/p' "$TMP/expert" | grep -E '^ +[0-9]+ ' |
	grep -vE 'Connection reset|D-SACK|Previous segment|ACKed segment|out-of-order|Out-Of-Order|window is (full|completely full)|Zero window|zero window' || true)
[ -z "$odd" ] || fail "tshark: $odd"
[ "$(sharked | wc -l)" -gt 1000 ] || fail "the capture is short"

# A peer that leaves checksums to its device is heard of, and named.
ethtool -K mr0 tx on tso on gso on >/dev/null
for _ in 1 2 3; do (timeout 1 bash -c "exec 5<>/dev/tcp/${KAFKA%:*}/${KAFKA##*:}") 2>/dev/null || true; done
until_true grep -q "ethtool -K PEER tx off tso off gso off" "$TMP/d.err"
grep -q "event=unfinished_checksums" "$TMP/d.err" || fail "nothing is said of unfinished checksums"
ethtool -K mr0 tx off tso off gso off >/dev/null
expect 20000 "$(kcat -b "$KAFKA" -C -t small -e -q -o beginning | wc -l)" "messages afterwards"
# The link goes and comes back under a connection.
(sleep 0.2; ip link set mr0 down; sleep 1; ip link set mr0 up) &
"$B/tests/e2e/producer" --bootstrap "$KAFKA" --topics link --acked "$TMP/acked2" --records 3000 --rate 1000 \
	>"$TMP/sent" || fail "producer: $(cat "$TMP/sent")"
stop
