#!/usr/bin/env python3
"""Kafka requests that well-behaved clients rarely send: repeats, waiting Fetches, topics that go."""
import os
import sys
import tempfile
import time

from kafka_raw import Client, Daemon, batch, needs

UNKNOWN_TOPIC, OUT_OF_ORDER = 3, 45


def make_topic(d, name):
    d.query(f"CREATE TABLE {name} (x int) WITH (partitions = 1)")


def repeat_is_answered_when_nothing_follows(d):
    make_topic(d, "repeats")
    c = Client(d.kafka)
    b = batch([b'{"x":1}', b'{"x":2}'], producer=5, epoch=0, sequence=0)
    for _ in range(3):
        c.produce("repeats", b)
        assert c.produced() == (0, 0)
        time.sleep(0.05)  # the log is quiet again
    assert d.query("SELECT count(*) FROM repeats") == "2"


def repeats_and_gaps_in_one_burst_are_answered_in_order(d):
    make_topic(d, "bursts")
    c = Client(d.kafka)
    first = batch([b'{"x":1}'], producer=6, epoch=0, sequence=0)
    gap = batch([b'{"x":9}'], producer=6, epoch=0, sequence=7)
    second = batch([b'{"x":2}'], producer=6, epoch=0, sequence=1)
    for b in (first, first, gap, second, first, gap):
        c.produce("bursts", b)
    assert [c.produced() for _ in range(6)] == [
        (0, 0), (0, 0), (OUT_OF_ORDER, -1), (0, 1), (0, 0), (OUT_OF_ORDER, -1)]
    assert d.query("SELECT count(*), sum(x) FROM bursts") == "2|3"


def waiting_fetch_is_answered_when_its_topic_goes(d):
    make_topic(d, "going")
    clients = [Client(d.kafka) for _ in range(3)]
    for c in clients:
        c.fetch("going", 0, 20000)
    time.sleep(0.2)
    start = time.time()
    d.query("DROP TABLE going CASCADE")
    make_topic(d, "other")
    for c in clients:
        assert c.fetched()[0] == UNKNOWN_TOPIC
    assert time.time() - start < 15


def waiting_fetch_wakes_for_its_records(d):
    make_topic(d, "waking")
    reader, writer = Client(d.kafka), Client(d.kafka)
    for offset in range(3):
        reader.fetch("waking", offset, 20000)
        time.sleep(0.1)
        start = time.time()
        writer.produce("waking", batch([b'{"x":1}']))
        assert writer.produced() == (0, offset)
        error, high, size = reader.fetched()
        assert (error, high) == (0, offset + 1) and size > 60
        assert time.time() - start < 15


def worker_sleeps_after_consumers_have_gone(d):
    make_topic(d, "idle")
    reader, writer = Client(d.kafka), Client(d.kafka)
    reader.fetch("idle", 0, 10)
    reader.fetched()
    writer.produce("idle", batch([b'{"x":1}']))
    writer.produced()
    time.sleep(0.2)
    before = d.cpu_seconds()
    time.sleep(1)
    assert d.cpu_seconds() - before < 0.3, "the idle worker is busy"


def repeats_of_old_records_are_known_after_a_crash(d, data):
    make_topic(d, "old")
    c = Client(d.kafka)
    long_ago = batch([b'{"x":1}'], producer=8, epoch=0, sequence=0, timestamp=1000000000000)
    ahead = batch([b'{"x":2}'], producer=9, epoch=0, sequence=0, timestamp=4000000000000)
    for i, b in enumerate((long_ago, ahead)):
        c.produce("old", b)
        assert c.produced() == (0, i)
    d.crash()
    d = Daemon(data)
    time.sleep(1.2)  # housekeeping has run
    c = Client(d.kafka)
    for i, b in enumerate((long_ago, ahead)):
        c.produce("old", b)
        assert c.produced() == (0, i)
    assert d.query("SELECT count(*) FROM old") == "2"
    return d


def highest_timestamp_is_of_durable_records(d, data):
    make_topic(d, "newest")
    reader, writer = Client(d.kafka), Client(d.kafka)
    assert reader.newest_of("newest") == (0, -1, -1)
    last = 0
    for i in range(200):
        writer.produce("newest", batch([b'{"x":1}'], timestamp=1000000 + i))
        error, at, offset = reader.newest_of("newest")
        # Of this batch, when it is durable already, or of the one before.
        assert error == 0 and at == (1000000 + offset if offset >= 0 else -1), (at, offset)
        assert offset in (i, i - 1) and offset >= last - 1, (i, offset)
        last = offset
        assert writer.produced() == (0, i)
    writer.produce("newest", batch([b'{"x":1}'], timestamp=5))
    writer.produced()
    assert reader.newest_of("newest") == (0, 1000199, 199)
    d.crash()
    d = Daemon(data)
    assert Client(d.kafka).newest_of("newest") == (0, 1000199, 199)
    return d


def stop_answers_waiting_requests(d):
    c = Client(d.kafka)
    c.fetch("idle", 1, 30000)
    time.sleep(0.1)
    start = time.time()
    d.stop()
    assert time.time() - start < 20


def main():
    needs("psql")
    with tempfile.TemporaryDirectory(prefix="millrace-test.") as tmp:
        data = os.path.join(tmp, "d")
        d = Daemon(data)
        try:
            for test in (repeat_is_answered_when_nothing_follows,
                         repeats_and_gaps_in_one_burst_are_answered_in_order,
                         waiting_fetch_is_answered_when_its_topic_goes,
                         waiting_fetch_wakes_for_its_records,
                         worker_sleeps_after_consumers_have_gone):
                test(d)
                print("ok", test.__name__, flush=True)
            d = repeats_of_old_records_are_known_after_a_crash(d, data)
            d = highest_timestamp_is_of_durable_records(d, data)
            stop_answers_waiting_requests(d)
        finally:
            if d.process.poll() is None:
                d.crash()
            sys.stdout.flush()
            with open(data + ".err") as f:
                sys.stderr.write(f.read()[-3000:])


main()
