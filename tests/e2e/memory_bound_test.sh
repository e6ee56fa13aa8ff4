#!/usr/bin/env bash
# Input that asks for far more memory than it brings: rows in a thousand windows each, keys of a quarter of a
# megabyte, batches of one record, and all of it read back at once. The process stays within the budget that it prints.
. "$(dirname "$0")/lib.sh"
command -v kcat >/dev/null || { echo "skip: no kcat"; exit 77; }

SMALL=(--set log.file_bytes=4MiB --set log.ring_bytes=4MiB --set log.reserve_bytes=1MiB --set log.index_memory_bytes=2MiB
	--set kafka.memory_bytes=16MiB --set kafka.message_bytes_max=1MiB --set kafka.request_bytes_max=2MiB
	--set kafka.decompressed_bytes_max=8MiB --set kafka.connections_max=100 --set table.memory_bytes=64MiB
	--set table.chunk_bytes_max=4MiB --set view.memory_bytes=16MiB --set merge.memory_bytes=32MiB
	--set sql.memory_bytes=64MiB --set sql.connections_max=10)

metric() { curl -sf "http://$HTTP/metrics" | awk -v n="$1" '{ split($1, a, "{") } a[1] == n { sum += $2 } END { printf "%d\n", sum }'; }
views_bytes() {
	curl -sf "http://$HTTP/metrics" | awk '/^millrace_views_(states|bases|work)_bytes / { sum += $2 } END { printf "%d\n", sum }'
}
bounded() {
	local bytes
	bytes=$(views_bytes)
	[ "$bytes" -le $((16 << 20)) ] || fail "views take $bytes bytes $1"
}
within() { # MIB WHAT
	local rss
	rss=$(awk '/VmHWM/ { printf "%d", $2 / 1024 }' "/proc/$PID/status")
	[ "$rss" -le "$1" ] || fail "the process had $rss MiB $2, of $1"
	echo "$rss MiB of $1 $2"
}

start d
# What the queries may have is not used here.
BUDGET=$(awk '$1 == "total" { printf "%d", $2 }' "$TMP/d.err")
query "CREATE TABLE t (id bigint, k text, at timestamptz) WITH (topic = 't', partitions = 2)"
query "CREATE MATERIALIZED VIEW wide AS SELECT window_start, id, count(*) AS c
	FROM HOP(t, at, INTERVAL '1 second', INTERVAL '1000 seconds') GROUP BY window_start, id"
query "CREATE MATERIALIZED VIEW long AS SELECT k, count(*) AS c, max(k) AS m FROM t GROUP BY k"

# A batch whose rows make a million groups goes in piece by piece.
awk 'BEGIN { for (i = 0; i < 1500; i++) printf "{\"id\":%d,\"k\":\"a\",\"at\":\"2024-01-01T00:00:00Z\"}\n", i }' |
	kcat -b "$KAFKA" -P -t t -p 0 -X acks=all -X linger.ms=500 &
load=$!
while kill -0 $load 2>/dev/null; do
	bounded "while rows have many windows"
	sleep 0.1
done
wait $load || fail "the producer"
expect 1500 "$(query "SELECT count(*) FROM t")" "rows"
bounded "with many windows"

# Keys of 256 KiB, each another one.
awk 'BEGIN { s = "x"; while (length(s) < 262000) s = s s; s = substr(s, 1, 262000)
	for (i = 0; i < 100; i++) printf "{\"id\":1,\"k\":\"%d%s\"}\n", i, s }' |
	kcat -b "$KAFKA" -P -t t -p 1 -X acks=all -X message.max.bytes=1000000 -z lz4 || fail "the producer of long keys"
expect "101|262002" "$(query "SELECT count(*), max(length(m)) FROM long")" "long keys"
bounded "with long keys"

# Batches of one record, many a file.
seq 1 20000 | awk '{ printf "{\"id\":%d}\n", $1 }' |
	kcat -b "$KAFKA" -P -t small -p 0 -X acks=all -X batch.num.messages=1 -X linger.ms=0 || fail "small batches"
[ "$(metric millrace_log_active_index_bytes)" -le $((5 << 20)) ] || fail "the index of open files"
within "$BUDGET" "after all that"
expect 1500000 "$(query "SELECT sum(c) FROM wide")" "groups of many windows"
stop

# All of it is read again: tables catch up, many read old batches.
start d
query "CREATE TABLE again (id bigint) WITH (topic = 'small')"
for i in $(seq 6); do
	kcat -b "$KAFKA" -C -t t -p $((i % 2)) -e -q -o beginning -f '%o\n' >"$TMP/read.$i" 2>>"$TMP/kcat.err" &
	readers[i]=$!
done
for i in $(seq 6); do wait "${readers[$i]}" || fail "a reader"; done
expect "100 1500" "$(wc -l <"$TMP/read.1") $(wc -l <"$TMP/read.2")" "records read"
has_all() { [ "$(query "SELECT count(*) FROM again")" = 20000 ]; }
until_true has_all
[ "$(metric millrace_read_peak_bytes)" -le $((64 << 20)) ] || fail "reads took too much"
within "$BUDGET" "after reading it again"
stop
