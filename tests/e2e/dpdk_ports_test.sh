# Real clients through every port that this host can make, beside those that other tests use: DPDK's
# af_xdp, pcap, memif, virtio-user and vhost-user. What the host lacks is said and left out.
set -e
OUT=$(mktemp)
trap 'rm -f "$OUT"' EXIT
ran=
for kind in ${PORTS:-xdp pcap memif virtio vhost}; do
	if [ "$kind" = xdp ] && ! grep -q '^XDP ' /proc/net/protocols; then
		echo "xdp: this kernel has no AF_XDP"
		continue
	fi
	rc=0
	bash tests/e2e/dpdk.sh "$kind" tests/e2e/port_job.sh >"$OUT" 2>&1 || rc=$?
	case $rc in
	0) ran="$ran $kind" ;;
	77) echo "$kind: $(tail -n 1 "$OUT")" ;;
	*)
		cat "$OUT"
		echo "FAIL: $kind"
		exit 1
		;;
	esac
done
[ -n "$ran" ] || { echo "no port can be made here" && exit 77; }
echo "ran over$ran"
