#!/usr/bin/env python3
"""A byte of an old log file changes: Fetch answers an error for that batch and no other, the log line
names file and place, and of the tables only the one whose rows are gone refuses queries."""
import os
import re
import subprocess
import sys
import tempfile

from kafka_raw import Client, Daemon, batch, needs

CORRUPT_MESSAGE, STORAGE_ERROR = 2, 56
SETTINGS = [a for s in ("table.seal_after=1h", "log.file_bytes=4MiB", "log.ring_bytes=4MiB",
                        "kafka.message_bytes_max=1MiB") for a in ("--set", s)]
BATCHES, BAD = 10, 4


def fill(d, tmp):
    for topic in ("a", "b"):
        d.query(f"CREATE TABLE {topic} (s text) WITH (topic = '{topic}', partitions = 1)")
    c = Client(d.kafka)
    for i in range(BATCHES):
        for topic in ("a", "b"):
            c.produce(topic, batch([b'{"s":"%s-%06d"}' % (topic.encode(), i)]))
            assert c.produced() == (0, i)
    rows = os.path.join(tmp, "filler")
    with open(rows, "w") as f:
        for i in range(12000):
            f.write(f"{i:01000d}\n")
    subprocess.run(["kcat", "-b", d.kafka, "-P", "-l", "-t", "filler", "-p", "0", "-X",
                    "acks=all", rows], check=True, stderr=subprocess.DEVNULL)


def flip(data):
    """Changes one byte of topic a's batch BAD, wherever it lies."""
    mark = b"a-%06d" % BAD
    for name in sorted(os.listdir(os.path.join(data, "log"))):
        path = os.path.join(data, "log", name)
        with open(path, "r+b") as f:
            at = f.read().find(mark)
            if at < 0:
                continue
            f.seek(at)
            f.write(b"x")
            return name
    raise AssertionError("the batch is in no file")


def offsets_read(c, topic):
    """How many batches can be read from the start on, and the error at the first that cannot."""
    for offset in range(BATCHES):
        c.fetch(topic, offset, 100)
        error, _, size = c.fetched()
        if error:
            return offset, error
        assert size > 0
    return BATCHES, 0


def main():
    needs("psql", "kcat")
    with tempfile.TemporaryDirectory(prefix="millrace-test.") as tmp:
        data = os.path.join(tmp, "d")
        d = Daemon(data, *SETTINGS)
        try:
            fill(d, tmp)
            d.crash()
            name = flip(data)
            d = Daemon(data, *SETTINGS)
            c = Client(d.kafka)
            good, error = offsets_read(c, "a")
            assert good == BAD and error in (CORRUPT_MESSAGE, STORAGE_ERROR), (good, error)
            assert offsets_read(c, "b") == (BATCHES, 0)
            c.fetch("a", BAD + 1, 100)  # what lies behind it is served
            assert c.fetched()[0] == 0
            said = open(data + ".err").read()
            assert re.search(rf"error log: .*file=log/{name} offset=\d+", said), said
            print("ok fetch_reports_damage_of_its_batch_only")

            assert d.query("SELECT count(*) FROM b") == str(BATCHES)
            try:
                d.query("SELECT count(*) FROM a")
                raise AssertionError("an answer without the damaged row")
            except subprocess.CalledProcessError as e:
                assert "not complete" in e.stderr, e.stderr
            assert d.metric("millrace_feeds_failed") == 1
            assert d.metric("millrace_feeds_lagging") == 0
            c.produce("a", batch([b'{"s":"more"}']))
            assert c.produced() == (0, BATCHES)
            print("ok table_with_damage_refuses_alone")
            d.stop()
        finally:
            if d.process.poll() is None:
                d.crash()
            with open(data + ".err") as f:
                sys.stderr.write(f.read()[-2000:])


main()
