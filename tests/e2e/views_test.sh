# Materialized views are stored: a restart folds no row again, kill -9 at any moment leaves the view
# equal to its query, far more groups than view.memory_bytes are read from disk, damage is named.
. tests/e2e/lib.sh

# rows FROM TO: one JSON event each; the key is almost always new.
rows() {
	awk -v from="$1" -v to="$2" 'BEGIN {
		for (i = from; i < to; i++)
			printf "{\"id\":%d,\"k\":\"key-%d\",\"g\":%d,\"x\":%d.%02d}\n", i, i % 400009, i % 7, i % 1000, i % 100
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
for _ in $(seq 50); do
	[ "$(figure "runs < 12 AND runs_merged >= 8" by_k)" = t ] && break
	sleep 0.1
done
expect t "$(figure "runs < 12 AND runs_merged >= 8" by_k)" "runs are merged ($(figure "runs, runs_merged" by_k))"
expect "$(query "SELECT sum(runs) FROM millrace.views")" "$(find "$TMP/d/run" -name '*.run' | wc -l)" "files and runs"
equal "after merging of runs"
crash
start d --workers 3
equal "after merging of runs and kill -9"
expect "0|0" "$(figure "rows_folded, rows_filled" by_g)" "rows folded after merging of runs"

# Dropping leaves no file; emptying neither.
query "TRUNCATE t"
expect "0|" "$(query "SELECT c, s FROM everything")" "everything after TRUNCATE"
expect "0" "$(find "$TMP/d/run" -name '*.run' | wc -l)" "files after TRUNCATE"
produce 0 5000
query CHECKPOINT
equal "after TRUNCATE"
query "DROP MATERIALIZED VIEW by_k"
query "DROP MATERIALIZED VIEW by_g"
query "DROP TABLE t CASCADE"
expect "0" "$(find "$TMP/d/run" -name '*.run' | wc -l)" "files after DROP"
stop
rm -rf "$TMP/d"
echo "views: stored"
