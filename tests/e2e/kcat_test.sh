# kcat produces and consumes with every codec; the bytes come back, also after a restart with
# another number of workers and after kill -9.
. tests/e2e/lib.sh

read_all() { kcat -b "$KAFKA" -C -t "$1" -e -q -o beginning 2>>"$TMP/kcat.err"; }

roundtrip() { # options of millraced
	local codec
	start d "$@"
	for codec in none gzip snappy lz4 zstd; do
		seq 1 20000 | sed "s/^/$codec-/" | kcat -b "$KAFKA" -P -t "t-$codec" -z "$codec" -X acks=all
		expect 20000 "$(read_all "t-$codec" | sort -u | wc -l)" "rows with $codec"
	done
	stop
}

roundtrip
start d --workers 2
for codec in none gzip snappy lz4 zstd; do
	expect 20000 "$(read_all "t-$codec" | sort -u | wc -l)" "rows with $codec after a restart"
done
seq 1 1000 | kcat -b "$KAFKA" -P -t "t-none" -X acks=all -X enable.idempotence=true
crash
start d --workers 4
expect 21000 "$(read_all t-none | wc -l)" "rows after kill -9"
stop
rm -rf "$TMP/d"
roundtrip --set io=plain --workers 2
