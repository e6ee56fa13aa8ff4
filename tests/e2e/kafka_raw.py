"""Helpers of the Python tests: Kafka requests by hand, a daemon in a directory, its metrics."""
import os
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.request

MILLRACED = os.path.join(os.environ.get("MILLRACE_BUILD", "build/release"), "millraced")
SMALL = ["log.file_bytes=16MiB", "log.ring_bytes=16MiB", "log.reserve_bytes=16MiB",
         "kafka.memory_bytes=64MiB", "table.memory_bytes=256MiB"]
PRODUCE, FETCH, LIST_OFFSETS = 0, 1, 2
CREATE_TOPICS, INIT_PRODUCER_ID = 19, 22


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def varint_unsigned(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def varint(n):
    return varint_unsigned(n << 1 ^ n >> 63)


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


def needs(*programs):
    """Skips the test where one of them is not installed."""
    for program in programs:
        if subprocess.run(["which", program], capture_output=True).returncode:
            print(program, "is not installed")
            sys.exit(77)


def until(what, true, seconds=60):
    """Waits until that holds; `what` is said when it does not come to hold."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
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

    def create_topic(self, topic):
        self.send(CREATE_TOPICS, 2, struct.pack(">i", 1) + text(topic) +
                  struct.pack(">ihiiib", 1, 1, 0, 0, 10000, 0))

    def init_producer(self):
        self.send(INIT_PRODUCER_ID, 0, struct.pack(">hi", -1, 10000))

    def offset_of(self, topic, timestamp):
        self.send(LIST_OFFSETS, 1, struct.pack(">ii", -1, 1) + text(topic) +
                  struct.pack(">iiq", 1, 0, timestamp))
        r = self.receive()
        return struct.unpack(">hqq", r[-18:])

    def newest_of(self, topic):
        """ListOffsets of the highest timestamp: error, timestamp, offset."""
        body = struct.pack(">hhi", LIST_OFFSETS, 7, 7) + text("raw") + b"\0" + \
            struct.pack(">ib", -1, 0) + b"\2" + varint_unsigned(len(topic) + 1) + \
            topic.encode() + b"\2" + struct.pack(">iiq", 0, -1, -3) + b"\0\0\0"
        self.socket.sendall(struct.pack(">i", len(body)) + body)
        return struct.unpack(">hqq", self.receive()[-25:-7])


class Daemon:
    def __init__(self, data, *options, before=None):
        self.err = open(data + ".err", "a")
        args = [MILLRACED, "--data", data, "--kafka-port", "0", "--sql-port", "0", "--http-port",
                "0", *[a for s in SMALL for a in ("--set", s)], *options]
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=self.err, text=True,
                                        preexec_fn=before)
        line = self.process.stdout.readline()
        m = re.match(r"ready kafka=(\S+) sql=\S+:(\d+) http=(\S+)", line)
        assert m, (line, open(data + ".err").read())
        self.kafka, self.sql_port, self.http = m.groups()

    def metric(self, name):
        """The sum over all labels."""
        page = urllib.request.urlopen(f"http://{self.http}/metrics", timeout=60).read().decode()
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.M)
        assert values, name
        return sum(float(v) for v in values)

    def query(self, sql):
        return subprocess.run(["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p",
                               self.sql_port, "-U", "millrace", "-d", "millrace", "-v",
                               "ON_ERROR_STOP=1", "-c", sql], check=True, capture_output=True,
                              text=True, timeout=120).stdout.strip()

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, self.process.returncode

    def crash(self):
        self.process.kill()
        self.process.wait()
