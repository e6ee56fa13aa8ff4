# Helpers of the end-to-end tests: a daemon on free ports in a temporary directory, gone at exit.
# Source it first. Daemons are ended by the pids that this script started.
set -euo pipefail
. tests/e2e/namespace.sh
B=${MILLRACE_BUILD:-build/release}
TMP=$(mktemp -d "${TMPDIR:-/tmp}/millrace-test.XXXXXX")
PIDS=()

cleanup() {
	local rc=$?
	for pid in "${PIDS[@]:-}"; do
		[ -n "$pid" ] && kill -9 "$pid" 2>/dev/null || true
	done
	# What a test has mounted goes once no daemon holds it.
	if declare -F release >/dev/null; then
		for pid in "${PIDS[@]:-}"; do wait "$pid" 2>/dev/null || true; done
		release || true
	fi
	wait 2>/dev/null || true
	if [ $rc -ne 0 ] && [ $rc -ne 77 ]; then
		for f in "$TMP"/*.err; do
			[ -s "$f" ] && echo "== $(basename "$f")" && tail -n 30 "$f"
		done
	fi
	rm -rf "$TMP"
	exit $rc
}
trap cleanup EXIT

fail() {
	echo "FAIL: $*"
	exit 1
}

# Small files and pools, so that a test's disk and memory are small.
SMALL=(--set log.file_bytes=16MiB --set log.ring_bytes=16MiB --set log.reserve_bytes=16MiB
	--set kafka.memory_bytes=64MiB --set table.memory_bytes=512MiB)

# start NAME [option]...: sets KAFKA, SQL, HTTP (host:port), SQL_PORT and PID.
start() {
	local name=$1 line
	shift
	: >"$TMP/$name.out"
	"$B/millraced" --data "$TMP/$name" --kafka-port 0 --sql-port 0 --http-port 0 "${SMALL[@]}" "$@" \
		>"$TMP/$name.out" 2>>"$TMP/$name.err" &
	PID=$!
	PIDS+=("$PID")
	for _ in $(seq 600); do
		line=$(head -n 1 "$TMP/$name.out")
		[ -n "$line" ] && break
		kill -0 "$PID" 2>/dev/null || fail "millraced ended: $(tail -n 3 "$TMP/$name.err")"
		sleep 0.1
	done
	[[ $line =~ ^ready\ kafka=([^ ]+)\ sql=([^ ]+)\ http=([^ ]+)$ ]] || fail "no ready line: $line"
	KAFKA=${BASH_REMATCH[1]}
	SQL=${BASH_REMATCH[2]}
	HTTP=${BASH_REMATCH[3]}
	SQL_PORT=${SQL##*:}
}

# stop: SIGTERM, and the exit code must be 0.
stop() {
	kill -TERM "$PID"
	wait "$PID" || fail "millraced exited with $?"
}

# crash: SIGKILL, to a daemon that has not ended by itself before.
crash() {
	local rc=0
	kill -9 "$PID" 2>/dev/null || true
	wait "$PID" 2>/dev/null || rc=$?
	expect 137 "$rc" "exit code of millraced after SIGKILL"
}

# query SQL: unaligned rows without header.
query() {
	PGCONNECT_TIMEOUT=10 psql -X -q -A -t -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace \
		-v ON_ERROR_STOP=1 -c "$1"
}

# expect WANT GOT WHAT
expect() {
	[ "$1" = "$2" ] || fail "$3: expected '$1', got '$2'"
}

# metric NAME: its value, or nothing.
metric() { curl -sf "http://$HTTP/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }

# until_true COMMAND...: tries for 60 s: any fixed sleep is too short on some busy machine.
until_true() {
	for _ in $(seq 600); do
		"$@" && return
		sleep 0.1
	done
	fail "in vain: $*"
}

# segments TABLE: how many it has.
segments() { query "SELECT count(*) FROM millrace.segments WHERE table_name = '$1'"; }
