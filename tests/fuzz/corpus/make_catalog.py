#!/usr/bin/env python3
"""Writes the seeds of catalog_fuzz: each kind of record, and a few that contradict each other."""
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "catalog")
UUID = bytes(range(16))


def record(kind, payload):
    return struct.pack("<BH", kind, len(payload)) + payload


def name(s):
    return struct.pack("<B", len(s)) + s.encode()


def topic(number, partitions=4, text="orders"):
    return record(1, struct.pack("<Q", number) + UUID + struct.pack(
        "<IBqqIBB", partitions, 0, 604800000, -1, 1 << 20, 0, 0) + name(text))


def table(number, columns, starts=(), watermark=-1):
    body = struct.pack("<Q", number) + name("t") + UUID + struct.pack(
        "<qqiI", 5000000, 0, watermark, len(columns))
    for i, (kind, precision, scale) in enumerate(columns):
        body += struct.pack("<QBBBB", number + 1 + i, kind, precision, scale, 0) + name(f"c{i}")
    return record(3, body + struct.pack("<I", len(starts)) + b"".join(
        struct.pack("<q", s) for s in starts))


def view(number, query="SELECT count(*) FROM t"):
    return record(5, struct.pack("<Q", number) + name("v") + struct.pack("<QI", 1, len(query)) +
                  query.encode())


def number(kind, n):
    return record(kind, struct.pack("<Q", n))


SEEDS = {
    "cluster": record(0, UUID),
    "topic": topic(1),
    "topic_changed": topic(1) + topic(2, 1, "b") + topic(1, 9),
    "topic_dropped": topic(1) + number(2, 1) + number(2, 1),
    "topic_no_partitions": topic(1, 0),
    "topic_last_number": topic((1 << 64) - 1),
    "table": table(1, [(3, 0, 0), (9, 12, 2)], (0, 100), 0),
    "table_dropped": table(1, [(3, 0, 0)]) + number(4, 1),
    "table_far_watermark": table(1, [(3, 0, 0)], (), 7),
    "table_last_number": table((1 << 64) - 1, []),
    "view": view(9),
    "view_dropped": view(9) + number(6, 9),
    "producers": number(7, 5000),
    "counters": record(8, struct.pack("<QQ", 70, 90)),
    "all": record(0, UUID) + topic(1) + table(1, [(3, 0, 0)]) + view(9) + number(7, 2000),
    "unknown": record(11, b"x"),
    "empty": b"",
}

os.makedirs(HERE, exist_ok=True)
for seed, data in SEEDS.items():
    with open(os.path.join(HERE, seed), "wb") as f:
        f.write(data)
