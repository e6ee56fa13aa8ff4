# Two topics in one log, one kept for seconds and one for ever: the disk space of the first is given
# back although the second lies between, and of the second nothing is missing, in order, also after
# kill -9 in the middle of cleaning.
. tests/e2e/lib.sh

# Many small files; retention is looked at every 16 s or so.
FILES=(--set log.file_bytes=1MiB --set log.reserve_bytes=1MiB --set kafka.message_bytes_max=256KiB)

log_mib() { du -sm "$TMP/d/log" | cut -f 1; }
read_long() { kcat -b "$KAFKA" -C -t long -e -q -o beginning 2>>"$TMP/kcat.err"; }

# Numbers FROM to TO to the long topic, and about nine times as many bytes to the brief one.
produce() { # from to
	local n
	for ((n = $1; n < $2; n += 500)); do
		seq "$n" $((n + 499)) | sed 's/^/long-record-/' |
			kcat -b "$KAFKA" -P -t long -p 0 -X acks=all -X linger.ms=5
		head -c 100000 /dev/urandom | base64 -w 1000 | kcat -b "$KAFKA" -P -t brief -p 0 -X acks=all
	done
}

check_long() { # count
	seq 0 $(($1 - 1)) | sed 's/^/long-record-/' >"$TMP/want"
	read_long >"$TMP/got"
	cmp -s "$TMP/want" "$TMP/got" || fail "the long topic: $(wc -l <"$TMP/got") of $1 records"
}

# A topic keeps the retention that it was made with.
start d "${FILES[@]}" --set topic.retention=2s
echo warm-up | kcat -b "$KAFKA" -P -t brief -X acks=all
stop
start d "${FILES[@]}"
expect "2000" "$(query "SELECT retention_ms FROM millrace.topics WHERE topic = 'brief'")" "retention"

produce 0 60000
full=$(log_mib)
[ "$full" -ge 15 ] || fail "only $full MiB were written"
is_cleaned() { [ "$(metric millrace_log_cleanings_total)" -gt 0 ]; }
is_small() { is_cleaned && [ "$(log_mib)" -le $((full * 6 / 10)) ]; }
until_true is_small
echo "log: $full MiB written, $(log_mib) MiB left," \
	"$(metric millrace_log_cleaned_files_total) files cleaned," \
	"$(metric millrace_log_clean_copied_bytes_total) bytes copied"
expect 0 "$(metric millrace_log_clean_failures_total)" "failed cleanings"
check_long 60000
expect t "$(query "SELECT count(*) > 0 AND sum(bytes_live) > 0 FROM millrace.logs WHERE is_long AND sealed")" \
	"cleaned files in millrace.logs"
# The first offset at or after a time long ago is the first.
expect "long [0] offset 0" "$(kcat -b "$KAFKA" -Q -t long:0:1)" "offset by time"

# Killed in the middle of cleaning, which is slow enough to be met.
crash
start d "${FILES[@]}" --set log.clean_bytes_per_s=65536
check_long 60000
produce 60000 90000
busy=0
for _ in $(seq 300); do
	# A file that nobody knows of yet: the one being written.
	known=$(query "SELECT count(*) FROM millrace.logs")
	spare=$(metric millrace_log_files_spare)
	[ "$(ls "$TMP/d/log" | wc -l)" -gt $((known + spare)) ] && busy=1 && break
	sleep 0.1
done
crash
echo "killed while cleaning: $busy"
start d "${FILES[@]}"
check_long 90000
until_true is_cleaned
check_long 90000
stop
start d "${FILES[@]}" --workers 2
check_long 90000
stop
