# What the daemon owes to any client, over our own TCP/IP on a tap device: the tests of the client
# program, of odd Kafka requests and of hostile peers, unchanged.
set -e
for t in client_test.sh kafka_raw_test.py hostile_test.py; do bash tests/e2e/dpdk.sh tap tests/e2e/$t; done
