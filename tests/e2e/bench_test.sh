#!/usr/bin/env bash
# The benchmarks' script runs from end to end in tiny sizes, in both forms.
set -euo pipefail
B=${MILLRACE_BUILD:-build/release}
BUILD=$B tools/run-bench --smoke --json | python3 -c '
import json, sys
text, at, reports = sys.stdin.read(), 0, []
while text[at:].strip():
	at += len(text[at:]) - len(text[at:].lstrip())
	report, at = json.JSONDecoder().raw_decode(text, at)
	reports.append(report)
assert len(reports) == 10, len(reports)
ingest = reports[:7]
assert all(r[0]["rows"] >= 20000 and r[0]["rows_per_s"] > 0 for r in ingest), ingest
assert not any(q["error"] for q in reports[8]), reports[8]
'

# The wire benchmark against the sink: everything is answered, and the sink has counted as much.
TMP=$(mktemp -d)
mkfifo "$TMP/in"
"$B/bench/sink_bench" --listen 127.0.0.1:0 <"$TMP/in" >"$TMP/out" &
SINK=$!
exec 8>"$TMP/in"
trap 'kill $SINK 2>/dev/null || true; rm -rf "$TMP"' EXIT
for _ in $(seq 600); do
	grep -q ready "$TMP/out" && break
	sleep 0.1
done
port=$(sed -n 's/^ready //p' "$TMP/out")
"$B/millrace" bench wire --bootstrap "127.0.0.1:$port" --seconds 1 --connections 4 --json >"$TMP/produce"
"$B/millrace" bench wire --bootstrap "127.0.0.1:$port" --seconds 1 --connections 1 --versions --json >"$TMP/versions"
if "$B/millrace" bench wire --bootstrap "127.0.0.1:$port" --seconds 1 --topic other >/dev/null 2>"$TMP/refused"; then
	echo "a topic that is not there was not refused"
	exit 1
fi
grep -q "Kafka error 3" "$TMP/refused"
# The sink ends with its input.
exec 8>&-
wait $SINK
python3 - "$TMP" <<'PY'
import json, sys
folder = sys.argv[1]
produce, versions = (json.load(open(f"{folder}/{n}"))[0] for n in ("produce", "versions"))
assert produce["errors"] == versions["errors"] == 0
assert produce["requests"] > 0 and versions["requests"] > 0
words = open(f"{folder}/out").read().split()
assert int(words[words.index("batches") + 1]) == produce["requests"], words
assert words[words.index("bad") + 1] == "0", words
PY
