# Becomes a millraced on a network device of its own; see dpdk.sh.
# Usage: dpdk_daemon.sh KIND BUILD [option of millraced]...
set -eu
kind=$1 build=$2
shift 2

make_device() { # number
	local n=$1
	if [ "$kind" = tap ]; then
		ip tuntap add dev "mr$n" mode tap multi_queue
	else
		ip link add "mr$n" type veth peer name "mrp$n"
		# What the kernel leaves to offloads comes out of a veth unfinished.
		ethtool -K "mr$n" tx off tso off gso off >/dev/null
		echo 1 >"/proc/sys/net/ipv6/conf/mrp$n/disable_ipv6"
		ip link set "mrp$n" up
	fi
	ip addr add "10.77.$n.1/24" dev "mr$n"
	ip addr add "fd77:$n::1/64" dev "mr$n" nodad
	ip link set "mr$n" up
}

# The first device that no daemon has. The lock is the process's, whatever becomes of it.
for n in $(seq 0 9); do
	exec 9>"$WIRE/lock.$n"
	flock -n 9 && break
done
[ -e "/sys/class/net/mr$n" ] || [ -e "$WIRE/device.$n" ] || make_device "$n"
touch "$WIRE/device.$n"
if [ "$kind" = tap ]; then
	eal="--vdev net_tap0,iface=mr$n"
else
	eal="--vdev net_af_packet0,iface=mrp$n,qdisc_bypass=1,framecnt=2048,blocksz=1048576"
fi
# The kernel forgets this address when the tap goes down.
ip -6 addr replace "fd77:$n::1/64" dev "mr$n" nodad 2>/dev/null || true
exec "$build/millraced" "$@" --dataplane dpdk --eal "$eal" \
	--set "net.address=10.77.$n.2/24,fd77:$n::2/64" --set net.memory_bytes=32MiB
