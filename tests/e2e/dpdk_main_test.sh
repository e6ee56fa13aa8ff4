# The main job of main_test.sh over our own TCP/IP, on a tap device.
exec bash tests/e2e/dpdk.sh tap tests/e2e/main_test.sh
