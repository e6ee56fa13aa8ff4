# Segments on a disk that is full, and damaged ones. Full: sealing fails and /healthz says so after a
# while, VACUUM is refused, ttl and DROP TABLE go on and make room, and then all is well again. Damaged:
# queries name the file, other tables go on, merging leaves it alone and says so.
. tests/e2e/namespace.sh
own_mounts_if_any
. tests/e2e/lib.sh
. tests/e2e/load.sh
MOUNT=$TMP/mount

release() { umount "$MOUNT" 2>/dev/null || umount -l "$MOUNT" 2>/dev/null || true; }
health() { curl -s -o "$TMP/health" -w '%{http_code}' "http://$HTTP/healthz"; }
# rows TABLE FROM TO AGE_SECONDS: events of a time ago.
rows() {
	local base=$((($(date +%s) - $4) * 1000))
	seq "$2" $(($3 - 1)) | awk -v base="$base" '{ printf "{\"id\":%d,\"s\":\"text of row %d\",\"at\":%.0f}\n", $1, $1, base + $1 }' |
		kcat -b "$KAFKA" -P -t "$1" -X acks=all
}
table() { query "CREATE TABLE $1 (id bigint, s text, at timestamptz) WITH (topic = '$1', partitions = 2, watermark = 'at' $2)"; }
# Which segment files a table has.
files() { query "SELECT segment_id FROM millrace.segments WHERE table_name = '$1' ORDER BY 1" | while read -r id; do printf 'seg/%016x.seg\n' "$id"; done; }
# flip FILE OFFSET: one byte becomes another.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "\\x$(printf %x $((byte ^ 0x5a)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

damage() {
	local said victim rest
	start d --set merge.rows=64
	table good ""
	table bad ""
	query "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c FROM bad"
	for i in 0 1 2 3 4; do
		rows good $((i * 500)) $((i * 500 + 500)) 0
		rows bad $((i * 500)) $((i * 500 + 500)) 0
		query CHECKPOINT
	done
	expect 5 "$(segments bad)" "segments"
	victim=$(files bad | sed -n 3p)
	# While it runs: the first block of the first column.
	flip "$TMP/d/$victim" 4100
	said=$(query "SELECT sum(id) FROM bad" 2>&1) && fail "a damaged segment was read: $said"
	[[ $said == *"$victim"*"offset"* ]] || fail "damage is called: $said"
	expect XX001 "$(psql -X -q -A -t -h 127.0.0.1 -p "$SQL_PORT" -U millrace -d millrace -v VERBOSITY=sqlstate -c "SELECT sum(id) FROM bad" 2>&1 | grep -o XX001)" "SQLSTATE"
	expect 2500 "$(query "SELECT count(DISTINCT id) FROM good")" "rows of the other table"
	expect 2500 "$(query "SELECT c FROM v")" "the view, which has its own"
	expect 1 "$(query "SELECT count(*) FROM millrace.segments WHERE damaged")" "damaged segments"
	stop
	# And after a start, with merging: on either side of the damage.
	start d --workers 2
	said=$(query "VACUUM bad" 2>&1) && fail "VACUUM said nothing of the damage"
	[[ $said == *"damaged"* ]] || fail "VACUUM calls damage: $said"
	expect 3 "$(segments bad)" "segments beside the damaged one"
	expect 1 "$(query "SELECT count(*) FROM millrace.segments WHERE damaged AND merges = 0")" "damaged segments left alone"
	[ "$(metric millrace_merge_damaged_total)" -gt 0 ] || fail "damage is not counted"
	grep -q "merge: event=damaged table=bad.*$victim" "$TMP/d.err" || fail "the log does not name the file"
	query "VACUUM good"
	expect 1 "$(segments good)" "segments of the other table"
	rest=$(query "SELECT sum(id) FROM bad" 2>&1) && fail "a damaged segment was read: $rest"
	# What was flipped back is as good as it was.
	flip "$TMP/d/$victim" 4100
	expect 2500 "$(query "SELECT count(DISTINCT id) FROM bad")" "rows once the damage is mended"
	stop
	rm -rf "$TMP/d"
}

full() {
	local said
	mkdir "$MOUNT"
	[ -n "${MILLRACE_NAMESPACE:-}" ] && mount -t tmpfs -o size=120m none "$MOUNT" 2>/dev/null ||
		skip "damage is fine, but a full disk needs root and a mount"
	# The log has its files before the disk gets full.
	start full --data "$MOUNT/data" --set log.reserve_bytes=0 --set table.seal_failing_max=1s \
		--set table.seal_after=1s --set merge.rows=60000000 --set merge.memory_bytes=32MiB
	table keep ""
	table drops ""
	table brief ", ttl = '20 seconds'"
	for i in 0 1; do
		for t in keep drops; do rows $t $((i * 1000)) $((i * 1000 + 1000)) 0; done
		rows brief $((i * 1000)) $((i * 1000 + 1000)) 15
		query CHECKPOINT
	done
	expect 200 "$(health)" "health before"
	dd if=/dev/zero of="$MOUNT/filler" bs=64k status=none 2>/dev/null || true
	rows keep 2000 3000 0
	said=$(query CHECKPOINT 2>&1) && fail "CHECKPOINT on a full disk: $said"
	ill() { [ "$(health)" = 503 ]; }
	until_true ill
	grep -q "no segment could be written" "$TMP/health" || fail "health says: $(cat "$TMP/health")"
	[ "$(metric millrace_seal_failures_total)" -gt 0 ] || fail "failures are not counted"
	[ "$(metric millrace_seal_failing)" -gt 0 ] || fail "failing is not shown"
	expect 3000 "$(query "SELECT count(*) FROM keep")" "rows on a full disk"
	# The ttl makes room without any.
	gone() { [ "$(segments brief)" = 0 ]; }
	until_true gone
	query "DROP TABLE drops CASCADE"
	expect 0 "$(query "SELECT count(*) FROM millrace.segments WHERE table_name = 'drops'")" "segments of a dropped table"
	crash
	start full --data "$MOUNT/data" --set log.reserve_bytes=0 --set table.seal_failing_max=1s --set table.seal_after=1s
	expect 3000 "$(query "SELECT count(*) FROM keep")" "rows after a kill on a full disk"
	expect 0 "$(query "SELECT count(*) FROM brief")" "expired rows after a kill on a full disk"
	# What has gone made room: it is filled again, and then no more.
	dd if=/dev/zero of="$MOUNT/filler2" bs=4k status=none 2>/dev/null || true
	said=$(query "VACUUM" 2>&1) && fail "VACUUM on a full disk: $said"
	rm "$MOUNT"/filler*
	well() { [ "$(health)" = 200 ]; }
	until_true well
	query VACUUM
	expect 1 "$(segments keep)" "segments once there is room"
	expect 3000 "$(query "SELECT count(*) FROM keep")" "rows once there is room"
	stop
}

damage
full
