# 128 workers in one daemon on whatever machine this is: a topic of 256 partitions is produced to and
# read back by SQL and by Fetch, and by SQL after a restart with another number of workers.
. tests/e2e/lib.sh
# Each worker has some of its own; the daemon raises its limit as far as it may.
hard=$(ulimit -Hn)
[ "$hard" = unlimited ] || [ "$hard" -ge 4096 ] || skip "only $hard descriptors are allowed"
FEW=(--set kafka.message_bytes_max=256KiB --set log.file_bytes=1MiB --set log.ring_bytes=4MiB
	--set kafka.memory_bytes=4MiB --set kafka.request_bytes_max=1MiB --set kafka.connections_max=32
	--set table.memory_bytes=16MiB --set log_level=info)

rows() { seq 1 20000 | sed 's/.*/{"x":&}/'; }

start d --workers 128 "${FEW[@]}"
query "CREATE TABLE t (x int) WITH (topic = 't', partitions = 256)"
rows | kcat -b "$KAFKA" -P -t t -X acks=all -X sticky.partitioning.linger.ms=0 -X linger.ms=5
for p in $(seq 0 255); do echo '{"x":0}' | sed "s/0/-$p/"; done | kcat -b "$KAFKA" -P -t t -X acks=all
counts="SELECT count(*), sum(x) FROM t WHERE x > 0"
expect "20000|200010000" "$(query "$counts")" "rows over 128 workers"
expect "128" "$(query "SELECT count(*) FROM millrace.workers WHERE partitions >= 2")" "workers with partitions"
touched=$(query "SELECT count(*) FROM millrace.partitions WHERE topic = 't' AND records_in > 0")
[ "$touched" -gt 200 ] || fail "only $touched partitions have records"
expect 20256 "$(kcat -b "$KAFKA" -C -t t -e -q -o beginning 2>/dev/null | wc -l)" "records read back"
echo "threads $(ls /proc/$PID/task | wc -l) descriptors $(ls /proc/$PID/fd | wc -l) $(grep VmRSS /proc/$PID/status | tr -s '\t ' ' ')"
stop
grep 'event=stopped worker=' "$TMP/d.err" | grep -Eqv ' connections=0 asks=0( repeated_unsaid=[0-9]+)?$' && fail "a worker left something"
start d --workers 3 "${FEW[@]}"
expect "20000|200010000" "$(query "$counts")" "rows after a restart with 3 workers"
stop
