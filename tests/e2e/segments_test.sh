# Tables live in segments: CHECKPOINT, restarts with other numbers of workers, kill -9 under load,
# TRUNCATE and DROP TABLE, views over what is stored, and far more data than table memory holds.
. tests/e2e/lib.sh

# rows FROM TO: one JSON event each; every 100th line is not JSON.
rows() {
	awk -v from="$1" -v to="$2" 'BEGIN {
		for (i = from; i < to; i++) {
			if (i % 100 == 99) { print "broken " i; continue }
			printf "{\"id\":%d,\"k\":\"key-%d\",\"x\":%d.%02d,\"d\":%d.5,\"s\":\"text of row %d\"%s}\n",
				i, i % 7, i % 1000, i % 100, i, i, i % 3 ? ",\"n\":" i * 3 : ""
		}
	}'
}
produce() { rows "$1" "$2" | kcat -b "$KAFKA" -P -t t -X acks=all -X enable.idempotence=true -z lz4; }
SUMS="SELECT count(*), sum(id), count(n), sum(n), sum(x), sum(d), count(DISTINCT s), min(s), max(k) FROM t"
dead() { query "SELECT count(*), count(DISTINCT value), min(reason) = max(reason) FROM millrace.dead_letters"; }
# check WANT: the table, its dead letters and its view say the same as before.
check() {
	local view
	expect "$WANT" "$(query "$SUMS")" "$1"
	expect "$WANT_DEAD" "$(dead)" "dead letters $1"
	view=$(query "SELECT sum(c), sum(s) FROM v")
	expect "$(query "SELECT count(*), sum(id) FROM t")" "$view" "the view $1"
}

start d
query "CREATE TABLE t (id bigint, k text, x numeric(12,2), d double precision, s text, n integer) WITH (topic = 't', partitions = 4)"
query "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(id) AS s FROM t GROUP BY k"
produce 0 50000
WANT=$(query "$SUMS")
WANT_DEAD=$(dead)
expect 49500 "${WANT%%|*}" "rows"
expect "500|500|t" "$WANT_DEAD" "dead letters"
query CHECKPOINT
check "after CHECKPOINT"
expect "t" "$(query "SELECT count(*) > 0 AND sum(rows) = 49500 AND sum(dead_rows) = 500 AND sum(bytes) > 0 FROM millrace.segments WHERE table_name = 't'")" "segments"
query "CREATE MATERIALIZED VIEW later AS SELECT count(*) AS c, sum(n) AS n FROM t"
expect "$(query "SELECT count(*), sum(n) FROM t")" "$(query "SELECT c, n FROM later")" "a view made later"
query "DROP MATERIALIZED VIEW later"
stop
for workers in 2 4 1; do
	start d --workers $workers
	check "after a restart with $workers workers"
	produce $((50000 * workers)) $((50000 * workers + 1000))
	WANT=$(query "$SUMS")
	WANT_DEAD=$(dead)
	stop
done

# kill -9 while a producer is at it: what came in is there once, whatever was sealed.
start d --workers 2 --set table.seal_after=1s
rows 1000000 1150000 | kcat -b "$KAFKA" -P -t t -X acks=all -X enable.idempotence=true -z lz4 \
	>"$TMP/kcat.log" 2>&1 &
load=$!
PIDS+=("$load")
sleep 1
query CHECKPOINT
crash
kill "$load" 2>/dev/null || true
wait "$load" 2>/dev/null || true
start d --workers 4
WANT=$(query "$SUMS")
WANT_DEAD=$(dead)
expect "t" "$(query "SELECT count(*) = count(DISTINCT id) FROM t")" "rows are there once"
log=$(query "SELECT sum(high_watermark) FROM millrace.partitions WHERE topic = 't'")
expect "$log" "$(query "SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM millrace.dead_letters)" 2>/dev/null || echo $((${WANT%%|*} + ${WANT_DEAD%%|*})))" "offsets and rows"
crash
start d
check "after two kills"

query "TRUNCATE t"
expect 0 "$(query "SELECT count(*) FROM t")" "rows after TRUNCATE"
expect "|" "$(query "SELECT sum(c), sum(s) FROM v")" "the view after TRUNCATE"
expect 0 "$(query "SELECT count(*) FROM millrace.segments")" "segments after TRUNCATE"
produce 0 1000
stop
start d --workers 2
expect 990 "$(query "SELECT count(*) FROM t")" "rows after TRUNCATE and a restart"
expect "990" "$(query "SELECT sum(c) FROM v")" "the view after TRUNCATE and a restart"
query CHECKPOINT
query "DROP TABLE t CASCADE"
expect 0 "$(find "$TMP/d/seg" -name '*.seg' | wc -l)" "files after DROP TABLE"
stop
rm -rf "$TMP/d"

# Several times the table memory goes in, and all of it is counted.
start m --set table.memory_bytes=32MiB
query "CREATE TABLE t (id bigint, k text, x numeric(12,2), d double precision, s text, n integer) WITH (topic = 't', partitions = 2)"
produce 0 600000
expect "594000|6000" "$(query "SELECT count(*) FROM t")|$(query "SELECT count(*) FROM millrace.dead_letters")" "rows beyond memory"
used=$(query "SELECT max(table_memory_max) FROM millrace.workers")
expect $((32 << 20)) "$used" "table memory"
stop
start m --set table.memory_bytes=32MiB
expect "594000" "$(query "SELECT count(DISTINCT id) FROM t")" "rows beyond memory after a restart"
stop
