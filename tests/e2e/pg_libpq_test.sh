#!/usr/bin/env bash
# The libpq program of pg_libpq.c against the SQL port of a test server.
set -u
b=${MILLRACE_BUILD:-build/release}/tests/e2e
coproc SERVER { exec "$b/pg_server"; }
trap 'kill "$SERVER_PID" 2>/dev/null; wait "$SERVER_PID"' EXIT
read -r _ sql _ <&"${SERVER[0]}"
timeout 60 "$b/pg_libpq" "${sql#sql=}"
