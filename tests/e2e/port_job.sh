# What every port must carry, whatever its driver: small records and large ones over two workers, a
# daemon that is killed and comes back, many frames at a time, and a stop in order. What the port says
# it has sent has arrived: a frame that a driver drops silently is sent again by TCP, and all else looks
# well. Run by dpdk.sh with a kind of port.
. tests/e2e/lib.sh
read_all() { kcat -b "$KAFKA" -C -t "$1" -e -q -o beginning -X fetch.message.max.bytes=2000000 2>>"$TMP/kcat.err"; }
arrived() { awk '$1 == "mr0:" { print $3 }' /proc/net/dev; }
sent() { query "SELECT tx_frames FROM millrace.ports"; }
sent_has_arrived() { [ "$(sent)" = $(($(arrived) - before)) ]; }

start d --workers 2
seq 1 20000 | kcat -b "$KAFKA" -P -t small -X acks=all
for i in 1 2 3 4 5 6; do head -c 900000 /dev/zero | tr '\0' "$i" >"$TMP/big.$i"; done
kcat -b "$KAFKA" -P -t big -X acks=all -X message.max.bytes=2000000 "$TMP"/big.*
for life in first second; do
	expect 20000 "$(read_all small | sort -u | wc -l)" "small records of the $life life"
	expect 5400006 "$(read_all big | wc -c)" "bytes of large records of the $life life"
	[ $life = second ] || { crash && before=$(arrived) && start d --workers 2; }
done
"$B/tests/e2e/producer" --bootstrap "$KAFKA" --topics many --acked "$TMP/acked" --records 200000 --rate 200000 >"$TMP/sent" ||
	fail "producer: $(cat "$TMP/sent")"
"$B/tests/e2e/consumer" --bootstrap "$KAFKA" --topics many --acked "$TMP/acked" --exact >/dev/null ||
	fail "what was acknowledged is not what is there"
until_true sent_has_arrived
expect "up|${WIRE_MTU:-1500}|t|t" "$(query "SELECT link, mtu, rx_frames > 100, tx_frames > 100 FROM millrace.ports")" "the port"
stop
