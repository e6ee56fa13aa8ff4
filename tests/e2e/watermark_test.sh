# Watermarks: advance by event time, late rows, times too far ahead, idle partitions; the same after
# kill -9 and with other numbers of workers; shown by SQL and /metrics.
. tests/e2e/lib.sh

# row TIME: the rest of a row with that event time, or without one.
row() { [ -n "$1" ] && echo "{\"x\":1,\"ts\":\"$1\"}" || echo '{"x":1}'; }
put() { # partition time...
	local partition=$1 t
	shift
	for t in "$@"; do row "$t"; done | kcat -b "$KAFKA" -P -t e -p "$partition" -X acks=all
}
marks() { query "SELECT partition, watermark, max_event_time, late_rows, future_rows, untimed_rows FROM millrace.watermarks WHERE table_name = 'e' ORDER BY partition"; }
of_table() { query "SELECT DISTINCT table_watermark FROM millrace.watermarks WHERE table_name = 'e'"; }
# becomes WANT WHAT COMMAND...: within a minute.
becomes() {
	local want=$1 what=$2 got i
	shift 2
	for i in $(seq 600); do
		got=$("$@")
		[ "$got" = "$want" ] && return
		sleep 0.1
	done
	fail "$what: expected '$want', got '$got'"
}

start d --set table.idle_timeout=3s
query "CREATE TABLE e (x int, ts timestamptz) WITH (topic = 'e', partitions = 2, watermark = 'ts - 5 seconds')"
put 0 2026-01-01T10:00:00Z 2026-01-01T10:00:20Z 2026-01-01T10:00:10Z
becomes "0|2026-01-01 10:00:15+00|2026-01-01 10:00:20+00|0|0|0
1|||0|0|0" "a watermark" marks
becomes "2026-01-01 10:00:15+00" "the table's, when the silent partition is idle" of_table
put 0 2026-01-01T10:00:14Z 2026-01-01T10:00:15Z 2099-01-01T00:00:00Z ""
becomes "0|2026-01-01 10:00:15+00|2026-01-01 10:00:20+00|1|1|1
1|||0|0|0" "late, future and untimed rows" marks
expect 7 "$(query "SELECT count(*) FROM e")" "all rows are kept"
began=$SECONDS
put 1 2026-01-01T09:00:00Z
put 0 2026-01-01T11:00:00Z
WANT="0|2026-01-01 10:59:55+00|2026-01-01 11:00:00+00|1|1|1
1|2026-01-01 08:59:55+00|2026-01-01 09:00:00+00|0|0|0"
becomes "$WANT" "both partitions" marks
# On a busy machine that partition may be idle again by now.
mark=$(of_table)
[ $((SECONDS - began)) -ge 3 ] || expect "2026-01-01 10:00:15+00" "$mark" "the table's never goes back"
becomes "2026-01-01 10:59:55+00" "the table's goes on without idle partitions" of_table
page=$(curl -s "http://$HTTP/metrics")
for want in table_watermark_lag_seconds 'table_rows_late_total{table="e"} 1' \
	'table_rows_future_total{table="e"} 1' 'table_rows_untimed_total{table="e"} 1'; do
	grep -qF "millrace_$want" <<<"$page" || fail "no $want in /metrics"
done

for workers in 2 1; do
	crash
	start d --workers $workers
	expect "$WANT" "$(marks)" "after kill -9, with $workers workers"
done
query CHECKPOINT
put 1 2026-01-01T08:00:00Z
WANT="${WANT%%
*}
1|2026-01-01 08:59:55+00|2026-01-01 09:00:00+00|1|0|0"
becomes "$WANT" "a late row after a restart" marks
put 1 2026-01-01T08:00:00Z
stop
start d --workers 2
expect "${WANT/%1|0|0/2|0|0}" "$(marks)" "what came just before a stop counts"
stop
