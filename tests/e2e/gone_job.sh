# The network device is deleted under a daemon that is being written to: it says so in its log, in
# millrace.ports and in its health, sleeps, answers SQL, and has all that it has acknowledged when it
# is started again on a device of that name. Run by dpdk.sh with a kind of port.
. tests/e2e/lib.sh
state() { query "SELECT link FROM millrace.ports"; }
is_gone() { [ "$(state)" = gone ]; }
ticks() { awk '{ print $14 + $15 }' "/proc/$PID/stat"; }
records() { query "SELECT count(DISTINCT n) FROM many"; }

start d --workers 2
query "CREATE TABLE many (n bigint) WITH (topic = 'many', format = 'json', partitions = 4)"
expect ok "$(curl -s "http://$HTTP/healthz")" "health before"
"$B/tests/e2e/producer" --bootstrap "$KAFKA" --topics many --acked "$TMP/acked" --records 1000000 --rate 50000 \
	--flush-seconds 0 >"$TMP/sent" 2>&1 &
PRODUCER=$!
PIDS+=("$PRODUCER")
some() { [ "$(records)" -gt 10000 ]; }
until_true some
ip link del mr0
until_true is_gone
expect 1 "$(grep -c 'port=.* event=removed' "$TMP/d.err")" "log lines of the removal"
said=$(curl -s -w ' %{http_code}' "http://$HTTP/healthz" | tr '\n' ' ')
[[ $said = "the port "*" is gone"*503 ]] || fail "health says: $said"
kill -TERM "$PRODUCER"
wait "$PRODUCER" || true # it has not had all its answers
sleep 0.5
before=$(ticks)
sleep 1
[ $(($(ticks) - before)) -lt 50 ] || fail "ticks of a second without a port: $(($(ticks) - before))"
kept=$(records)
stop

rm "$WIRE/device.0" # the name comes back
start d --workers 2
expect up "$(state)" "the port made anew"
expect "$kept" "$(records)" "records"
"$B/tests/e2e/consumer" --bootstrap "$KAFKA" --topics many --acked "$TMP/acked" >/dev/null || fail "acknowledged records are missing"
seq 1 1000 | kcat -b "$KAFKA" -P -t later -X acks=all
expect 1000 "$(kcat -b "$KAFKA" -C -t later -e -q -o beginning | wc -l)" "records afterwards"
stop
