# kill_test.sh, shorter, over our own TCP/IP on a tap device.
export MILLRACE_KILLS=${MILLRACE_KILLS:-2}
exec bash tests/e2e/dpdk.sh tap tests/e2e/kill_test.sh
