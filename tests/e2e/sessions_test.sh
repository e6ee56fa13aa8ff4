#!/usr/bin/env bash
# Who is connected and what runs, and ending it: pg_stat_activity, pg_cancel_backend,
# pg_terminate_backend, millrace.connections; and what a stranger is told.
. "$(dirname "$0")/lib.sh"
command -v psql >/dev/null || skip "no psql"

# A query under an application name, in the background; its output and exit code in files.
background() { # NAME SQL
	(
		rc=0
		PGAPPNAME=$1 query "$2" >"$TMP/$1.log" 2>&1 || rc=$?
		echo $rc >"$TMP/$1.rc"
	) &
	BACKGROUND=$!
}

# wait_for WANT SQL: until the query gives that.
wait_for() {
	for _ in $(seq 600); do
		[ "$(query "$2" 2>&1)" = "$1" ] && return
		sleep 0.1
	done
	fail "'$(query "$2" 2>&1)' instead of '$1': $2"
}

start sessions
# A portal that a client leaves open is seen as such; here: what runs, by whom, from where.
background sleeper "SELECT pg_sleep(600)"
wait_for 1 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sleeper' AND state = 'active'"
expect "millrace|millrace|127.0.0.1|t|t|t|SELECT pg_sleep(600)|client backend" \
	"$(query "SELECT datname, usename, client_addr, client_port > 0, backend_start <= now(), query_start <= now() + interval '1 s', query, backend_type FROM pg_stat_activity WHERE application_name = 'sleeper'")" \
	"pg_stat_activity"
expect 1 "$(query "SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND state = 'active'")" "own session"
expect "sql|$SQL_PORT|active|1" "$(query "SELECT kind, local_port, state, requests FROM millrace.connections WHERE client = 'sleeper'")" \
	"millrace.connections"
expect t "$(query "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'sleeper'")" "cancel"
wait_for 0 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sleeper'"
wait "$BACKGROUND"
grep -q "canceling statement due to user request" "$TMP/sleeper.log" || fail "$(cat "$TMP/sleeper.log")"

background victim "SELECT pg_sleep(600)"
wait_for 1 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active'"
expect t "$(query "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'")" "terminate"
wait "$BACKGROUND"
grep -q "terminating connection" "$TMP/victim.log" || fail "$(cat "$TMP/victim.log")"
expect f "$(query "SELECT pg_cancel_backend(2000000000)")" "no such session"
expect f "$(query "SELECT pg_terminate_backend(2000000000, 10)")" "no such session"

# HTTP sessions are listed with the others.
curl -s "http://$HTTP/query" -d "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'http' AND state = 'active'" |
	grep -q '^\[1\]' || fail "the HTTP session is not listed"

# Kafka connections: worker, client, bytes.
if command -v kcat >/dev/null; then
	query "CREATE TABLE t (a int)" >/dev/null
	seq 100 | sed 's/.*/{"a": &}/' | kcat -P -b "$KAFKA" -t t -X client.id=my-producer
	kcat -C -b "$KAFKA" -t t -X client.id=my-consumer -f '' -o beginning >/dev/null 2>&1 &
	PIDS+=($!)
	wait_for t "SELECT count(*) > 0 FROM millrace.connections WHERE kind = 'kafka' AND client = 'my-consumer' AND requests > 0"
	expect "0|${KAFKA##*:}|t|t|t" \
		"$(query "SELECT worker, local_port, peer LIKE '${KAFKA%.*}.1:%', received_bytes > 0, sent_bytes > 0 FROM millrace.connections WHERE client = 'my-consumer' LIMIT 1")" \
		"Kafka connection"
fi

# A stranger is told how to come in.
out=$(psql -X -h 127.0.0.1 -p "$SQL_PORT" -U root -c "SELECT 1" 2>&1) && fail "root got in"
grep -q 'role "root" does not exist' <<<"$out" || fail "$out"
grep -q "psql -h 127.0.0.1 -p $SQL_PORT -U millrace" <<<"$out" || fail "no hint: $out"
out=$(psql -X -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d shop -c "SELECT 1" 2>&1) && fail "database shop is there"
grep -q "psql -h 127.0.0.1 -p $SQL_PORT -U millrace" <<<"$out" || fail "no hint: $out"
stop
