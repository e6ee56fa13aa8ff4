#!/usr/bin/env python3
"""One table whose segments cannot be written: its own producers wait, are refused in the end and lose
nothing; the table beside it goes on; a stop waits for nobody."""
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

from kafka_raw import Client, Daemon, batch, needs, until

TIMED_OUT = 7
FILE_LIMIT = 17 << 20  # above every file of the daemon but a large segment
ROWS = 60000           # of about a kilobyte: more than the table's memory takes
SETTINGS = [a for s in ("table.memory_bytes=64MiB", "log.file_bytes=16MiB", "log.ring_bytes=16MiB",
                        "table.seal_after=60s", "log_level=info") for a in ("--set", s)]


def limit():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, resource.RLIM_INFINITY))


def lift(d):
    resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def waiting(d):
    return d.metric("millrace_appends_waiting_memory") + \
        d.metric("millrace_appends_waiting_visible")


def fill(d, rows):
    """A real producer of `big`, which gets stuck."""
    p = subprocess.Popen(["kcat", "-b", d.kafka, "-P", "-l", "-t", "big", "-X", "acks=all", "-X",
                          "enable.idempotence=true", "-X", "message.timeout.ms=120000", rows],
                         stderr=subprocess.DEVNULL)
    until("no append waits", lambda: waiting(d) > 0)
    return p


def other_table_goes_on(d):
    c = Client(d.kafka)
    rows, end = 0, time.monotonic() + 2
    while time.monotonic() < end:
        c.produce("small", batch([b'{"x":%d}' % (rows + i) for i in range(100)]))
        assert c.produced()[0] == 0
        rows += 100
    # One that is refused comes again.
    until("nobody waits any more", lambda: waiting(d) > 0)
    return rows


def starved_appends_are_refused_in_order(d, c, mine):
    for b in mine:
        c.produce("big", b)
    c.socket.settimeout(60)
    assert [c.produced()[0] for _ in mine] == [TIMED_OUT] * len(mine)
    assert d.metric("millrace_appends_timed_out_total") >= len(mine)


def insert_says_why(d):
    try:
        d.query("INSERT INTO big VALUES (1, 'x')")
    except subprocess.CalledProcessError as e:
        assert "append_wait" in e.stderr, e.stderr
        return
    raise AssertionError("INSERT into a starved table")


def recovers(d, producer, c, mine, small_rows):
    lift(d)
    assert producer.wait(timeout=120) == 0
    for i, b in enumerate(mine * 2):  # the second time they are repeats
        c.produce("big", b)
        assert c.produced() == (0, ROWS + i % len(mine))
    assert d.query("SELECT count(*), count(DISTINCT id), sum(id) FROM big") == \
        f"{ROWS + len(mine)}|{ROWS + len(mine)}|{(ROWS + 2) * (ROWS + 3) // 2}"
    assert d.query("SELECT count(*) FROM millrace.dead_letters") == "0"
    assert d.query("SELECT count(*) FROM small") == str(small_rows)
    for reason in ("log", "memory", "visible"):
        assert d.metric("millrace_appends_waiting_" + reason) == 0, reason
    assert d.metric("millrace_feeds_lagging") == 0


def stop_waits_for_nobody(d, producer, data):
    reader = Client(d.kafka)
    reader.fetch("small", 1 << 30, 60000)
    insert = subprocess.Popen(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", d.sql_port, "-U",
                               "millrace", "-d", "millrace", "-c", "INSERT INTO big VALUES (1)"],
                              stderr=subprocess.PIPE, text=True)
    askers = [Client(d.kafka) for _ in range(20)]
    time.sleep(0.3)
    for i, a in enumerate(askers):
        a.init_producer()
        a.create_topic(f"late{i}")
    d.stop()
    producer.kill()
    producer.wait()
    assert insert.wait(timeout=60) != 0, "an INSERT that was not stored"
    us, connections, asks = map(int, re.findall(
        r"event=stopped worker=0 us=(\d+) connections=(\d+) asks=(\d+)",
        open(data + ".err").read())[-1])
    assert (connections, asks) == (0, 0) and us < 10000000, (us, connections, asks)


def main():
    needs("psql", "kcat")
    rng = random.Random(1)
    mine = [batch([b'{"id":%d,"s":"m"}' % (ROWS + 1 + i)], producer=77, epoch=0, sequence=i)
            for i in range(2)]
    with tempfile.TemporaryDirectory(prefix="millrace-test.") as tmp:
        data, rows = os.path.join(tmp, "d"), os.path.join(tmp, "rows")
        with open(rows, "w") as f:
            for i in range(ROWS):
                f.write(f'{{"id":{i + 1},"s":"{rng.randbytes(500).hex()}"}}\n')
        d = Daemon(data, *SETTINGS, "--set", "kafka.append_wait=3s", before=limit)
        try:
            d.query("CREATE TABLE big (id bigint, s text) WITH (topic='big', partitions=1)")
            d.query("CREATE TABLE small (x int) WITH (topic='small', partitions=1)")
            producer = fill(d, rows)
            small_rows = other_table_goes_on(d)
            print(f"ok other_table_goes_on ({small_rows} rows in 2 s)", flush=True)
            c = Client(d.kafka)
            starved_appends_are_refused_in_order(d, c, mine)
            insert_says_why(d)
            print("ok starved_appends_are_refused_in_order", flush=True)
            recovers(d, producer, c, mine, small_rows)
            print("ok recovers", flush=True)
            d.stop()
            d = Daemon(data, *SETTINGS, "--set", "kafka.append_wait=1h", before=limit)
            d.query("TRUNCATE big")
            stop_waits_for_nobody(d, fill(d, rows), data)
            print("ok stop_waits_for_nobody", flush=True)
        finally:
            if d.process.poll() is None:
                d.crash()
            with open(data + ".err") as f:
                sys.stderr.write(f.read()[-3000:])


main()
