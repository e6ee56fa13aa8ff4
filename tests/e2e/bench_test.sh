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
