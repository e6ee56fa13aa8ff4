# kill -9 again and again under an idempotent producer that goes on, each time with another number of
# workers and in the middle of sealing and merging: at the end Fetch, SQL and views hold exactly what
# was acknowledged.
# MILLRACE_KILLS=500 makes it long.
. tests/e2e/lib.sh
. tests/e2e/load.sh
KILLS=${MILLRACE_KILLS:-6}
WORKERS=(2 4 1 4 2 1)

killed() { # name kills option...
	local name=$1 kills=$2 i
	shift 2
	free_ports 6
	set -- --kafka-port $((PORT + 2)) --sql-port "$PORT" --http-port $((PORT + 1)) "$@"
	start "$name" --workers 1 "$@"
	create_table events 5
	# Over DPDK no kernel tells a peer that the daemon is gone: a client all of whose requests were
	# taken, and none answered, notices by its own clock.
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
	expect 0 "$LOAD_RC" "the producer's exit code ($(cat "$TMP/$name.sent" "$TMP/producer.err"))"
	check_topics "$name" events,plain --exact
	check_sql events
	crash
	start "$name" --workers 3 "$@"
	check_topics "$name" events,plain --exact
	check_sql events
	stop
	echo "$name: $kills kills, $(sort "$TMP/stirred" | uniq -c | tr -s ' \n' ' '), $(tail -n 1 "$TMP/$name.sent")"
}

killed uring "$KILLS"
killed plain $((KILLS / 2)) --set io=plain
