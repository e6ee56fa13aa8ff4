#!/usr/bin/env python3
"""Writes the seeds of kafka_fuzz, batch_fuzz and zip_fuzz from the captured requests of tests/wire.

Requests become inputs of kafka_fuzz; the record batches of kcat's Produce requests, one of each
codec, become inputs of batch_fuzz, and what is compressed in them of zip_fuzz. Run by hand.
"""
import glob, gzip, os

here = os.path.dirname(os.path.abspath(__file__))


def requests(path):
    out = []
    for line in open(path):
        if line.startswith("> "):
            out.append(bytes.fromhex(line[2:]))
        elif line.startswith("+ "):
            out[-1] += bytes.fromhex(line[2:])
    return out


def save(target, name, data):
    folder = os.path.join(here, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def framed(frames):
    return b"".join(len(f).to_bytes(2, "big") + f for f in frames)


def batch_of(r):
    """The record batch of a Produce request below version 9 with one topic and one partition."""
    at = 8
    at += 2 + int.from_bytes(r[at:at + 2], "big")          # clientId
    at += 2 + 2 + 4 + 4                                    # transactionalId: null
    at += 2 + int.from_bytes(r[at:at + 2], "big") + 4 + 4  # topic
    n = int.from_bytes(r[at:at + 4], "big")
    return r[at + 4:at + 4 + n]


for path in sorted(glob.glob(os.path.join(here, "..", "wire", "*.hex"))):
    name = os.path.basename(path)[:-4]
    frames = [f for f in requests(path) if len(f) < 2000]
    if "-" not in name:  # by api: one of each version is enough
        frames = list({f[:4]: f for f in reversed(frames)}.values())
        for i in range(0, len(frames), 4):
            save("kafka", "%s-%d" % (name, i), bytes([i % 16]) + framed(frames[i:i + 4]))
    else:
        save("kafka", name, b"\x00" + framed(frames)[:6000])

codecs = {}
for r in requests(os.path.join(here, "..", "wire", "kcat-1.7.1.hex")):
    if r[:4] == b"\x00\x00\x00\x07":
        b = batch_of(r)
        codecs[b[22] & 7] = b
for codec, b in codecs.items():
    save("batch", "codec-%d" % codec, b)
    save("zip", "codec-%d" % codec, bytes([codec, 16]) + b[61:])
save("batch", "two", codecs[0] + codecs[0])
save("zip", "gzip-members", bytes([1, 16]) + gzip.compress(b"a" * 500) + gzip.compress(b"b"))
save("zip", "snappy-xerial", bytes([2, 16]) + b"\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0\0\7\x05\x10hello")
save("zip", "zstd-bomb", bytes([4, 4]) + bytes.fromhex("28b52ffd00580300ff") + b"\x61" * 8)
