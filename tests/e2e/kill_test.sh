# kill -9 again and again under an idempotent producer that goes on, each time with another number of
# workers and in the middle of sealing and merging: at the end Fetch, SQL and views hold exactly what
# was acknowledged.
# MILLRACE_KILLS=500 makes it long.
. tests/e2e/lib.sh
. tests/e2e/load.sh
KILLS=${MILLRACE_KILLS:-6}
WORKERS=(2 4 1 4 2 1)

# librdkafka before 2.3.0 may end with a fatal error of its own after a kill (its #4438: it takes a
# request that was cut off for persisted, though it was not, and the next one is out of order). Then
# there are records without acknowledgement, and nothing else may be different.
client_ended_itself() {
	[ "$LOAD_RC" = 1 ] && grep -q "sequence desynchronization" "$TMP/producer.err" &&
		printf '%s\n2.2.99\n' "$(kcat -V | sed -n 's/.*librdkafka \([0-9.]*\).*/\1/p')" | sort -VC
}

killed() { # name kills option...
	local name=$1 kills=$2 i exact=(--exact)
	shift 2
	free_ports 6
	set -- --kafka-port $((PORT + 2)) --sql-port "$PORT" --http-port $((PORT + 1)) "$@"
	start "$name" --workers 1 "$@"
	create_table events 5
	# Over DPDK no kernel tells a peer that the daemon is gone: a client all of whose requests were
	# taken, and none answered, notices by its own clock.
	: >"$TMP/producer.err"
	load "$name" events,plain --rate 30000 --partitions 4 --set socket.timeout.ms=5000
	stir events
	for ((i = 0; i < kills; i++)); do
		between 1 15
		sleep "$((N / 10)).$((N % 10))"
		crash
		start "$name" --workers "${WORKERS[i % ${#WORKERS[@]}]}" "$@"
	done
	sleep 0.5
	stir_end
	load_end
	if client_ended_itself; then
		echo "$name: librdkafka ended itself (its #4438)"
		exact=()
		LOAD_RC=0
	fi
	expect 0 "$LOAD_RC" "the producer's exit code ($(cat "$TMP/$name.sent" "$TMP/producer.err"))"
	check_topics "$name" events,plain "${exact[@]}"
	check_sql events
	crash
	start "$name" --workers 3 "$@"
	check_topics "$name" events,plain "${exact[@]}"
	check_sql events
	stop
	echo "$name: $kills kills, $(sort "$TMP/stirred" | uniq -c | tr -s ' \n' ' '), $(tail -n 1 "$TMP/$name.sent")"
}

killed uring "$KILLS"
killed plain $((KILLS / 2)) --set io=plain
