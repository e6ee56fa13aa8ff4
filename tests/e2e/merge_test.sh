# Segments are merged in the background and by VACUUM: the answers stay the same meanwhile, through
# restarts with other numbers of workers and kills; a table's ttl drops whole segments, for good.
. tests/e2e/lib.sh

# rows FROM TO: one JSON event each, a millisecond apart; every 100th line is not JSON.
rows() {
	awk -v from="$1" -v to="$2" 'BEGIN {
		for (i = from; i < to; i++) {
			if (i % 100 == 99) { print "broken " i; continue }
			printf "{\"id\":%d,\"k\":\"key-%d\",\"x\":%d.%02d,\"s\":\"text of row %d\",\"at\":%.0f%s}\n",
				i, i % 7, i % 1000, i % 100, i, 1700000000000 + i, i % 3 ? ",\"n\":" i * 3 : ""
		}
	}'
}
produce() { rows "$1" "$2" | kcat -b "$KAFKA" -P -t t -X acks=all -z lz4; }
SUMS="SELECT count(*), sum(id), count(n), sum(n), sum(x), count(DISTINCT s), min(s), max(k), min(at), max(at) FROM t"
check() {
	expect "$WANT" "$(query "$SUMS")" "the table $1"
	expect "$WANT_DEAD" "$(query "SELECT count(*), count(DISTINCT value) FROM millrace.dead_letters")" "dead letters $1"
	expect "$(query "SELECT count(*), sum(id) FROM t")" "$(query "SELECT sum(c), sum(s) FROM v")" "the view $1"
}
note_want() {
	WANT=$(query "$SUMS")
	WANT_DEAD=$(query "SELECT count(*), count(DISTINCT value) FROM millrace.dead_letters")
}

start d --workers 2 --set merge.rows=40000
query "CREATE TABLE t (id bigint, k text, x numeric(12,2), s text, n integer, at timestamptz) WITH (topic = 't', partitions = 4, watermark = 'at')"
query "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(id) AS s FROM t GROUP BY k"
for i in $(seq 0 39); do
	produce $((i * 1000)) $((i * 1000 + 1000))
	query CHECKPOINT
	expect $(((i + 1) * 990)) "$(query "SELECT count(*) FROM t")" "rows while segments are merged"
done
note_want
few() { [ "$(segments t)" -le 20 ]; }
until_true few
check "after merging"
[ "$(metric millrace_merges_total)" -gt 0 ] || fail "no merges are counted"
query "CREATE MATERIALIZED VIEW later AS SELECT count(*) AS c, sum(n) AS n FROM t"
expect "$(query "SELECT count(*), sum(n) FROM t")" "$(query "SELECT c, n FROM later")" "a view made later"
query "DROP MATERIALIZED VIEW later"
before=$(query "SELECT sum(bytes) FROM millrace.segments")
query "VACUUM t"
expect 1 "$(segments t)" "segments after VACUUM"
check "after VACUUM"
expect "t|t|t|9|f|2023-11-14 22:13:20+00" "$(query "SELECT raw_bytes > bytes, compression_ratio BETWEEN 1.5 AND 100, merges > 0, zstd_level, damaged, min_time FROM millrace.segments")" "what millrace.segments says"
after=$(query "SELECT sum(bytes) FROM millrace.segments")
[ "$after" -lt "$before" ] || fail "VACUUM made $after bytes of $before"
expect 1 "$(find "$TMP/d/seg" -name '*.seg' | wc -l)" "files after VACUUM"
[ "$(metric millrace_merge_memory_bytes)" -le $((256 << 20)) ] || fail "a merge held more than merge.memory_bytes"
# What is merged and packed already is left alone.
merges=$(metric millrace_merges_total)
query "VACUUM"
expect "$merges" "$(metric millrace_merges_total)" "merges of a second VACUUM"
stop
for workers in 4 1 3; do
	start d --workers $workers --set merge.rows=40000
	check "after a restart with $workers workers"
	for i in 1 2 3; do
		produce $((100000 * workers + i * 700)) $((100000 * workers + i * 700 + 700))
		query CHECKPOINT
	done
	note_want
	crash
	start d --workers $workers --set merge.rows=40000
	check "after a kill with $workers workers"
	query "VACUUM"
	check "after VACUUM with $workers workers"
	stop
done

# Blocks outside of a range of time are not read.
start d --set merge.rows=4000000
produce 1000000 1300000
query VACUUM
plan=$(query "EXPLAIN ANALYZE SELECT count(*) FROM t WHERE at >= '2023-11-14 22:31:00+00' AND at < '2023-11-14 22:31:01+00'")
[[ $plan =~ blocks=([0-9]+)\ skipped=([0-9]+) ]] || fail "no blocks in: $plan"
[ "${BASH_REMATCH[1]}" -le 3 ] || fail "many blocks were read: $plan"
[ "${BASH_REMATCH[2]}" -gt "${BASH_REMATCH[1]}" ] || fail "few blocks were skipped: $plan"
note_want

# A VACUUM that is cancelled leaves all as it was.
for i in 1 2; do
	produce $((2000000 + i * 100000)) $((2100000 + i * 100000))
	query CHECKPOINT
done
note_want
said=$(PGOPTIONS='' psql -X -q -A -t -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace \
	-c "SET statement_timeout = '60ms'" -c "VACUUM" 2>&1) && fail "VACUUM was not cancelled"
[[ $said == *"cancel"* ]] || fail "a cancelled VACUUM says: $said"
check "after a cancelled VACUUM"
# A reader that began before goes on with the old files, which go with it.
rows_now=$(query "SELECT count(*) FROM t")
moved=$(psql -X -A -t -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace 2>&1 <<-END
	BEGIN;
	DECLARE c CURSOR FOR SELECT id, s FROM t;
	\o /dev/null
	FETCH 10 FROM c;
	\o
	\! psql -X -q -h 127.0.0.1 -p $SQL_PORT -U millrace -d millrace -c VACUUM
	\! [ \$(ls "$TMP/d/seg" | wc -l) -gt 1 ] || echo the old files are gone
	MOVE ALL IN c;
	COMMIT;
END
)
expect "BEGIN DECLARE CURSOR MOVE $((rows_now - 10)) COMMIT" "$(echo $moved)" "a reader through VACUUM"
one_file() { [ "$(find "$TMP/d/seg" -name '*.seg' | wc -l)" = 1 ]; }
until_true one_file
check "after a whole VACUUM"
stop
rm -rf "$TMP/d"

# Rows older than the ttl go with their segment and do not come back.
start e --workers 2
query "CREATE TABLE t (id bigint, at timestamptz) WITH (topic = 't', partitions = 2, watermark = 'at', ttl = '1 hour')"
query "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c, max(id) AS m FROM t"
now=$(date +%s)
for i in $(seq 100); do echo "{\"id\":$i,\"at\":$(((now - 7200) * 1000 + i))}"; done | kcat -b "$KAFKA" -P -t t -X acks=all
expect 100 "$(query "SELECT count(*) FROM t")" "rows in memory, older than the ttl"
query CHECKPOINT
gone() { [ "$(query "SELECT count(*) FROM t")" = 0 ]; }
until_true gone
for i in $(seq 10); do echo "{\"id\":$((1000 + i)),\"at\":$((now * 1000 + i))}"; done | kcat -b "$KAFKA" -P -t t -X acks=all
query CHECKPOINT
expect 10 "$(query "SELECT count(*) FROM t")" "rows within the ttl"
expect 100 "$(metric millrace_expired_rows_total)" "rows counted as expired"
expect "110|1010" "$(query "SELECT c, m FROM v")" "a view over rows that have expired"
[ "$(metric millrace_expired_segments_total)" -gt 0 ] || fail "no expired segments are counted"
stop
for how in stop crash; do
	start e --workers 1
	expect "10|1001" "$(query "SELECT count(*), min(id) FROM t")" "expired rows after a restart"
	expect "110|1010" "$(query "SELECT c, m FROM v")" "a view over expired rows after a restart"
	expect 110 "$(query "SELECT sum(high_watermark) FROM millrace.partitions WHERE topic = 't'")" "offsets"
	$how
done
