#!/usr/bin/env python3
"""Writes the seeds of segment_record: lives of a few tables as records of segments. Usage: make_segment_record.py DIR"""
import os
import struct
import sys


def record(kind, version, payload):
    return struct.pack("<BBH", kind, version - 1, len(payload)) + payload


def segment(number, table, ranges, version=2):
    b = struct.pack("<QQQQQQIIQQ", number, table, 10, 1, 20000, 19000, 100, 200, 1, 2)
    if version == 2:
        b += struct.pack("<QqqHH", 1000, 5, 6, 1, 3)
    b += struct.pack("<I", len(ranges))
    return b + b"".join(struct.pack("<Iqq", *r) for r in ranges)


def add(number, table, at, version=2):
    return record(0, version, segment(number, table, [(0, at, at + 10), (3, at, at + 5)], version))


def replace(old, number, table, first, end):
    ids = struct.pack("<I", len(old)) + b"".join(struct.pack("<Q", i) for i in old)
    return record(3, 2, ids + segment(number, table, [(0, first, end)]))


def expire(table, old, held):
    b = struct.pack("<QI", table, len(old)) + b"".join(struct.pack("<Q", i) for i in old)
    b += struct.pack("<I", len(held)) + b"".join(struct.pack("<Iq", p, to) for p, to in held)
    return record(4, 1, b)


three = b"".join(add(i, 1, i * 10) for i in (1, 2, 3))
seeds = {
    "empty": b"",
    "one": add(1, 1, 0),
    "version_1": add(1, 1, 0, 1),
    "three": three,
    "next_id": record(1, 1, struct.pack("<Q", 77)) + add(5, 2, 0),
    "dropped": three + record(2, 1, struct.pack("<Q", 1)) + add(9, 1, 0),
    "replaced": three + replace([1, 2, 3], 4, 1, 10, 40),
    "replaced_middle": three + replace([2], 4, 1, 20, 30) + replace([1, 4], 5, 1, 10, 30),
    "not_neighbours": three + replace([1, 3], 4, 1, 10, 40),
    "twice": three + replace([1, 1], 4, 1, 10, 40),
    "expired": three + expire(1, [1], [(0, 20), (3, 15)]) + expire(1, [3, 2], [(0, 40)]),
    "expired_twice": three + expire(1, [1, 1], [(0, 20)]),
    "expired_none": expire(3, [], [(7, 1 << 40)]),
    "two_tables": three + add(7, 2, 0) + replace([7], 8, 2, 0, 10) + expire(2, [8], [(0, 10)]),
    "wrong_table": three + add(7, 2, 0) + expire(1, [7], []),
    "same_id": add(1, 1, 0) + add(1, 2, 0),
    "short": add(1, 1, 0)[:-3],
}
os.makedirs(sys.argv[1], exist_ok=True)
for name, data in seeds.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
