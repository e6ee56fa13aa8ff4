# A daemon over DPDK that is killed says nothing to its peers, and no kernel does in its place. The one
# started after it, whose device has another hardware address, tells the link where it is now, and
# resets at once what its peers send on connections that it does not know: data, data sent again, a
# keepalive's probe (an acknowledgement alone), and the end of a connection.
. tests/e2e/dpdk.sh
wire veth
. tests/e2e/lib.sh
neighbour() { ip neigh show "${KAFKA%:*}" dev mr0 | grep -o 'lladdr [^ ]*'; }

start d
at=$KAFKA
mkfifo "$TMP/go"
cat >"$TMP/client.py" <<'PYTHON'
import select, socket, sys, time

def connect():
    c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
    c.settimeout(5)
    return c

data, keepalive, end = connect(), connect(), connect()
# A probe each second from the first second of silence on.
keepalive.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
keepalive.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
keepalive.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 100)
keepalive.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
retransmitted = connect()
print("connected", flush=True)
sys.stdin.readline()  # the daemon has been killed
retransmitted.sendall(b"\0\0\0\0" * 100)
print("sent", flush=True)
sys.stdin.readline()  # and runs again

def reset(name, c, act, most):
    began = time.monotonic()
    if act:
        act()
    p = select.poll()
    p.register(c, select.POLLIN)
    p.poll(10000)
    error = c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    took = time.monotonic() - began
    print(name, "reset" if error == 104 and took < most else f"error {error} after {took:.3f} s", flush=True)

reset("data", data, lambda: data.send(b"\0\0\0\0"), 0.2)
reset("end", end, lambda: end.shutdown(socket.SHUT_WR), 0.2)
reset("keepalive", keepalive, None, 2)
reset("retransmitted", retransmitted, None, 5)
PYTHON
/usr/bin/python3 "$TMP/client.py" "${at%:*}" "${at##*:}" <"$TMP/go" >"$TMP/client" &
PIDS+=($!)
exec 5>"$TMP/go"
said() { [ "$(tail -n 1 "$TMP/client")" = "$1" ]; }
until_true said connected
old=$(neighbour)
crash
echo >&5
until_true said sent
# Another machine's device in its place.
ip link set mrp0 address 02:00:00:00:77:01
start d --kafka-port "${at##*:}"
moved() { [ "$(neighbour)" = "lladdr 02:00:00:00:77:01" ]; }
[ "$old" != "lladdr 02:00:00:00:77:01" ] || fail "the address is the same"
for _ in $(seq 20); do moved && break || sleep 0.1; done # the kernel asks again by itself, after 5 s
moved || fail "the link has not been told: $(neighbour)"
echo >&5
until_true said "retransmitted reset"
expect "connected sent data reset end reset keepalive reset retransmitted reset" "$(tr '\n' ' ' <"$TMP/client" | sed 's/ $//')" \
	"what became of the connections"
stop
