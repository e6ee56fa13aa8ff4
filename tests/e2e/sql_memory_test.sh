#!/usr/bin/env bash
# The memory limit of all queries: many big queries at once never pass it, each that fails says
# 53200, a small query goes through meanwhile, and the daemon lives.
. "$(dirname "$0")/lib.sh"
command -v psql >/dev/null || skip "no psql"

LIMIT=$((64 << 20))
BIG="SELECT count(*), max(length(t)) FROM (SELECT g, repeat('x', 40) || g AS t FROM generate_series(1, 250000) g ORDER BY t) q"


start mem --set sql.memory_bytes=64MiB
expect "250000|46" "$(query "$BIG")" "the big query alone"
[ "$(metric millrace_sql_memory_refused_total)" = 0 ] || fail "refused though alone"
JOBS=()
for i in $(seq 12); do
	query "$BIG" >"$TMP/q$i.out" 2>&1 &
	JOBS+=($!)
done
for _ in $(seq 20); do
	expect 1 "$(query "SELECT 1")" "a small query beside big ones"
	used=$(metric millrace_sql_memory_bytes)
	awk -v u="$used" -v l=$LIMIT 'BEGIN { exit !(u <= l) }' || fail "used $used of $LIMIT"
done
ok=0 refused=0
for i in $(seq 12); do
	if wait "${JOBS[$((i - 1))]}"; then
		expect "250000|46" "$(cat "$TMP/q$i.out")" "a big query among others"
		ok=$((ok + 1))
	else
		grep -q "out of memory" "$TMP/q$i.out" || fail "$(cat "$TMP/q$i.out")"
		grep -q "raise sql.memory_bytes" "$TMP/q$i.out" || fail "no hint: $(cat "$TMP/q$i.out")"
		refused=$((refused + 1))
	fi
done
[ $refused -gt 0 ] || fail "nothing was refused"
peak=$(metric millrace_sql_memory_peak_bytes)
awk -v u="$peak" -v l=$LIMIT 'BEGIN { exit !(u <= l && u > l / 2) }' || fail "peak $peak of $LIMIT"
expect 53200 "$(psql -X -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace -v VERBOSITY=sqlstate -c \
	"SET statement_timeout = 0" -c "SELECT count(*) FROM (SELECT g FROM generate_series(1, 5000000) g ORDER BY g DESC) q" 2>&1 |
	grep -o '53200')" "its state"
expect 53200 "$(psql -X -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace -v VERBOSITY=sqlstate -c \
	"SELECT count(*) FROM (SELECT rank() OVER (ORDER BY g DESC) FROM generate_series(1, 5000000) g) q" 2>&1 |
	grep -o '53200')" "a window function's state"
expect "250000|46" "$(query "$BIG")" "the big query afterwards"
# All has been given back but what this connection holds.
is_given_back() { awk -v u="$(metric millrace_sql_memory_bytes)" 'BEGIN { exit !(u < 1048576) }'; }
until_true is_given_back
stop
start mem --set sql.query_bytes_max=16MiB
out=$(query "$BIG" 2>&1) && fail "the limit of one query did not hold"
grep -q "raise sql.query_bytes_max" <<<"$out" || fail "hint: $out"
stop
echo "sql memory: $ok of 12 ran, $refused refused, peak $peak of $LIMIT"
