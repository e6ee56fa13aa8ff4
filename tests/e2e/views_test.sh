# Materialized views are stored: a restart folds no row again, kill -9 at any moment leaves the view
# equal to its query, far more groups than view.memory_bytes are read from disk, damage is named.
. tests/e2e/lib.sh

# rows FROM TO: one JSON event each; the key is almost always new.
rows() {
	awk -v from="$1" -v to="$2" 'BEGIN {
		for (i = from; i < to; i++)
			printf "{\"id\":%d,\"k\":\"key-%d\",\"g\":%d,\"x\":%d.%02d}\n", i, i % 150001, i % 7, i % 1000, i % 100
	}'
}
produce() { rows "$1" "$2" | kcat -b "$KAFKA" -P -t t -X acks=all -X enable.idempotence=true -z lz4; }
figure() { query "SELECT $1 FROM millrace.views WHERE view_name = '$2'"; }

# Every group of the view, and nothing else, is what the query says.
TABLE_BY_K="SELECT k, count(*) AS c, sum(x) AS s, min(id) AS lo, max(id) AS hi FROM t GROUP BY k"
TABLE_BY_G="SELECT g, count(*) AS c, sum(x) AS s FROM t GROUP BY g"
SUMS="count(*), sum(c), sum(s), sum(lo), sum(hi), count(DISTINCT k), max(c)"
equal() {
	expect "$(query "SELECT $SUMS FROM ($TABLE_BY_K) AS q")" "$(query "SELECT $SUMS FROM by_k")" "by_k $1"
	expect "$(query "$TABLE_BY_G ORDER BY g")" "$(query "SELECT * FROM by_g ORDER BY g")" "by_g $1"
	expect "$(query "SELECT count(*), sum(x) FROM t")" "$(query "SELECT c, s FROM everything")" "everything $1"
}

start d --set view.memory_bytes=64MiB
query "CREATE TABLE t (id bigint, k text, g integer, x numeric(12,2)) WITH (topic = 't', partitions = 4)"
query "CREATE MATERIALIZED VIEW by_k AS $TABLE_BY_K"
query "CREATE MATERIALIZED VIEW by_g AS $TABLE_BY_G"
produce 0 60000
query "CREATE MATERIALIZED VIEW everything AS SELECT count(*) AS c, sum(x) AS s FROM t"
equal "in memory"
query CHECKPOINT
equal "after CHECKPOINT"
expect "0" "$(figure unsealed by_k)" "unsealed states after CHECKPOINT"
expect "t" "$(figure "runs > 0" by_k)" "runs after CHECKPOINT"
stop

# Nothing is folded at a restart, whatever the number of workers.
for workers in 2 4 1; do
	start d --workers $workers --set view.memory_bytes=64MiB
	expect "0|0" "$(figure "rows_folded, rows_filled" by_k)" "rows folded by a restart with $workers workers"
	equal "after a restart with $workers workers"
	produce $((60000 * workers)) $((60000 * workers + 1000))
	equal "after more rows"
	query CHECKPOINT
	stop
done

# A view made over segments, dropped and made again.
start d --set view.memory_bytes=64MiB
query "DROP MATERIALIZED VIEW by_g"
query "CREATE MATERIALIZED VIEW by_g AS $TABLE_BY_G"
equal "made again"
stop
start d
equal "made again, after a restart"
expect "0|0" "$(figure "rows_folded, rows_filled" by_g)" "rows folded by a restart"

# Many small runs become few, and the view stays what it is.
for i in $(seq 20); do
	produce $((1000000 + i * 500)) $((1000500 + i * 500))
	query CHECKPOINT
done
few_runs() { [ "$(figure "runs < 12 AND runs_merged >= 8" by_k)" = t ]; }
until_true few_runs
same_files() { [ "$(query "SELECT sum(runs) FROM millrace.views")" = "$(find "$TMP/d/run" -name '*.run' | wc -l)" ]; }
until_true same_files
equal "after merging of runs"
crash
start d --workers 3
equal "after merging of runs and kill -9"
expect "0|0" "$(figure "rows_folded, rows_filled" by_g)" "rows folded after merging of runs"

# Dropping leaves no file; emptying neither. One that is being read or merged goes when that is done.
no_files() { [ "$(find "$TMP/d/run" -name '*.run' | wc -l)" = 0 ]; }
query "TRUNCATE t"
expect "0|" "$(query "SELECT c, s FROM everything")" "everything after TRUNCATE"
until_true no_files
produce 0 5000
query CHECKPOINT
equal "after TRUNCATE"
query "DROP MATERIALIZED VIEW by_k"
query "DROP MATERIALIZED VIEW by_g"
query "DROP TABLE t CASCADE"
until_true no_files
stop
rm -rf "$TMP/d"
echo "views: stored"

# ---- far more groups than memory for views

# What the views count, at work too, and what the process has, stay bounded.
accounted() {
	query "SELECT count(*) FROM millrace.views WHERE active_bytes > 0" >/dev/null
	curl -s "http://$HTTP/metrics" |
		awk '/^millrace_views_(states|bases|work)_bytes / { sum += $2; n++ } END { printf "%d\n", n == 3 ? sum : -1 }'
}
bounded() {
	local bytes
	bytes=$(accounted)
	[ "$bytes" -ge 0 ] || fail "a metric is missing"
	[ "$bytes" -le $((VIEW_MIB << 20)) ] || fail "views take $bytes bytes of $VIEW_MIB MiB $1"
}
VIEW_MIB=12
start big --workers 2 --set view.memory_bytes=${VIEW_MIB}MiB --set table.memory_bytes=64MiB
query "CREATE TABLE t (id bigint, k text, g integer, x numeric(12,2)) WITH (topic = 't', partitions = 4)"
query "CREATE MATERIALIZED VIEW by_k AS $TABLE_BY_K"
query "CREATE MATERIALIZED VIEW by_g AS $TABLE_BY_G"
query "CREATE MATERIALIZED VIEW everything AS SELECT count(*) AS c, sum(x) AS s FROM t"
produce 0 300000 &
load=$!
PIDS+=("$load")
while kill -0 "$load" 2>/dev/null; do
	bounded "under load"
	query "SELECT count(*), sum(c) FROM by_k" >"$TMP/out"
	sleep 0.2
done
wait "$load"
equal "with few bytes for views"
bounded "at rest"
expect t "$(figure "base_bytes = 0 AND reads_spilled > 0" by_k)" "by_k is read in passes"
expect t "$(figure "base_bytes > 0 AND reads_spilled = 0" everything)" "everything has a base"
expect 150001 "$(query "SELECT count(*) FROM by_k")" "groups"

# Who asks for one key reads a part of the groups, of whatever is stored.
for i in 0 77 150000; do
	expect "$(query "SELECT k, count(*), sum(x) FROM t WHERE k = 'key-$i' GROUP BY k")" "$(query "SELECT k, c, s FROM by_k WHERE k = 'key-$i' AND c > 0")" "key $i"
done
expect "" "$(query "SELECT * FROM by_k WHERE k = 'no such key'")" "a key that there is not"
read_rows=$(query "EXPLAIN ANALYZE SELECT * FROM by_k WHERE k = 'key-77'" | sed -n 's/.*Scan on by_k.*(actual[^)]*rows=\([0-9]*\).*/\1/p')
[ "$read_rows" -gt 0 ] && [ "$read_rows" -lt 3000 ] || fail "$read_rows groups read for one key"
peak=$(curl -s "http://$HTTP/metrics" | awk '$1 == "millrace_views_work_peak_bytes" { printf "%d\n", $2 }')
[ "$peak" -gt 0 ] && [ "$peak" -le $(((VIEW_MIB << 20) / 8)) ] || fail "work took $peak bytes"
rss=$(awk '/VmHWM/ { print $2 }' "/proc/$PID/status")
[ "$rss" -lt 400000 ] || fail "the process had $rss kB"

# Sealing cannot write: appends wait at the limit and nothing breaks; then it goes on by itself.
mv "$TMP/big/run" "$TMP/run.away"
produce 2000000 2300000 &
load=$!
PIDS+=("$load")
waiting=-1
while [ "$waiting" != "$(query "SELECT count(*) FROM t")" ]; do
	waiting=$(query "SELECT count(*) FROM t")
	bounded "while sealing fails"
	sleep 1
done
kill -0 "$load" || fail "the producer did not wait"
expect t "$(query "SELECT count(*) > 300000 AND count(*) < 600000 FROM t")" "rows while sealing fails"
mv "$TMP/run.away" "$TMP/big/run"
wait "$load" || fail "the producer"
expect 600000 "$(query "SELECT count(*) FROM t")" "rows after sealing failed"
equal "after sealing failed"
query CHECKPOINT
expect t "$(query "SELECT $(metric 'millrace_view_rows_folded_total{view="everything"}') = 600000")" "rows folded in metrics"
expect t "$(query "SELECT $(metric millrace_views_waits_total) > 0 AND $(metric millrace_views_states_bytes) <= $((VIEW_MIB << 20))")" "memory in metrics"
stop

# ---- many views of one table: what they take follows from their groups, and stays bounded

start many --set view.memory_bytes=12MiB
query "CREATE TABLE t (id bigint, g integer) WITH (topic = 't', partitions = 2)"
for i in $(seq 100); do
	echo "CREATE MATERIALIZED VIEW v$i AS SELECT g, count(*) AS c, sum(id) AS s FROM t GROUP BY g;"
done | psql -X -q -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace -v ON_ERROR_STOP=1
# Each of these rows may have a group of its own in each view, which is far more than fits.
query "INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 20000) AS q(i)"
VIEW_MIB=12 bounded "with many views"
expect 0 "$(find "$TMP/many/run" -name '*.run' | wc -l)" "runs that were written for want of memory"
# These have: sealing makes room. States never have more than half.
query "INSERT INTO t SELECT i, i FROM generate_series(1, 1000) AS q(i)" &
load=$!
PIDS+=("$load")
most=0
while kill -0 "$load" 2>/dev/null; do
	states=$(metric millrace_views_states_bytes | awk '{ printf "%d\n", $1 }')
	[ "$states" -gt "$most" ] && most=$states
	sleep 0.02
done
wait "$load" || fail "the INSERT of many groups"
[ "$most" -gt 1000000 ] && [ "$most" -le $((6 << 20)) ] || fail "states took $most bytes of 6 MiB"
expect t "$(query "SELECT sum(runs) > 0 FROM millrace.views")" "runs were written"
expect "$(query "SELECT count(DISTINCT g), count(*), sum(id) FROM t")" "$(query "SELECT count(*), sum(c), sum(s) FROM v100")" "one of many views"
stop
rm -rf "$TMP/many"
echo "views: many, of one table"

# ---- damage: an error with file and offset, never another answer

# What was being written when the folder went away could not be removed: a start does that.
start big --set view.memory_bytes=${VIEW_MIB}MiB
stop
file=$(ls -S "$TMP"/big/run/*.run | sed -n 1p)
cp "$file" "$TMP/whole"
at=$(($(stat -c %s "$file") / 2))
printf '\x5a\xa5' | dd of="$file" bs=1 seek=$at conv=notrunc status=none
cmp -s "$file" "$TMP/whole" && fail "nothing changed"
start big --set view.memory_bytes=${VIEW_MIB}MiB
said=$(psql -X -q -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace -v VERBOSITY=verbose -c "SELECT count(*) FROM by_k" 2>&1) &&
	fail "an answer from a damaged file: $said"
[[ $said == *XX001*run/$(basename "$file")*offset* ]] || fail "damage is called: $said"
expect "$(query "$TABLE_BY_G ORDER BY g")" "$(query "SELECT * FROM by_g ORDER BY g")" "another view beside a damaged one"
stop
rm "$file"
start big --set view.memory_bytes=${VIEW_MIB}MiB
said=$(query "SELECT count(*) FROM by_k" 2>&1) && fail "an answer without a file: $said"
[[ $said == *"run/$(basename "$file")"*missing* ]] || fail "a missing file is called: $said"
stop
cp "$TMP/whole" "$file"
start big --set view.memory_bytes=${VIEW_MIB}MiB
expect 0 "$(figure rows_filled by_k)" "rows folded after repair"
equal "after repair"
stop
rm -rf "$TMP/big"
echo "views: bounded, and damage is named"
