# Ports that reach nobody: a recording by net_pcap, whose answers go to another, and net_ring, which
# gives us back our own frames.
. tests/e2e/dpdk.sh
wire tap
. tests/e2e/lib.sh
. tests/e2e/load.sh
B=$(dirname "$(realpath "$B/millrace")") # the daemon itself
serve() { # NAME EAL
	start "$1" --kafka-port "$PORT" --dataplane dpdk --eal "$2" --set net.address=10.77.0.2/24 --set net.memory_bytes=16MiB
}
metric() { curl -s "http://$HTTP/metrics" | awk -v m="millrace_$1" '$1 ~ "^" m { n += $2 } END { printf "%d", n }'; }

free_ports 2
/usr/bin/python3 tests/e2e/replay.py "$TMP/in.pcap" "$PORT"
serve pcap "--vdev net_pcap0,rx_pcap=$TMP/in.pcap,tx_pcap=$TMP/out.pcap"
is_replayed() { [ "$(metric tcp_segments_in_total)" = 3 ]; }
until_true is_replayed
expect "5|3" "$(metric port_rx_frames_total)|$(metric tcp_segments_in_total)" "what was replayed"
stop
answers() { tshark -r "$TMP/out.pcap" -Y "$1" 2>/dev/null | wc -l; }
expect 1 "$(answers 'arp.opcode == 2 && arp.dst.proto_ipv4 == 10.77.0.1')" "ARP replies"
expect 1 "$(answers 'icmp.type == 0 && icmp.ident == 7')" "echo replies"
[ "$(answers "tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.dstport == 1000 && tcp.ack_raw == 6")" -ge 1 ] ||
	fail "the SYN is not answered"
expect 1 "$(answers 'tcp.flags.reset == 1 && tcp.dstport == 1001 && tcp.seq_raw == 9')" "resets of an unknown connection"
expect 1 "$(answers 'tcp.flags.reset == 1 && tcp.dstport == 1002 && tcp.ack_raw == 6')" "resets of a closed port"

serve ring "--vdev net_ring0"
own_frames_are_back() { [ "$(metric ip_own_frames_total)" -gt 0 ]; }
until_true own_frames_are_back
expect 0 "$(metric ip_arp_conflict_total)" "conflicts with ourselves"
expect "net_ring0|up" "$(query "SELECT name, link FROM millrace.ports")" "the ring"
stop
