#!/usr/bin/env python3
"""Seeds of log_fuzz and manifest_fuzz: frames of a few records, checksums left to the target's repair."""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def save(target, name, data):
    folder = os.path.join(HERE, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def pad(data, to):
    return data + bytes(-len(data) % to)


def record(kind, payload, ref=0xFFFFFFFF, base=0, count=0, version=0):
    head = struct.pack("<QHBBIIIiIqqII", 0, kind, version, 0, len(payload), ref, 0, 0, 0, base, 5, count, 0)
    return pad(head + payload, 8)


def frame(*records):
    payload = b"".join(records)
    return pad(struct.pack("<QIHHQQQQQII", 0, 0, 1, 1, 1, 0, 0, 77, 0, len(payload), len(records)) + payload, 4096)


def binding(ref, partition):
    return struct.pack("<Ii", ref, partition) + bytes(range(16))


def index(bindings, entries):
    return struct.pack("<II", len(bindings), len(entries)) + b"".join(bindings) + b"".join(entries)


ENTRY = struct.pack("<QqqIIII", 64, 0, 5, 0, 10, 1, 0)
BIND = record(2, binding(0, 1))
BATCH = record(1, b"0123456789", ref=0, count=1)
LOGS = {
    "empty": b"",
    "one": frame(BIND, BATCH),
    "three": frame(BIND, BATCH) + frame(BATCH, BATCH) + frame(record(3, b"state")),
    "index": frame(BIND, BATCH) + frame(record(4, index([binding(0, 1)], [ENTRY]))),
    "index_lies": frame(record(4, struct.pack("<II", 1 << 30, 1 << 30))),
    "index_short": frame(record(4, b"\1\0")),
    "ref_far": frame(record(2, binding(1 << 31, 1))),
    "ref_unbound": frame(record(1, b"x", ref=9, count=1)),
    "unknown": frame(record(40, b"x")),
    "newer": frame(record(16, b"x", version=9)),
    "binding_short": frame(record(2, b"12345")),
}
for name, body in LOGS.items():
    save("log", name, b"\1" + body)
    save("log", name + "_raw", b"\0" + body)


def m_record(kind, payload, version=1):
    return pad(struct.pack("<HHI", kind, version, len(payload)) + payload, 8)


def m_frame(flags, *records):
    payload = b"".join(records)
    head = struct.pack("<QQHHIQQQIIII", 0, 0, 1, flags, len(payload), 1, 0, 0, len(records), 0, 0, 0)
    return pad(head + payload, 4096)


MANIFESTS = {
    "empty": m_frame(1),
    "two": m_frame(1, m_record(7, bytes(16))) + m_frame(0, m_record(1, bytes(8)), m_record(64, b"abc")),
    "count_lies": m_frame(1)[:48] + b"\xff" + m_frame(1)[49:],
    "bytes_lie": m_frame(1, struct.pack("<HHI", 1, 1, 1 << 31)),
    "not_snapshot": m_frame(0),
}
for name, body in MANIFESTS.items():
    save("manifest", name, b"\1" + body)
    save("manifest", name + "_raw", b"\0" + body)
