# Becomes a millraced on a network device of its own; see dpdk.sh.
# Usage: dpdk_daemon.sh KIND BUILD [option of millraced]...; WIRE_MTU in the environment
#
# Kinds, after DPDK's drivers:
#   tap             net_tap
#   veth, xdp, pcap one end of a veth pair by net_af_packet, net_af_xdp, net_pcap
#   memif, virtio, vhost
#                   net_memif, net_virtio_user and net_vhost over a socket, the other end of which
#                   the bridge (bridge.c) joins to a tap of the kernel's
set -eu
kind=$1 build=$2
shift 2
mtu=${WIRE_MTU:-1500}

has_ipv6() { [ -e /proc/sys/net/ipv6 ]; }

make_device() { # number
	local n=$1
	case $kind in
	tap) ip tuntap add dev "mr$n" mode tap multi_queue ;;
	memif | virtio | vhost) ip tuntap add dev "mr$n" mode tap ;;
	*)
		ip link add "mr$n" type veth peer name "mrp$n"
		# What the kernel leaves to offloads comes out of a veth unfinished.
		ethtool -K "mr$n" tx off tso off gso off >/dev/null
		! has_ipv6 || echo 1 >"/proc/sys/net/ipv6/conf/mrp$n/disable_ipv6"
		ip link set "mrp$n" mtu "$mtu" up
		;;
	esac
	ip addr add "10.77.$n.1/24" dev "mr$n"
	! has_ipv6 || ip addr add "fd77:$n::1/64" dev "mr$n" nodad
	ip link set "mr$n" mtu "$mtu" up
}

# bridge N EAL: joins that device to tap mrN, until this process ends. A client waits for its server's
# socket, a server is waited for.
bridge() {
	rm -f "$socket"
	(
		[ "$kind" = virtio ] || until [ -S "$socket" ]; do sleep 0.02; done
		exec "$build/tests/e2e/bridge" "$build/millrace-dpdk.so" "mr$1" "$mtu" "$2"
	) 2>"$WIRE/bridge.$1" 9>&- &
	[ "$kind" != virtio ] || until [ -S "$socket" ]; do sleep 0.02; done
}

# The first device that no daemon has. The lock is the process's, whatever becomes of it.
for n in $(seq 0 9); do
	exec 9>"$WIRE/lock.$n"
	flock -n 9 && break
done
[ -e "/sys/class/net/mr$n" ] || [ -e "$WIRE/device.$n" ] || make_device "$n"
touch "$WIRE/device.$n"
socket=$WIRE/socket.$n
frame=2048
[ "$mtu" = 1500 ] || frame=16384
memif=net_memif0,id=0,socket=$socket,socket-abstract=no,rsize=10,bsize=$frame
case $kind in
tap) eal="--vdev net_tap0,iface=mr$n" ;;
veth)
	eal="--vdev net_af_packet0,iface=mrp$n,qdisc_bypass=1,framesz=$frame,framecnt=2048,blocksz=1048576"
	;;
xdp) eal="--vdev net_af_xdp0,iface=mrp$n" ;;
pcap) eal="--vdev net_pcap0,iface=mrp$n" ;;
memif)
	eal="--vdev $memif,role=server"
	bridge "$n" "--vdev $memif,role=client"
	;;
virtio)
	eal="--vdev net_virtio_user0,path=$socket"
	bridge "$n" "--vdev net_vhost0,iface=$socket"
	;;
vhost)
	eal="--vdev net_vhost0,iface=$socket"
	bridge "$n" "--vdev net_virtio_user0,path=$socket"
	;;
esac
# The kernel forgets this address when the tap goes down.
ip -6 addr replace "fd77:$n::1/64" dev "mr$n" nodad 2>/dev/null || true
exec "$build/millraced" "$@" --dataplane dpdk --eal "$eal" \
	--set "net.address=10.77.$n.2/24,fd77:$n::2/64" --set net.memory_bytes=32MiB --set "net.mtu=$mtu"
