# The index of the log with next to no memory for it: everything is found all the same, from the
# beginning, by offset and by time, by a table made later, after a restart, while more comes in.
. tests/e2e/lib.sh

FILES=(--set log.file_bytes=1MiB --set log.reserve_bytes=1MiB --set kafka.message_bytes_max=256KiB
	--set log.index_memory_bytes=512KiB)
LIMIT=524288


# One record a batch, so that there is a lot of index.
produce() { # from to
	seq "$1" "$2" | awk '{ printf "{\"id\":%d,\"pad\":\"................................\"}\n", $1 }' |
		kcat -b "$KAFKA" -P -t many -p 0 -X acks=all -X batch.num.messages=1 -X linger.ms=0
}

check_all() { # count
	kcat -b "$KAFKA" -C -t many -p 0 -e -q -o beginning -f '%o %s\n' 2>>"$TMP/kcat.err" |
		awk -F'[ :,]' '{ if ($1 != NR - 1 || $3 != NR) bad++ } END { print NR, bad + 0 }' >"$TMP/got"
	expect "$1 0" "$(cat "$TMP/got")" "records read, and wrong ones"
}

check_limit() {
	local bytes
	bytes=$(metric millrace_log_index_bytes)
	[ "$bytes" -le $LIMIT ] || fail "the index takes $bytes bytes"
}

start d "${FILES[@]}"
produce 1 24000
middle=$(date +%s%3N)
sleep 0.1
produce 24001 40000
check_all 40000
check_limit
[ "$(metric millrace_log_index_loads_total)" -gt 5 ] || fail "nothing was loaded"

stop
start d "${FILES[@]}"
check_limit
# Old offsets, in no order, and the first record at or after a time.
for offset in 30000 3 18000 39999 9000 24000 1; do
	expect "$offset" "$(kcat -b "$KAFKA" -C -t many -p 0 -q -c 1 -o $offset -f '%o\n')" "offset $offset"
done
expect "many [0] offset 24000" "$(kcat -b "$KAFKA" -Q -t "many:0:$middle")" "offset by time"
expect "many [0] offset 0" "$(kcat -b "$KAFKA" -Q -t many:0:1)" "offset by an old time"

# A table made later takes everything, while more comes in and others read.
produce 40001 48000 &
more=$!
query "CREATE TABLE late (id bigint, pad text) WITH (topic = 'many', format = 'json')" >/dev/null
kcat -b "$KAFKA" -C -t many -p 0 -q -c 40000 -o beginning -f '%o\n' >"$TMP/old" 2>>"$TMP/kcat.err"
wait $more
expect 40000 "$(sort -u "$TMP/old" | wc -l)" "records read meanwhile"
has_all() { [ "$(query "SELECT count(*) FROM late")" = 48000 ]; }
until_true has_all
expect "48000|48000|1152024000" "$(query "SELECT count(*), count(DISTINCT id), sum(id) FROM late")" "the late table"
check_all 48000
check_limit
expect 0 "$(metric millrace_log_index_failures_total)" "failed loads"
echo "loads $(metric millrace_log_index_loads_total), evictions $(metric millrace_log_index_evictions_total)," \
	"waits $(metric millrace_log_index_waits_total)"
crash
start d "${FILES[@]}" --workers 2
check_all 48000
check_limit
stop
