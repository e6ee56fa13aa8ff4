# Scheduling classes: idle workers and their commits run before other threads where the host allows
# it, not when configured otherwise, and where it is refused there is one warning and all works.
. tests/e2e/lib.sh

# The policies of the threads of a name, one a line: 0 = normal, 2 = SCHED_RR. See proc(5).
class_of() {
	local t
	for t in /proc/"$PID"/task/*; do
		[ "$(cat "$t/comm")" = "$1" ] && sed 's/.*) //' "$t/stat" | cut -d ' ' -f 39
	done
	return 0
}
urgent() { curl -sf "http://$HTTP/metrics" | sed -n 's/^millrace_urgent{.*} //p'; }

# A worker that was busy in its first windows is urgent soon after.
is_urgent() { [ "$(urgent)" = 1 ]; }

works() {
	query "CREATE TABLE t (a bigint)" && query "INSERT INTO t VALUES (1)"
	expect 1 "$(query "SELECT count(*) FROM t")" "rows"
}

chrt -r 1 true 2>/dev/null || skip "the host refuses real-time scheduling"

start d
works
until_true is_urgent
expect 2 "$(class_of mr-worker-0)" "class of the worker"
query "INSERT INTO t VALUES (2)" # a commit thread follows with its next write; some have none
expect 2 "$(class_of mr-commit | sort -u | tail -n 1)" "class of its commits"
for t in mr-read mr-background mr-seal mr-merge; do
	expect 0 "$(class_of $t | sort -u)" "class of $t"
done
! grep -q "real-time" "$TMP/d.err" || fail "a warning without reason"
stop

start off --set realtime=off
works
expect 0 "$(urgent)" "urgent though it is off"
expect 0 "$(class_of mr-worker-0)" "class of the worker"
expect 0 "$(class_of mr-commit | sort -u)" "class of its commits"
stop

# As in a container: root without the capability.
mkdir "$TMP/bin"
printf '#!/bin/sh\nexec setpriv --bounding-set -sys_nice --inh-caps -sys_nice "%s" "$@"\n' \
	"$(realpath "$B/millraced")" >"$TMP/bin/millraced"
chmod +x "$TMP/bin/millraced"
B=$TMP/bin
ulimit -r 0
start refused
works
until_true grep -q "real-time scheduling is refused" "$TMP/refused.err"
expect 0 "$(urgent)" "urgent though refused"
expect 1 "$(grep -c "real-time scheduling is refused" "$TMP/refused.err")" "warnings"
stop
