# Every codec through kcat over our own TCP/IP, on one end of a veth pair (af_packet).
exec bash tests/e2e/dpdk.sh veth tests/e2e/kcat_test.sh
