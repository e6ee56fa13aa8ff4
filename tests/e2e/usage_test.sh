# The command line and the data directory: every refusal is one clear line and the right exit code.
. tests/e2e/lib.sh

refused() { # code text arguments...
	local code=$1 text=$2 rc=0
	shift 2
	timeout 60 "$B/millraced" "$@" >"$TMP/out" 2>"$TMP/refused.err" || rc=$?
	expect "$code" "$rc" "exit code of: $*"
	grep -q "^millraced: .*$text" "$TMP/refused.err" || fail "'$text' is not in: $(cat "$TMP/refused.err")"
	rm -f "$TMP/refused.err"
}

refused 2 "data DIR" --workers 1
refused 2 "unknown option" --data "$TMP/x" --colour red
refused 2 "out of range" --data "$TMP/x" --workers 0
refused 2 "unknown setting" --data "$TMP/x" --set no.such=1
refused 2 "overlap" --data "$TMP/x" --kafka-port 5433
refused 2 "insecure" --data "$TMP/x" --listen 0.0.0.0
refused 2 "needs net.address" --data "$TMP/x" --dataplane dpdk
dpdk() { echo --data "$TMP/x" --dataplane dpdk --set net.address="$1"; }
refused 2 "net.address takes" $(dpdk 10.0.0.2)
refused 2 "net.address takes" $(dpdk 127.0.0.1/8)
refused 2 "net.address takes" $(dpdk 10.0.0.2/24,fd00::2/129)
refused 2 "is on no network" $(dpdk 10.0.0.2/24) --set net.gateway=10.0.1.1
refused 2 "net.gateway takes" $(dpdk 10.0.0.2/24) --set net.gateway=10.0.0.1,10.0.0.3
refused 2 "quote that is not closed" $(dpdk 10.0.0.2/24) --eal "--vdev 'net_tap0"
refused 2 "out of range" $(dpdk 10.0.0.2/24) --set net.mtu=9001
refused 1 "cannot load /nowhere/x.so: no such file" $(dpdk 10.0.0.2/24) --set net.module=/nowhere/x.so
[ ! -e "$B/millrace-dpdk.so" ] || refused 1 "DPDK" $(dpdk 10.0.0.2/24) --eal "--vdev nonsense0" --kafka-port 0 --sql-port 0 --http-port 0
rm -rf "$TMP/x" # was made before the device was looked for
"$B/millraced" --check-config $(dpdk 10.0.0.2/24) --eal "--vdev net_tap0" >"$TMP/check" 2>&1 || fail "--check-config: $(cat "$TMP/check")"
grep -q "network: DPDK, addresses 10.0.0.2/24, mtu 1500" "$TMP/check" || fail "no plan: $(cat "$TMP/check")"
refused 2 "cannot read" --data "$TMP/x" --config "$TMP/none"
refused 1 "parent\|No such file" --data "$TMP/no/such/dir"

mkdir "$TMP/foreign" && touch "$TMP/foreign/holiday.jpg"
refused 1 "holiday.jpg\|not a millrace" --data "$TMP/foreign" --kafka-port 0 --sql-port 0 --http-port 0

start d
refused 1 "use" --data "$TMP/d" --kafka-port 0 --sql-port 0 --http-port 0
refused 1 "listen\|use" --data "$TMP/e" --kafka-port "${KAFKA##*:}" --sql-port 0 --http-port 0
stop
# A stopped directory may be moved, and its ports are free at once.
mv "$TMP/d" "$TMP/moved"
start moved --sql-port "$SQL_PORT"
stop
"$B/millraced" --help | grep -q -- --data || fail "no help"
"$B/millraced" --version | grep -q millraced || fail "no version"
"$B/millraced" --check-config --data "$TMP/x" | grep -q "memory budget" || fail "no budget"
[ ! -e "$TMP/x" ] || fail "--check-config made the directory"
