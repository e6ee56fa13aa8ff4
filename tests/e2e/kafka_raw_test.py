#!/usr/bin/env python3
"""Kafka requests that well-behaved clients rarely send: repeats, waiting Fetches, topics that go."""
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

MILLRACED = os.path.join(os.environ.get("MILLRACE_BUILD", "build/release"), "millraced")
SMALL = ["log.file_bytes=16MiB", "log.ring_bytes=16MiB", "log.reserve_bytes=16MiB",
         "kafka.memory_bytes=64MiB", "table.memory_bytes=256MiB"]
PRODUCE, FETCH, LIST_OFFSETS = 0, 1, 2
UNKNOWN_TOPIC, OUT_OF_ORDER = 3, 45


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def varint(n):
    n = n << 1 ^ n >> 63
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def batch(values, producer=-1, epoch=-1, sequence=-1, timestamp=None):
    timestamp = int(time.time() * 1000) if timestamp is None else timestamp
    records = b""
    for i, value in enumerate(values):
        r = b"\0" + varint(0) + varint(i) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(r)) + r
    body = struct.pack(">hiqqqhii", 0, len(values) - 1, timestamp, timestamp, producer, epoch,
                       sequence, len(values)) + records
    body = struct.pack(">ibI", -1, 2, crc32c(body)) + body
    return struct.pack(">qi", 0, len(body)) + body


def text(s):
    return struct.pack(">h", len(s)) + s.encode()


class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.rest = b""

    def send(self, key, version, body):
        request = struct.pack(">hhi", key, version, 7) + text("raw") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)

    def receive(self):
        def have(n):
            while len(self.rest) < n:
                more = self.socket.recv(65536)
                assert more, "the connection was closed"
                self.rest += more
        have(4)
        end = 4 + struct.unpack(">i", self.rest[:4])[0]
        have(end)
        answer, self.rest = self.rest[8:end], self.rest[end:]
        return answer

    def produce(self, topic, records):
        """Sends; the answer comes with produced()."""
        self.send(PRODUCE, 7, struct.pack(">hhii", -1, -1, 10000, 1) + text(topic) +
                  struct.pack(">iii", 1, 0, len(records)) + records)

    def produced(self):
        r = self.receive()
        at = 4 + 2 + struct.unpack(">h", r[4:6])[0] + 4 + 4
        return struct.unpack(">hq", r[at:at + 10])  # error, base offset

    def fetch(self, topic, offset, wait_ms, bytes_min=1):
        self.send(FETCH, 4, struct.pack(">iiiibi", -1, wait_ms, bytes_min, 1 << 20, 0, 1) +
                  text(topic) + struct.pack(">iiqi", 1, 0, offset, 1 << 20))

    def fetched(self):
        r = self.receive()
        at = 4 + 4 + 2 + struct.unpack(">h", r[8:10])[0] + 4 + 4
        error, high = struct.unpack(">hq", r[at:at + 10])
        at += 2 + 8 + 8 + 4
        return error, high, struct.unpack(">i", r[at:at + 4])[0]

    def offset_of(self, topic, timestamp):
        self.send(LIST_OFFSETS, 1, struct.pack(">ii", -1, 1) + text(topic) +
                  struct.pack(">iiq", 1, 0, timestamp))
        r = self.receive()
        return struct.unpack(">hqq", r[-18:])


class Daemon:
    def __init__(self, data, *options):
        self.err = open(data + ".err", "a")
        args = [MILLRACED, "--data", data, "--kafka-port", "0", "--sql-port", "0", "--http-port",
                "0", *[a for s in SMALL for a in ("--set", s)], *options]
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=self.err, text=True)
        line = self.process.stdout.readline()
        m = re.match(r"ready kafka=(\S+) sql=\S+:(\d+) http=", line)
        assert m, (line, open(data + ".err").read())
        self.kafka, self.sql_port = m.groups()

    def query(self, sql):
        return subprocess.run(["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p",
                               self.sql_port, "-U", "millrace", "-d", "millrace", "-v",
                               "ON_ERROR_STOP=1", "-c", sql], check=True, capture_output=True,
                              text=True, timeout=30).stdout.strip()

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0, self.process.returncode

    def crash(self):
        self.process.kill()
        self.process.wait()


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
    assert time.time() - start < 5


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
        assert time.time() - start < 2


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


def stop_answers_waiting_requests(d):
    c = Client(d.kafka)
    c.fetch("idle", 1, 30000)
    time.sleep(0.1)
    start = time.time()
    d.stop()
    assert time.time() - start < 10


def main():
    if subprocess.run(["which", "psql"], capture_output=True).returncode:
        print("psql is not installed")
        sys.exit(77)
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
            stop_answers_waiting_requests(d)
        finally:
            if d.process.poll() is None:
                d.crash()
            sys.stdout.flush()
            with open(data + ".err") as f:
                sys.stderr.write(f.read()[-3000:])


main()
