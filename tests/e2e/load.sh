# Helpers of the tests that load a daemon and break it; source after lib.sh. The seed says what is
# random in them; MILLRACE_SEED repeats a run.
SEED=${MILLRACE_SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
echo "seed $SEED"

# between LOW HIGH: sets N. (Not by substitution: a subshell would draw the same number again.)
between() { N=$(($1 + RANDOM % ($2 - $1 + 1))); }

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_ports COUNT: sets PORT, the first of so many consecutive ports below the ephemeral ones.
free_ports() {
	local i
	for _ in $(seq 100); do
		between 12000 30000
		PORT=$N
		for ((i = 0; i < $1; i++)); do port_is_free $((PORT + i)) || continue 2; done
		return 0
	done
	fail "no free ports"
}

# load NAME TOPICS [option of producer]...: a producer in the background; its acknowledgements go to
# $ACKED/NAME. Returns after the first. Sets LOAD_PID.
load() {
	local name=$1 topics=$2
	shift 2
	mkdir -p "${ACKED:=$TMP/acked}"
	"$B/tests/e2e/producer" --bootstrap "$KAFKA" --topics "$topics" --acked "$ACKED/$name" "$@" \
		>"$TMP/$name.sent" 2>>"$TMP/producer.err" &
	LOAD_PID=$!
	PIDS+=("$LOAD_PID")
	until_true [ -s "$TMP/$name.sent" ]
}

# load_end: stops it; sets LOAD_RC (see producer.c).
load_end() {
	kill -TERM "$LOAD_PID" 2>/dev/null || true
	LOAD_RC=0
	wait "$LOAD_PID" || LOAD_RC=$?
}

# check_topics NAME TOPICS [option of consumer]...: Fetch against the acknowledgements; sets FETCHED to
# its "TOPIC records N sum S" lines.
check_topics() {
	local name=$1 topics=$2
	shift 2
	FETCHED=$("$B/tests/e2e/consumer" --bootstrap "$KAFKA" --topics "$topics" --acked "$ACKED/$name" \
		"$@") || fail "Fetch does not give what was acknowledged: $FETCHED"
}

# check_sql TOPIC: the table of that name, and its view TOPIC_view, hold what Fetch gave.
check_sql() {
	local records sum
	records=$(awk -v t="$1" '$1 == t { print $3 }' <<<"$FETCHED")
	sum=$(awk -v t="$1" '$1 == t { print $5 }' <<<"$FETCHED")
	expect "$records|$sum|$records" "$(query "SELECT count(*), sum(n), count(DISTINCT n) FROM $1")" \
		"table $1"
	expect "$records|$sum" "$(query "SELECT sum(records), sum(total) FROM $1_view")" "view of $1"
	expect "$(query "SELECT category, window_start, count(*), sum(n)
		FROM TUMBLE($1, event_time, INTERVAL '1 minute') GROUP BY 1, 2 ORDER BY 1, 2")" \
		"$(query "SELECT category, window_start, records, total FROM $1_view ORDER BY 1, 2")" \
		"groups of the view of $1"
	expect 0 "$(query "SELECT count(*) FROM millrace.dead_letters")" "dead letters"
	# The view that stir() makes and drops is there whole, or not at all.
	if query "SELECT total FROM $1_more LIMIT 1" >/dev/null 2>&1; then
		expect "$(query "SELECT category, sum(n) FROM $1 GROUP BY 1 ORDER BY 1")" \
			"$(query "SELECT category, total FROM $1_more ORDER BY 1")" "view $1_more"
	fi
}

create_table() { # topic partitions
	query "CREATE TABLE $1 (n bigint, category text, amount numeric(12,2), event_time timestamptz)
		WITH (topic = '$1', format = 'json', partitions = $2, watermark = 'event_time - 5 seconds')"
	query "CREATE MATERIALIZED VIEW $1_view AS
		SELECT category, window_start, count(*) AS records, sum(n) AS total, sum(amount) AS revenue
		FROM TUMBLE($1, event_time, INTERVAL '1 minute') GROUP BY category, window_start"
}

# stir TOPIC: seals, merges, and makes and drops a view, until stir_end; its errors are the daemon's
# ends. What it did is in $TMP/stirred.
stir() {
	local i=0
	while sleep 0.1; do
		query "CHECKPOINT" && echo "checkpoint" >>"$TMP/stirred"
		[ $((i % 2)) = 0 ] || { query "VACUUM $1" && echo "vacuum" >>"$TMP/stirred"; }
		query "DROP MATERIALIZED VIEW IF EXISTS $1_more"
		query "CREATE MATERIALIZED VIEW $1_more AS SELECT category, sum(n) AS total FROM $1 GROUP BY category" &&
			echo "view" >>"$TMP/stirred"
		i=$((i + 1))
	done 2>>"$TMP/stirred.said" &
	STIR_PID=$!
	PIDS+=("$STIR_PID")
}

stir_end() {
	kill "$STIR_PID" 2>/dev/null || true
	wait "$STIR_PID" 2>/dev/null || true
}
