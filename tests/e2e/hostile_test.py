#!/usr/bin/env python3
"""Hostile clients on every port, beside a producer and a SQL session that must not notice.

Method: one daemon with small limits. A librdkafka producer and a SQL loop run all the time; each
attack is a function. Afterwards the producer's acknowledgements, the rows and the dead letters are
exact, no good answer took longer than 10 s (on a quiet machine a tenth of one), and the daemon's memory has stayed within its bound.
MILLRACE_SEED repeats a run.
"""
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import psycopg2

BUILD = os.environ.get("MILLRACE_BUILD", "build/release")
SEED = int(os.environ.get("MILLRACE_SEED", random.randrange(1 << 32)))
RNG = random.Random(SEED)
MIB = 1 << 20
# The settings allow more; measured: 95 MiB. A build with sanitizers has its own idea of memory.
RSS_BOUND = int(os.environ.get("MILLRACE_RSS_MIB", 300)) * MIB
STALL_S = 10.0
SETTINGS = {
    "log.file_bytes": "16MiB", "log.ring_bytes": "16MiB", "log.reserve_bytes": "16MiB",
    "kafka.memory_bytes": "32MiB", "table.memory_bytes": "256MiB", "kafka.connections_max": "48",
    "sql.connections_max": "16", "http.connections_max": "12", "sql.query_bytes_max": "64MiB",
    "kafka.request_bytes_max": "8MiB", "kafka.decompressed_bytes_max": "8MiB",
    "kafka.idle_timeout": "4s",
}


# ---- the bytes of Kafka

def crc32c_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = CRC_TABLE[(c ^ b) & 255] ^ c >> 8
    return c ^ 0xFFFFFFFF


def varint(n):
    n = n << 1 ^ n >> 63
    out = bytearray()
    while n & ~127:
        out.append(n & 127 | 128)
        n = n >> 7 & (1 << 57) - 1
    out.append(n)
    return bytes(out)


def record(value, delta=0, key=None, headers=b"\0"):
    body = b"\0" + varint(0) + varint(delta)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += (varint(-1) if value is None else varint(len(value)) + value) + headers
    return varint(len(body)) + body


def batch(records, count=None, attributes=0, crc=None, magic=2, length=None, last_delta=None):
    """A record batch v2 around the bytes of records; each argument lets it lie about one thing."""
    data = b"".join(records)
    n = len(records) if count is None else count
    tail = struct.pack(">hiqqqhii", attributes, len(records) - 1 if last_delta is None else last_delta,
                       1700000000000, 1700000000000, -1, -1, -1, n) + data
    head = struct.pack(">qiibI", 0, len(tail) + 9 if length is None else length, -1, magic,
                       crc32c(tail) if crc is None else crc)
    return head + tail


def text(s):
    return struct.pack(">h", len(s)) + s.encode()


def request(api, version, body, correlation=1, client="hostile"):
    data = struct.pack(">hhi", api, version, correlation) + text(client) + body
    return struct.pack(">i", len(data)) + data


def produce(topic, partition, data, acks=-1, version=7):
    return request(0, version, struct.pack(">hhii", -1, acks, 5000, 1) + text(topic) +
                   struct.pack(">iii", 1, partition, len(data)) + data)


def receive(s, n):
    out = b""
    while len(out) < n:
        got = s.recv(n - len(out))
        if not got:
            raise ConnectionError("closed")
        out += got
    return out


def answer(s):
    return receive(s, struct.unpack(">i", receive(s, 4))[0])


# ---- codecs as an attacker writes them: little in, much out

def gzip_bomb(size):
    c = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(c.compress(bytes(MIB)) for _ in range(size // MIB)) + c.flush()


def zstd_bomb(size):
    blocks = size // (128 << 10)
    out = b"\x28\xb5\x2f\xfd\x00\x58"  # no content size, window of 2 MiB
    for i in range(blocks):
        out += struct.pack("<I", (128 << 10) << 3 | 1 << 1 | (i == blocks - 1))[:3] + b"\0"
    return out


def xxh32_descriptor(data):
    """XXH32 of less than four bytes."""
    h = 374761393 + len(data) & 0xFFFFFFFF
    for b in data:
        h = h + b * 374761393 & 0xFFFFFFFF
        h = (h << 11 | h >> 21) & 0xFFFFFFFF
        h = h * 2654435761 & 0xFFFFFFFF
    h = (h ^ h >> 15) * 2246822519 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 3266489917 & 0xFFFFFFFF
    return h ^ h >> 16


def lz4_bomb(size):
    descriptor = b"\x60\x70"  # version 1, independent blocks of up to 4 MiB
    out = b"\x04\x22\x4d\x18" + descriptor + bytes([xxh32_descriptor(descriptor) >> 8 & 255])
    block = b"\x1fa\x01\x00" + b"\xff" * (3 * MIB // 255) + b"\x00" + b"\x50aaaaa"
    for _ in range(size // (3 * MIB)):
        out += struct.pack("<I", len(block)) + block
    return out + bytes(4)


def snappy_bomb(size):
    n, out = size, bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out) + b"\x00a" + b"\xfe\x01\x00" * (size // 64)


# ---- the daemon, and who behaves well beside the hostile ones

HOSTS = {}  # of the daemon's ports


class Daemon:
    def __init__(self, folder):
        args = [os.path.join(BUILD, "millraced"), "--data", os.path.join(folder, "d"),
                "--kafka-port", "0", "--sql-port", "0", "--http-port", "0"]
        for k, v in SETTINGS.items():
            args += ["--set", f"{k}={v}"]
        self.log = os.path.join(folder, "log")
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True,
                                        stderr=open(self.log, "w"))
        line = self.process.stdout.readline()
        found = re.fullmatch(r"ready kafka=(\S+):(\d+) sql=(\S+):(\d+) http=(\S+):(\d+)\n", line)
        assert found, f"no ready line: {line!r} {open(self.log).read()}"
        self.kafka, self.sql, self.http = map(int, found.groups()[1::2])
        HOSTS.update(zip(self.ports(), found.groups()[::2]))

    def ports(self):
        return self.kafka, self.sql, self.http

    def rss(self, field="VmRSS"):
        status = open(f"/proc/{self.process.pid}/status").read()
        return int(re.search(field + r":\s+(\d+)", status).group(1)) << 10

    def connect_sql(self):
        c = psycopg2.connect(host="127.0.0.1", port=self.sql, user="millrace", dbname="millrace",
                             connect_timeout=30)
        c.autocommit = True
        return c


class GoodSession(threading.Thread):
    """Asks every 20 ms; any error ends the test, and the slowest answer is kept."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.connection = daemon.connect_sql()
        self.slowest, self.error, self.asked, self.ended = 0.0, None, 0, threading.Event()

    def run(self):
        last = 0
        try:
            cursor = self.connection.cursor()
            while not self.ended.wait(0.02):
                began = time.monotonic()
                cursor.execute("SELECT count(*) FROM events")
                count = cursor.fetchone()[0]
                assert count >= last, f"the count fell from {last} to {count}"
                last = count
                self.asked += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
        except Exception as e:  # whatever it is, it is the finding
            self.error = e


def dial(port, timeout=30):
    s = socket.create_connection((HOSTS[port], port), timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def throw(port, data, wait=0.05):
    """Sends, reads a little of what comes, and closes. Being refused is fine."""
    try:
        with dial(port) as s:
            s.sendall(data)
            s.settimeout(wait)
            while s.recv(65536):
                pass
    except OSError:
        pass


# ---- attacks

def random_bytes(d):
    for _ in range(40):
        for port in d.ports():
            throw(port, RNG.randbytes(RNG.choice([1, 3, 4, 5, 17, 200, 5000, 100000])), 0.005)


API_VERSIONS = request(18, 0, b"")
STARTUP = b"user\0millrace\0database\0millrace\0\0"
STARTUP = struct.pack(">ii", len(STARTUP) + 8, 196608) + STARTUP
HTTP_QUERY = b"POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nselect 1"


def truncated_frames(d):
    good = ((d.kafka, produce("junk", 0, batch([record(b"{}")]))), (d.sql, STARTUP),
            (d.http, HTTP_QUERY))
    for port, data in good:
        for n in range(1, len(data)):
            try:
                with dial(port) as s:
                    s.sendall(data[:n])
            except OSError:
                pass


def oversized_frames(d):
    for n in (0x7FFFFFFF, -1, -0x80000000, 0, 1, 8 * MIB + 1, 100 * MIB):
        throw(d.kafka, struct.pack(">i", n) + b"\0" * 1000)
        throw(d.sql, struct.pack(">i", n) + b"\0" * 1000)
        throw(d.sql, STARTUP + b"Q" + struct.pack(">i", n) + b"select 1")
        for kind in b"PBDECHFfdcSXp\0\xff":
            throw(d.sql, STARTUP + bytes([kind]) + struct.pack(">i", n) + b"\0" * 20, 0.003)
    throw(d.http, b"GET /" + b"a" * 2 * MIB + b" HTTP/1.1\r\n\r\n")
    throw(d.http, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100000)
    for length in (b"-1", b"99999999999999999999", b"1e3", b"4000000000", b"0x10", b"5, 6"):
        throw(d.http, b"POST /query HTTP/1.1\r\nHost: a\r\nContent-Length: " + length +
              b"\r\n\r\nselect 1")
    throw(d.http, b"POST /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
          b"ffffffffffffffff\r\nx")


def unknown_apis(d):
    with dial(d.kafka) as s:
        s.sendall(request(18, 99, b""))
        reply = answer(s)
        assert struct.unpack(">ih", reply[:6]) == (1, 35), reply  # UNSUPPORTED_VERSION, in v0
    for api in list(range(0, 70)) + [999, -1, 32767]:
        throw(d.kafka, request(api, RNG.choice([-1, 99, 32767]), b"\0" * 50), 0.003)


def mutated_requests(d):
    """Every API and version with a body that begins well and goes wrong somewhere."""
    for api in list(range(0, 4)) + list(range(8, 51)):
        for version in range(0, 14):
            body = bytearray(RNG.randbytes(RNG.randrange(60)))
            if RNG.randrange(2):
                body = bytearray(struct.pack(">hhii", -1, 1, 1000, 1) + text("junk") +
                                 struct.pack(">iii", 1, 0, RNG.randrange(1 << 31)) + body)
            throw(d.kafka, request(api, version, bytes(body)), 0.001)


def error_of(d, data, topic="junk"):
    """The error code of a produce of these bytes; None when the connection was closed."""
    try:
        with dial(d.kafka) as s:
            s.sendall(produce(topic, 0, data))
            reply = answer(s)
    except ConnectionError:
        return None
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    return struct.unpack(">h", reply[at:at + 2])[0]


def bad_batches(d):
    good = [record(b'{"n":1}', i) for i in range(3)]
    bad = {
        "wrong CRC": batch(good, crc=1), "no records": batch([]), "old magic": batch(good, magic=1),
        "future magic": batch(good, magic=3), "too many": batch(good, count=4),
        "too few": batch(good, count=2), "count of 2^31": batch(good, count=0x7FFFFFFF),
        "negative count": batch(good, count=-5), "short length": batch(good, length=10),
        "long length": batch(good, length=0x7FFFFFFF), "unknown codec": batch(good, attributes=7),
        "last delta": batch(good, last_delta=1000), "control": batch(good, attributes=32),
        "endless varint": batch([b"\xff" * 20]), "varint beyond": batch([b"\xfe\xff\xff\xff\x0f"]),
        "negative length": batch([varint(-100) + good[0]]), "empty": b"", "two bytes": b"ab",
        "value beyond": batch([varint(12) + b"\0\0\0" + varint(-1) + varint(1 << 30) + b"abc"]),
        "headers of 2^30": batch([record(b"{}", headers=varint(1 << 30))]),
        "gzip of noise": batch([RNG.randbytes(100)], count=1, attributes=1),
        "snappy of noise": batch([RNG.randbytes(100)], count=1, attributes=2),
        "lz4 of noise": batch([RNG.randbytes(100)], count=1, attributes=3),
        "zstd of noise": batch([RNG.randbytes(100)], count=1, attributes=4),
    }
    for name, data in bad.items():
        assert error_of(d, data) not in (0, None), f"accepted, or no answer: {name}"
    for _ in range(150):  # one byte anywhere but the base offset and leader epoch, and a right CRC
        data = bytearray(batch(good))
        data[RNG.randrange(61, len(data))] = RNG.randrange(256)
        data[17:21] = struct.pack(">I", crc32c(data[21:]))
        assert error_of(d, bytes(data), "noise") in (0, 2, 87), bytes(data).hex()


def bombs(d):
    for attributes, make in ((1, gzip_bomb), (2, snappy_bomb), (3, lz4_bomb), (4, zstd_bomb)):
        for size in (12 * MIB, 60 * MIB):
            data = batch([make(size)], count=1, attributes=attributes)
            assert error_of(d, data) not in (0, None), f"codec {attributes} of {size} accepted"
    lying = b"\xff\xff\xff\xff\x0f\x00a"  # Snappy: says 4 GiB, has a byte
    assert error_of(d, batch([lying], count=1, attributes=2)) not in (0, None)


def slow_and_idle(d):
    """Byte by byte, half-closed, silent: each waits alone; the silent ones are closed."""
    slow = [(dial(port), data) for port, data in
            ((d.kafka, API_VERSIONS), (d.sql, STARTUP), (d.http, HTTP_QUERY)) for _ in range(3)]
    for i in range(40):
        for s, data in slow:
            try:
                s.sendall(data[i:i + 1])
            except OSError:
                pass
        time.sleep(0.01)
    for s, _ in slow:
        s.close()
    half = [dial(p) for p in d.ports() for _ in range(3)]
    for s in half:
        s.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    for s in half:
        s.close()
    with dial(d.kafka, timeout=60) as idle:
        assert idle.recv(1) == b"", "an idle connection got bytes"
    reader = dial(d.kafka)  # asks and never reads
    try:
        reader.settimeout(0.2)
        for _ in range(20000):
            reader.sendall(API_VERSIONS)
    except OSError:
        pass
    reader.close()


def too_many_connections(d):
    held = []
    for port in d.ports():
        for _ in range(80):
            try:
                held.append(dial(port, timeout=1))
            except OSError:
                break
    time.sleep(0.3)
    try:
        d.connect_sql().close()
        raise AssertionError("a session beyond the limit was let in")
    except psycopg2.OperationalError as e:
        assert "too many" in str(e) or "connection" in str(e), e
    for s in held:
        s.close()
    for _ in range(600):
        try:
            d.connect_sql().close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)
    raise AssertionError("the places were not given back")


GOOD_JSON = [b'{"n":7}', b'{"n":"7"}', b'{"n":7.0}', b' {"n":7} ', b'{"x":{"y":[1,{}]},"n":7}',
             b'{"n":7,"category":{"a":1}}', b'{"n":7,"n":8}', b'{}', b'{"n":null}',
             b'{"n":7,"category":"\\ud83d\\ude00"}', b'{"n":7,"pad":"%s"}' % (b"x" * 1000000)]
BAD_JSON = [b"", None, b"null", b"[]", b"7", b'"n"', b"{", b"}", b'{"n":7', b'{"n":}', b"{'n':7}",
            b'{"n":7}x', b'{"n":true}', b'{"n":{}}', b'{"n":[]}', b'{"n":"seven"}', b'{"n":7.5}',
            b'{"n":9223372036854775808}', b'{"n":1e400}', b'{"n":' + b"9" * 100000 + b"}",
            b'{"category":"\xff\xfe","n":1}', b'{"category":"\xc0\x80"}', b"\0", b'{"n":7}\0',
            b"[" * 500000, b'{"a":' * 200000, b'{"event_time":"yesterday"}', b'{"amount":"x"}',
            b'{"amount":1e30}', b"\xef\xbb\xbf{}", b'{"n":0x7}', b'{"n":+7}', b'{"n":07}']
EXPECT = {"rows": 0, "dead": 0}


def junk_json(d):
    """Bad records beside good ones in one batch: good ones become rows, bad ones dead letters."""
    for _ in range(3):
        values = GOOD_JSON + BAD_JSON
        RNG.shuffle(values)
        for i in range(0, len(values), 8):
            part = values[i:i + 8]
            code = error_of(d, batch([record(v, k) for k, v in enumerate(part)]))
            assert code == 0, f"error {code}"
        EXPECT["rows"] += len(GOOD_JSON)
        EXPECT["dead"] += len(BAD_JSON)


def bad_sql(d):
    queries = ["(" * 200000, "SELECT " + "(" * 50000 + "1" + ")" * 50000, "SELECT " + "-" * 3 + "1",
               "SELECT " + "1+" * 50000 + "1", "SELECT " + "NOT " * 50000 + "true",
               "SELECT 1 WHERE 1 IN (" + "1," * 50000 + "1)", "SELECT '" + "a" * 5000000,
               "SELECT * FROM " + "(SELECT * FROM " * 5000 + "events", "/*" * 100000,
               "SELECT " + "CASE WHEN true THEN " * 20000 + "1", "SELECT $99999999999",
               "SELECT repeat('x', 2000000000)", "SELECT " + "a." * 10000 + "b",
               "SELECT count(*) FROM generate_series(1, 9223372036854775807)",
               "SELECT count(*) FROM events a, events b, events c WHERE 1 = 0",
               "SELECT e'\\xff'", "SELECT U&'\\dead'", ";" * 100000, "\x7f", "SELECT 1" * 1000]
    c = d.connect_sql()
    c.cursor().execute("SET statement_timeout = '1s'")
    for q in queries:
        try:
            c.cursor().execute(q)
        except psycopg2.OperationalError as e:
            assert c.closed == 0, f"the session ended at {q[:60]!r}: {e}"
        except psycopg2.Error:
            assert c.closed == 0, f"the session ended at {q[:60]!r}"
    c.close()


def bad_names(d):
    for name in ("../../etc/passwd", "a" * 249, "a" * 250, "a" * 30000, "", ".", "..", "a/b", "\0",
                 "ü", "a\nb", "__consumer_offsets"):
        throw(d.kafka, request(3, 4, struct.pack(">i", 1) + struct.pack(
            ">h", len(name.encode())) + name.encode() + b"\1"), 0.02)
        for partitions in (0, -5, 0x7FFFFFFF, 1000000):
            throw(d.kafka, request(19, 2, struct.pack(">i", 1) + struct.pack(
                ">h", len(name.encode())) + name.encode() + struct.pack(
                ">ihii", partitions, 1, 0, 0) + struct.pack(">i?", 1000, False)), 0.02)


def greedy_fetches(d):
    for offset in (0, -1, -2, -5, 1 << 62, -1 << 63):
        for partition in (0, 3, 4, -1, 0x7FFFFFFF):
            throw(d.kafka, request(1, 4, struct.pack(">iiiib", -1, 0, 0, 0x7FFFFFFF, 0) +
                                   struct.pack(">i", 1) + text("events") + struct.pack(
                ">iiqi", 1, partition, offset, 0x7FFFFFFF)), 0.01)
    many = b"".join(struct.pack(">iqi", i % 4, 0, MIB) for i in range(100000))
    throw(d.kafka, request(1, 4, struct.pack(">iiiib", -1, 0, 0, 0x7FFFFFFF, 0) + struct.pack(
        ">i", 1) + text("events") + struct.pack(">i", 100000) + many), 0.5)


ATTACKS = [random_bytes, truncated_frames, oversized_frames, unknown_apis, mutated_requests,
           bad_batches, bombs, junk_json, bad_sql, bad_names, greedy_fetches, slow_and_idle,
           too_many_connections, random_bytes, junk_json]


def run(folder):
    d, producer = Daemon(folder), None
    try:
        c = d.connect_sql().cursor()
        for topic in ("events", "junk", "noise"):
            c.execute(f"""CREATE TABLE {topic} (n bigint, category text, amount numeric(12,2),
                event_time timestamptz) WITH (topic = '{topic}', format = 'json', partitions = 4)""")
        acked = os.path.join(folder, "acked")
        bootstrap = f"{HOSTS[d.kafka]}:{d.kafka}"
        producer = subprocess.Popen(
            [f"{BUILD}/tests/e2e/producer", "--bootstrap", bootstrap, "--topics", "events", "--acked",
             acked, "--rate", "2000"], stdout=subprocess.PIPE, text=True)
        session = GoodSession(d)
        session.start()
        assert producer.stdout.readline() == "begun\n"
        for attack in ATTACKS:
            began = time.monotonic()
            attack(d)
            assert d.process.poll() is None, f"{attack.__name__}: the daemon ended"
            assert session.error is None, f"{attack.__name__}: the session saw {session.error!r}"
            assert session.slowest < STALL_S, f"{attack.__name__}: stall of {session.slowest:.1f} s"
            assert d.rss("VmHWM") < RSS_BOUND, f"{attack.__name__}: {d.rss('VmHWM') >> 20} MiB"
            print(f"ok {attack.__name__} {time.monotonic() - began:.1f} s, slowest answer "
                  f"{session.slowest * 1e3:.0f} ms, peak {d.rss('VmHWM') >> 20} MiB", flush=True)
        producer.send_signal(signal.SIGTERM)
        said = producer.stdout.read().split()
        assert producer.wait(timeout=60) == 0, said
        assert int(said[7]) < STALL_S * 1000, f"an acknowledgement took {said[7]} ms"
        session.ended.set()
        session.join(10)
        assert session.error is None and session.asked > 100, session.error
        subprocess.run([f"{BUILD}/tests/e2e/consumer", "--bootstrap", bootstrap, "--topics", "events",
                        "--acked", acked, "--exact"], check=True, timeout=120)
        check_counts(c, int(said[3]))
        d.process.send_signal(signal.SIGTERM)
        assert d.process.wait(timeout=60) == 0, "the daemon did not end well"
        print(f"{said[3]} acknowledged, slowest {said[7]} ms; {session.asked} queries, slowest "
              f"{session.slowest * 1e3:.0f} ms; {EXPECT}")
    finally:
        for p in filter(None, (producer, d.process)):
            if p.poll() is None:
                p.kill()
            p.wait()
        if sys.exc_info()[0]:
            print(open(d.log).read()[-3000:])


def check_counts(c, acknowledged):
    c.execute("SELECT count(*), count(DISTINCT n) FROM events")
    assert c.fetchone() == (acknowledged, acknowledged)
    c.execute("SELECT count(*) FROM junk")
    assert c.fetchone()[0] == EXPECT["rows"]
    c.execute("SELECT count(*) FROM millrace.dead_letters WHERE topic = 'junk'")
    assert c.fetchone()[0] == EXPECT["dead"]


def main():
    print(f"seed {SEED}")
    folder = tempfile.mkdtemp(prefix="millrace-test.")
    try:
        run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
