# The main job: Kafka in, a table and a view over SQL, dead letters, kill -9, other numbers of workers.
. tests/e2e/lib.sh

orders() { # from to
	seq "$1" "$2" | awk '{ printf "{\"order_id\":%d,\"category\":\"c%d\",\"amount\":\"%d.25\",\"event_time\":\"2026-11-21T10:%02d:00Z\"}\n", $1, $1 % 5, $1 % 100, $1 % 3 }'
}
produce() { kcat -b "$KAFKA" -P -t orders -X acks=all -X enable.idempotence=true "$@"; }

counts="SELECT count(*), sum(amount), count(DISTINCT order_id) FROM orders"
view="SELECT category, window_start, orders, revenue FROM revenue_per_category ORDER BY 1, 2"
same="SELECT category, window_start, count(*), sum(amount)
	FROM TUMBLE(orders, event_time, INTERVAL '1 minute') GROUP BY category, window_start ORDER BY 1, 2"

start d "$@"
query "CREATE TABLE orders (order_id bigint, category text, amount numeric(12,2), event_time timestamptz)
	WITH (topic = 'orders', format = 'json', partitions = 4, watermark = 'event_time - 5 seconds')"
orders 1 5000 | produce
query "CREATE MATERIALIZED VIEW revenue_per_category AS
	SELECT category, window_start, count(*) AS orders, sum(amount) AS revenue
	FROM TUMBLE(orders, event_time, INTERVAL '1 minute') GROUP BY category, window_start"
orders 5001 10000 | produce
expect "10000|497500.00|10000" "$(query "$counts")" "rows after producing"
expect "$(query "$same")" "$(query "$view")" "view against its query"

printf 'not json\n{"order_id":"x"}\n{"order_id":1.5}\n[]\n' | produce
expect 4 "$(query "SELECT count(*) FROM millrace.dead_letters WHERE topic = 'orders'")" "dead letters"
expect 10000 "$(query "SELECT count(*) FROM orders")" "rows beside dead letters"
expect 10004 "$(kcat -b "$KAFKA" -C -t orders -e -q -o beginning 2>/dev/null | wc -l)" "records in the topic"
query "INSERT INTO orders VALUES (10001, 'c1', 1.005, '2026-11-21 10:00:30+00')"
expect "1.01" "$(query "SELECT amount FROM orders WHERE order_id = 10001")" "rounded numeric"

before=$(query "$counts; $view")
crash
for workers in 2 4 1; do
	start d --workers $workers
	expect "$before" "$(query "$counts; $view")" "counts with $workers workers after a crash"
	expect 4 "$(query "SELECT count(*) FROM millrace.dead_letters")" "dead letters after a crash"
	expect "$(query "$same")" "$(query "$view")" "view against its query after a crash"
	orders $((20000 + workers)) $((20000 + workers)) | produce
	before=$(query "$counts; $view")
	crash
done
start d
query "DROP TABLE orders CASCADE"
expect 0 "$(query "SELECT count(*) FROM millrace.topics WHERE topic = 'orders'")" "topic after DROP CASCADE"
stop
