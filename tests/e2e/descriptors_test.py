#!/usr/bin/env python3
"""Few descriptors and a flood of connections that takes all it gets: who was connected goes on, log
files roll, segments and runs are written, rows expire, SQL and HTTP answer, a start gives all of it
back; then the flood ends and Kafka connections are taken again. Over io_uring and epoll."""
import os
import re
import resource
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from kafka_raw import Client, Daemon, batch, needs, until

LIMIT = 300
SETTINGS = [a for s in ("log.file_bytes=1MiB", "log.ring_bytes=4MiB", "kafka.message_bytes_max=256KiB",
                        "table.seal_after=1s", "topic.retention=3s", "log.reserve_bytes=16MiB",
                        "sql.connections_max=40") for a in ("--set", s)]
VIEWS = 12
ROWS = batch([b'{"id":%d,"s":"%s"}' % (i, b"x" * 1000) for i in range(100)])


def few():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


def descriptors(d):
    return len(os.listdir(f"/proc/{d.process.pid}/fd"))


class Producer(threading.Thread):
    """Was connected before the flood, and counts what was acknowledged."""
    def __init__(self, address):
        super().__init__()
        self.client, self.acked, self.failed, self.over = Client(address), 0, None, False
        self.start()

    def run(self):
        try:
            while not self.over:
                self.client.produce("t", ROWS)
                error, _ = self.client.produced()
                assert error == 0, error
                self.acked += 100
                time.sleep(0.01)
        except BaseException as e:
            self.failed = e

    def end(self):
        self.over = True
        self.join()
        assert not self.failed, self.failed


def flood(address, least):
    """Connections until twenty in a row are closed at once."""
    host, port = address.rsplit(":", 1)
    held, refused = [], 0
    while refused < 20:
        s = socket.create_connection((host, int(port)), timeout=60)
        s.settimeout(0.1)
        try:
            closed = s.recv(1) == b""
        except ConnectionResetError:
            closed = True
        except TimeoutError:
            closed = False
        refused = refused + 1 if closed else 0
        s.close() if closed else held.append(s)
        assert len(held) < LIMIT, "no end"
    assert len(held) >= least, len(held)
    return held


def flood_http(address):
    """Sessions that say nothing, until one is refused."""
    host, port = address.rsplit(":", 1)
    held = []
    while True:
        s = socket.create_connection((host, int(port)), timeout=60)
        held.append(s)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        if b"200 OK" not in s.recv(4096):
            break
        assert len(held) < 100
    return held


def everything_works(d, producer):
    """While the flood is held; each step needs descriptors of the storage."""
    acked, files = producer.acked, d.metric("millrace_log_files_made_total")
    segments, runs = d.metric("millrace_seal_segments_total"), d.metric("millrace_merges_total")
    expired = d.metric("millrace_expired_rows_total")
    # New things are made, and old ones filled.
    d.query("CREATE TABLE late (a int) WITH (topic='late', partitions=2)")
    d.query("INSERT INTO late SELECT i FROM generate_series(1, 1000) AS g(i)")
    d.query("CREATE MATERIALIZED VIEW of_late AS SELECT a % 10 AS k, count(*) AS n FROM late GROUP BY 1")
    assert d.query("SELECT sum(n) FROM of_late") == "1000"
    until("the producer", lambda: producer.failed or producer.acked > acked + 5000)
    until("log files", lambda: d.metric("millrace_log_files_made_total") > files or
          d.metric("millrace_log_files_recycled_total") > 10)
    until("segments", lambda: d.metric("millrace_seal_segments_total") > segments + 2)
    d.query("VACUUM")
    until("merges", lambda: d.metric("millrace_merges_total") > runs)
    until("retention", lambda: d.metric("millrace_expired_rows_total") > expired)
    assert d.metric("millrace_seal_failures_total") == d.metric("millrace_merge_failures_total") == 0
    assert urllib.request.urlopen(f"http://{d.http}/healthz", timeout=60).read() == b"ok\n"
    assert d.query("SELECT count(*), sum(n) FROM of_late") == "10|1000"


def over(io, folder):
    data = os.path.join(folder, io)
    options = (*SETTINGS, "--workers", "2", "--set", f"io={io}")
    d = Daemon(data, *options, before=few)
    try:
        d.query("CREATE TABLE t (id bigint, s text) WITH (topic='t', partitions=1, ttl='2 seconds')")
        d.query("CREATE TABLE kept (id bigint) WITH (topic='kept', partitions=1)")
        for i in range(VIEWS):
            d.query(f"CREATE MATERIALIZED VIEW v{i} AS SELECT id % 10 AS k, count(*) AS n FROM t GROUP BY 1")
        address = owner(d, "t")
        producer = Producer(address)
        until("rows", lambda: producer.acked > 1000)
        held = flood(d.kafka, 40)
        counted = d.metric("millrace_kafka_closed_descriptors_total")
        assert counted >= 20, counted
        sessions = flood_http(d.http)
        held += flood(address, 0)  # what the sessions have left
        print(f"{io}: {len(held)} Kafka connections, {len(sessions)} HTTP, "
              f"{descriptors(d)} descriptors of {LIMIT}", flush=True)
        for s in sessions[-5:]:
            s.close()
        until("HTTP sessions are given back", lambda: answers(d))
        everything_works(d, producer)
        most = descriptors(d)
        assert most < LIMIT, most
        for s in held + sessions:
            s.close()
        until("new connections", lambda: connects(d))
        producer.end()
        acked = producer.acked
        assert d.query("SELECT sum(n) FROM v0") == str(acked)
        d.crash()
        d = Daemon(data, *options, before=few)
        for i in range(VIEWS):
            assert d.query(f"SELECT sum(n) FROM v{i}") == str(acked), i
        d.stop()
        warned(data)
        print(f"ok over {io}: {acked} rows", flush=True)
    finally:
        if d.process.poll() is None:
            d.crash()


def none_for_a_while(folder):
    """All descriptors are gone, whoever has them, until there are some again: appends wait for a
    log file, and nobody has to do anything for them to go on. Said once each, however long it is."""
    data = os.path.join(folder, "none")
    d = Daemon(data, *SETTINGS)
    pid = d.process.pid
    try:
        d.query("CREATE TABLE t (id bigint, s text) WITH (topic='t', partitions=1)")
        producer = Producer(d.kafka)
        until("rows", lambda: producer.acked > 1000)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        until("a failure", lambda: "event=background error=" in open(data + ".err").read())
        acked = None
        while acked != producer.acked:
            acked = producer.acked
            time.sleep(1)
        waits = [socket.create_connection(("127.0.0.1", int(d.sql_port)), timeout=10) for _ in range(3)]
        time.sleep(2)  # tried again, in vain
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        until("acknowledgements", lambda: producer.failed or producer.acked > acked + 3000, 10)
        producer.end()
        assert d.query("SELECT count(*) FROM t") == str(producer.acked)
        for w in waits:
            w.close()
        d.stop()
        said = re.findall(r"event=background\S*|accept=failed", open(data + ".err").read())
        assert sorted(said) == ["accept=failed", "event=background", "event=background_well"], said
        print("ok without any for a while", flush=True)
    finally:
        if d.process.poll() is None:
            d.crash()


def owner(d, topic):
    """Where the leader of its partition 0 listens."""
    r = subprocess.run(["kcat", "-b", d.kafka, "-L", "-t", topic], capture_output=True, text=True,
                       timeout=60, check=True).stdout
    leader = re.search(r"partition 0, leader (\d+)", r)[1]
    return re.search(rf"broker {leader} at (\S+)", r)[1]


def answers(d):
    try:
        return d.metric("millrace_turns_total") > 0
    except urllib.error.HTTPError:
        return False


def connects(d):
    try:
        c = Client(d.kafka)
        c.init_producer()
        c.receive()
        return True
    except (AssertionError, ConnectionError):
        return False


def warned(data):
    lines = [line for line in open(data + ".err") if "LimitNOFILE=" in line]
    assert len(lines) == 2 and f"descriptors={LIMIT} kafka_connections=" in lines[0], lines


def main():
    needs("psql", "kcat")
    with tempfile.TemporaryDirectory(prefix="millrace-test.") as folder:
        for io in ("auto", "plain"):
            over(io, folder)
        none_for_a_while(folder)


main()
