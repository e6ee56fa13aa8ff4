# The network device is deleted under a loaded daemon: a tap, whose descriptor then polls readable for
# ever, and one end of a veth pair by each driver that reads one.
set -e
kinds="tap veth pcap"
! grep -q '^XDP ' /proc/net/protocols || kinds="$kinds xdp"
for kind in $kinds; do
	echo "$kind"
	bash tests/e2e/dpdk.sh "$kind" tests/e2e/gone_job.sh
done
