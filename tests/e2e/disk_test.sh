# A full disk, and directories that must be refused: produce gets retriable errors before the disk is
# full, reads stay up, deleting makes room, nothing acknowledged is lost; each refusal is one clear
# line and exit 1.
. tests/e2e/namespace.sh
own_mounts_if_any
. tests/e2e/lib.sh
. tests/e2e/load.sh
DISK_MIB=200
MOUNT=$TMP/mount

release() { umount "$MOUNT" 2>/dev/null || umount -l "$MOUNT" 2>/dev/null || true; }

refused() { # text directory option...
	local text=$1 directory=$2 rc=0
	shift 2
	timeout 60 "$B/millraced" --data "$directory" --kafka-port 0 --sql-port 0 --http-port 0 \
		"${SMALL[@]}" "$@" >"$TMP/refused.out" 2>"$TMP/refused.said" || rc=$?
	expect 1 "$rc" "exit code where '$text' is expected ($(tail -n 2 "$TMP/refused.said"))"
	expect 1 "$(grep -c '^millraced: ' "$TMP/refused.said")" "lines of complaint about: $text"
	grep -qE "^millraced: .*($text)" "$TMP/refused.said" ||
		fail "'$text' is not in: $(cat "$TMP/refused.said")"
	[ ! -s "$TMP/refused.out" ] || fail "it said it was ready"
}

# flip FILE OFFSET: one byte becomes another.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "\\x$(printf %x $((byte ^ 0x5a)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# copy NAME: a fresh copy of the good directory.
copy() {
	rm -rf "${TMP:?}/$1"
	cp -r --sparse=always "$TMP/good" "$TMP/$1"
}

# Log files with records in them, oldest first (a spare is all zeros).
used_logs() {
	local f
	for f in "$TMP/$1"/log/*.mlog; do
		cmp -s -n 300100 "$f" /dev/zero || echo "$f"
	done
}

# An older file is read when its rows are wanted. Then the daemon serves all else, and answers for this
# with an error instead of fewer rows.
sealed_damage() {
	local file said logs
	copy sealed
	mapfile -t logs < <(used_logs sealed)
	[ ${#logs[@]} -gt 1 ] || fail "only one log file"
	file=${logs[0]}
	flip "$file" 300000
	start sealed
	for said in "SELECT count(*) FROM events" "SELECT count(*) FROM events_view"; do
		said=$(query "$said" 2>&1) && fail "an answer without the damaged rows: $said"
		[[ $said == *"not complete"* ]] || fail "damage is called: $said"
	done
	grep -q "file=log/$(basename "$file") offset=" "$TMP/sealed.err" || fail "the file is not named"
	expect 1 "$(query "SELECT 1")" "SQL beside damage"
	echo '{"n":1}' | kcat -b "$KAFKA" -P -t other -X acks=all || fail "produce beside damage"
	stop
}

directories() {
	# All rows stay in the log, however long this takes: what is damaged there is missed.
	start good --set table.seal_after=1h
	create_table events 2
	load good events,plain --partitions 2 --records 60000 --rate 100000 --pad 200
	wait "$LOAD_PID" || fail "the producer failed: $(cat "$TMP/producer.err")"
	refused "in use|another" "$TMP/good"
	stop

	copy newer
	sed -i 's/^millrace .*/millrace 99/' "$TMP/newer/FORMAT"
	refused "99|newer" "$TMP/newer"
	copy foreign
	touch "$TMP/foreign/holiday.jpg"
	refused "holiday.jpg|not a millrace" "$TMP/foreign"
	echo hello >"$TMP/file"
	refused "Not a directory|not a directory" "$TMP/file"

	local name file bytes logs
	# The newest file of the log is read at start; it is not all there.
	copy middle
	mapfile -t logs < <(used_logs middle)
	file=${logs[-1]}
	flip "$file" 300000
	refused "$(basename "$file").*offset.*damaged" "$TMP/middle"
	sealed_damage
	for name in manifest.0 super; do
		copy broken
		bytes=$(stat -c %s "$TMP/broken/$name")
		dd if=/dev/urandom of="$TMP/broken/$name" bs=4096 count=$((bytes < 8192 ? 1 : 2)) \
			conv=notrunc status=none
		[ $name = manifest.0 ] || head -c "$bytes" /dev/urandom >"$TMP/broken/$name"
		refused "$name|manifest|damaged" "$TMP/broken"
	done
	# And the original is still as good as it was.
	start good
	check_topics good events,plain --partitions 2 --exact
	check_sql events
	stop
}

unwritable() {
	mkdir "$TMP/closed"
	if [ "$(id -u)" = 0 ]; then
		# Root may write anywhere but on a file system that is read-only.
		mount -t tmpfs -o ro,size=1m none "$TMP/closed" 2>/dev/null || return 0
		refused "Read-only|cannot" "$TMP/closed/d"
		umount "$TMP/closed"
	else
		chmod 500 "$TMP/closed"
		refused "Permission denied|cannot" "$TMP/closed/d"
	fi
}

# There is no kcat for that: DeleteTopics version 1 by hand.
delete_topic() {
	/usr/bin/python3 - "$KAFKA" "$1" <<-'END'
		import socket, struct, sys
		host, port = sys.argv[1].split(":")
		name = sys.argv[2].encode()
		body = struct.pack(">hhih", 20, 1, 1, -1) + struct.pack(">ih", 1, len(name)) + name
		body += struct.pack(">i", 10000)
		s = socket.create_connection((host, int(port)), timeout=15)
		s.sendall(struct.pack(">i", len(body)) + body)
		reply = s.recv(4096)
		sys.exit(struct.unpack(">h", reply[-2:])[0])
	END
}

full_disk() {
	local why="directories are fine, but a full disk needs root, mounts and loop devices"
	[ -n "${MILLRACE_NAMESPACE:-}" ] && [ -c /dev/loop-control ] || skip "$why"
	mkdir "$MOUNT"
	truncate -s ${DISK_MIB}M "$TMP/disk.img"
	mkfs.ext4 -q -F "$TMP/disk.img"
	mount -o loop "$TMP/disk.img" "$MOUNT" 2>/dev/null || skip "$why"
	start full --data "$MOUNT/data"
	create_table events 4
	load full events --records 5000
	wait "$LOAD_PID" || fail "the first records: $(tail -n 1 "$TMP/full.sent")"
	# Fills the disk with `plain`; what does not fit is not acknowledged.
	load filler plain --rate 20000 --pad 2000 --seconds 60 --flush-seconds 0 --set message.timeout.ms=4000
	local i free before
	for i in $(seq 300); do
		grep -q '^producer' "$TMP/producer.err" && break
		sleep 0.1
	done
	load_end
	free=$(df --output=avail -BM "$MOUNT" | tail -n 1 | tr -dc 0-9)
	echo "filled: ${free} MiB free, $(tail -n 1 "$TMP/filler.sent")"
	[ "$LOAD_RC" = 3 ] || fail "the disk did not get full"
	[ "$free" -ge 1 ] || fail "the disk is full to the last byte"
	kill -0 "$PID" || fail "the daemon ended"
	expect 1 "$(query "SELECT 1")" "SQL on a full disk"
	check_topics filler plain
	expect 5000 "$(query "SELECT count(*) FROM events")" "rows on a full disk"
	kcat -b "$KAFKA" -L -t plain >/dev/null || fail "metadata on a full disk"
	# A producer that waits is answered once there is room.
	"$B/tests/e2e/producer" --bootstrap "$KAFKA" --topics events --acked "$ACKED/full" \
		--first 1000000000 --records 5000 >"$TMP/full.sent" 2>>"$TMP/producer.err" &
	LOAD_PID=$!
	PIDS+=("$LOAD_PID")
	sleep 1
	[ ! -s "$TMP/full.sent" ] || fail "acknowledged on a full disk"
	delete_topic plain || fail "DeleteTopics on a full disk: $?"
	LOAD_RC=0
	wait "$LOAD_PID" || LOAD_RC=$?
	expect 0 "$LOAD_RC" "the patient producer's exit code ($(tail -n 1 "$TMP/full.sent"))"
	check_topics full events --exact
	check_sql events
	crash
	start full --data "$MOUNT/data"
	check_topics full events --exact
	check_sql events
	stop
}

directories
unwritable
full_disk
