# Power cuts under load. A FUSE file is a disk whose cache is lost (tests/lib/faultdisk.c); on it a
# loop device, ext4 and a daemon under load. After each cut the daemon starts on what the disk would
# have kept, and must have everything that was acknowledged, and everything that a consumer had read.
# The cuts follow each other on one disk. Controls: the same with a disk that ignores flushes must be
# caught (MILLRACE_LIE=1). MILLRACE_CUTS=1000 makes it long.
# In a mount namespace of its own: one that another process makes meanwhile (ip netns exec) would keep
# our file systems mounted after we have unmounted them.
. tests/e2e/namespace.sh
[ "$(id -u)" = 0 ] || skip "not root"
namespace_or_skip --mount
own_namespace --mount
. tests/e2e/lib.sh
. tests/e2e/load.sh
CUTS=${MILLRACE_CUTS:-6}
LIE=(${MILLRACE_LIE:+--lie}) QUIET=${MILLRACE_LIE:+3}
QUIET=${QUIET:-20}
FAULT=$(realpath "$B")/tests/lib/faultdisk
DISK_MIB=384
SMALL+=(--set log.file_bytes=4MiB --set kafka.message_bytes_max=1MiB)
MOUNT=$TMP/mount FUSE=$TMP/fuse LOOP='' FUSE_PID=''
mkdir "$MOUNT" "$FUSE"

release() {
	umount "$MOUNT" 2>/dev/null || umount -l "$MOUNT" 2>/dev/null || true
	[ -z "$LOOP" ] || losetup -d "$LOOP" 2>/dev/null || true
	LOOP=''
	[ -z "$FUSE_PID" ] || kill -9 "$FUSE_PID" 2>/dev/null || true
	[ -z "$FUSE_PID" ] || wait "$FUSE_PID" 2>/dev/null || true
	FUSE_PID=''
	umount -l "$FUSE" 2>/dev/null || true
}

[ -c /dev/fuse ] || skip "no /dev/fuse here"
[ -c /dev/loop-control ] || skip "no loop devices here"

attach() { LOOP=$(losetup -f --show "$1" 2>"$TMP/losetup.said") && mount -o noatime "$LOOP" "$MOUNT"; }

# power_on OPTION...: a disk with the stable bytes, mounted.
power_on() {
	cp --sparse=always "$TMP/stable.img" "$TMP/volatile.img"
	"$FAULT" --stable "$TMP/stable.img" --volatile "$TMP/volatile.img" --seed "$SEED$RANDOM" --flush-us 1500 \
		"$@" "$FUSE" >"$TMP/cut" 2>>"$TMP/faultdisk.err" &
	FUSE_PID=$!
	for _ in $(seq 600); do
		[ -e "$FUSE/disk" ] && break
		kill -0 "$FUSE_PID" 2>/dev/null || skip "FUSE refuses: $(tail -n 1 "$TMP/faultdisk.err")"
		sleep 0.05
	done
	attach "$FUSE/disk" || skip "no loop device on FUSE: $(cat "$TMP/losetup.said")"
}

power_cut() {
	kill -USR1 "$FUSE_PID"
	until_true [ -s "$TMP/cut" ] # the disk says that it was cut
}

# What a consumer sees as it comes, in the form of the acknowledgements.
watch_start() { # name
	mkdir -p "${ACKED:=$TMP/acked}"
	kcat -b "$KAFKA" -C -t events -o end -u -q -f '%t %p %o %s\n' 2>/dev/null |
		sed -u 's/{"n":\([0-9]*\),.*/\1/' >"$TMP/seen" &
	WATCH_PID=$!
}

watch_end() { # name
	pkill -P $$ -x kcat || true
	wait "$WATCH_PID" 2>/dev/null || true
	grep -E '^[a-z]+ [0-9]+ [0-9]+ [0-9]+$' "$TMP/seen" | sed '$d' >>"$ACKED/$1" || true
}

# until_cut NAME ROUND [option of faultdisk]...: one round up to the cut.
until_cut() {
	local name=$1 round=$2
	shift 2
	power_on --sector $((round % 2 ? 512 : 4096)) "$@"
	start_at "$name" --workers $((1 + round % 3))
	[ "$round" != 1 ] || create_table events 4
	watch_start
	load "$name" events,plain --first $((round * 1000000000)) --rate 15000 --flush-seconds 0
	stir events
	between 1 15
	sleep "$((N / 10)).$((N % 10))"
	power_cut
	crash
	stir_end
	load_end
	watch_end "$name"
	[ "$LOAD_RC" != 1 ] || fail "the producer gave up: $(cat "$TMP/producer.err")"
	release
}

# The data directory lies on the mount.
start_at() { # name option...
	start "$@" --data "$MOUNT/data"
}

# after NAME ROUND: starts on what was kept, and checks.
after() {
	attach "$TMP/stable.img" || fail "the crashed file system cannot be mounted"
	start_at "$1" --workers $((1 + $2 % 2))
	check_topics "$1" events,plain --quiet-seconds "$QUIET"
	check_sql events
	stop
	umount "$MOUNT" && losetup -d "$LOOP"
	LOOP=''
}

format() {
	rm -f "$TMP/stable.img"
	truncate -s ${DISK_MIB}M "$TMP/stable.img"
	mkfs.ext4 -q -F -O ^metadata_csum "$TMP/stable.img"
}

format
for ((round = 1; round <= CUTS; round++)); do
	until_cut disk "$round" "${LIE[@]}"
	after disk "$round"
	echo "cut $round: $(sed 's/cut //' "$TMP/cut") writes not flushed, $(wc -l <"$ACKED/disk") acknowledged or seen by now"
done
[ ${#LIE[@]} = 0 ] || exit 0

# Control: a disk that lies must be caught, or this test proves nothing.
rc=0
MILLRACE_LIE=1 MILLRACE_CUTS=3 bash "$0" >"$TMP/lying.said" 2>&1 || rc=$?
expect 1 "$rc" "exit code with a disk that ignores flushes"
grep -qE 'FAIL: (Fetch|table|view|groups|millraced ended|the crashed)' "$TMP/lying.said" ||
	fail "the control broke in another way: $(tail -n 3 "$TMP/lying.said")"
echo "control: $(grep -m 1 FAIL "$TMP/lying.said")"
