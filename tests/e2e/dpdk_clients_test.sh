# What the daemon owes to any client, over our own TCP/IP on a tap device: the tests of the client
# program, of odd Kafka requests and of hostile peers, unchanged.
. tests/e2e/dpdk.sh
wire tap
bash tests/e2e/client_test.sh
/usr/bin/python3 tests/e2e/kafka_raw_test.py
/usr/bin/python3 tests/e2e/hostile_test.py
