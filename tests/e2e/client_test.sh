#!/usr/bin/env bash
# The client program against a daemon: lines arrive as records in every codec, unchanged and once;
# input that pauses is not held back; errors are one line and the right exit code; the benchmarks
# run at small sizes and count what they sent.
. "$(dirname "$0")/lib.sh"
M=$B/millrace

fetch() { kcat -C -b "$KAFKA" -t "$1" -o beginning -e -q 2>/dev/null; }
# refused CODE TEXT command...: exits so, and says so in one line on stderr.
refused() {
	local code=$1 text=$2 rc=0
	shift 2
	"$@" </dev/null >/dev/null 2>"$TMP/refused.err" || rc=$?
	expect "$code" "$rc" "exit code of $*"
	expect 1 "$(wc -l <"$TMP/refused.err")" "lines on stderr of $*: $(cat "$TMP/refused.err")"
	grep -q "$text" "$TMP/refused.err" || fail "$*: $(cat "$TMP/refused.err")"
}

start client --workers 2
seq 1 20000 >"$TMP/lines"
printf 'the last line has no end' >>"$TMP/lines"
want=$(sort "$TMP/lines" | md5sum)

for codec in none gzip snappy lz4 zstd; do
	"$M" produce --bootstrap "$KAFKA" --topic "lines-$codec" --codec $codec --idempotent \
		--batch-bytes 4KiB "$TMP/lines" 2>"$TMP/produce.said"
	grep -q '^20001 rows, ' "$TMP/produce.said" || fail "$(cat "$TMP/produce.said")"
	expect "$want" "$(fetch "lines-$codec" | sort | md5sum)" "lines in $codec"
done

# A pause lets go what is there; an empty line is a record with an empty value.
mkfifo "$TMP/slow"
"$M" produce --bootstrap "$KAFKA" --topic slow --partitions 1 --quiet <"$TMP/slow" &
slow=$!
PIDS+=($slow)
exec 3>"$TMP/slow"
printf 'a\n\n' >&3
has_lines() { [ "$(fetch "$1" | wc -l)" = "$2" ]; }
until_true has_lines slow 2
expect "$(printf 'a\n\n' | md5sum)" "$(fetch slow | md5sum)" "lines of a slow pipe"
exec 3>&-
wait $slow

# An interrupt flushes and reports: the second line may have been read by then or not. (Background
# jobs of a script ignore SIGINT; env resets it.)
mkfifo "$TMP/fifo"
env --default-signal=INT "$M" produce --bootstrap "$KAFKA" --topic interrupted --partitions 1 \
	<"$TMP/fifo" 2>"$TMP/interrupted.said" &
pid=$!
PIDS+=($pid)
exec 3>"$TMP/fifo"
echo one >&3
until_true has_lines interrupted 1
echo two >&3
kill -INT $pid
wait $pid || fail "interrupted: exit $?"
exec 3>&-
said=$(sed -n 's/^\([12]\) rows, .*/\1/p' "$TMP/interrupted.said")
expect "$(printf 'one\ntwo\n' | head -n "${said:-0}")" "$(fetch interrupted)" "what was read before the interrupt"

refused 1 'Connection refused' "$M" produce --bootstrap 127.0.0.1:1 --topic t
refused 1 'No such file' "$M" produce --bootstrap "$KAFKA" --topic t "$TMP/absent"
refused 1 'INVALID_TOPIC' "$M" produce --bootstrap "$KAFKA" --topic 'no good'
refused 2 'is not ADDR:PORT' "$M" produce --bootstrap nonsense --topic t
refused 2 'topic T is needed' "$M" produce --bootstrap "$KAFKA"
refused 2 'unknown option' "$M" produce --bootstrap "$KAFKA" --topic t --nonsense
refused 2 'no value for --codec' "$M" produce --bootstrap "$KAFKA" --topic t --codec rar
refused 2 'needs --acks all' "$M" produce --bootstrap "$KAFKA" --topic t --idempotent --acks 1
refused 1 'Connection refused' "$M" sql --connect 127.0.0.1:1 -c 'SELECT 1'
refused 1 'Connection refused' "$M" bench query --sql 127.0.0.1:1

for acks in 0 1 all; do
	"$M" produce --bootstrap "$KAFKA" --topic "acks-$acks" --acks $acks --quiet "$TMP/lines"
done
until_true has_lines acks-0 20001
expect "$want" "$(fetch acks-0 | sort | md5sum)" "lines with acks=0"
expect "$want" "$(fetch acks-all | sort | md5sum)" "lines with acks=all"

"$M" bench ingest --bootstrap "$KAFKA" --sql "$SQL" --table --rows 30000 --batch-bytes 16KiB \
	--connections 2 --runs 2 --codec lz4 --pid "$PID" --json >"$TMP/ingest.json"
"$M" bench ingest --bootstrap "$KAFKA" --sql "$SQL" --rows 5000 --rate 20000 >"$TMP/ingest.txt"
python3 - "$TMP/ingest.json" "$(query 'SELECT count(*) FROM events')" <<'PYTHON'
import json, sys
runs = json.load(open(sys.argv[1]))
assert len(runs) == 2 and all(r['rows'] >= 30000 and r['retries'] == 0 for r in runs), runs
assert int(sys.argv[2]) >= sum(r['rows'] for r in runs) + 5000, (sys.argv[2], runs)
PYTHON
expect 0 "$(query 'SELECT count(*) FROM millrace.dead_letters')" "events that do not decode"
"$M" bench freshness --bootstrap "$KAFKA" --sql "$SQL" --seconds 1 --rate 200 --scan \
	--json >"$TMP/freshness.json"
python3 -m json.tool "$TMP/freshness.json" >/dev/null
"$M" bench query --sql "$SQL" --runs 1 >"$TMP/query.txt" || fail "$(cat "$TMP/query.txt")"
stop
