#!/usr/bin/env python3
"""Writes the corpus of run_fuzz: footers, and places to change in a good file."""
import os
import struct

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")


def block(at, size, raw, first, last, flags, groups=1):
    return struct.pack("<QIIQIBBB", at, size, raw, 7, groups, first, last, flags)


def footer(*blocks):
    return b"\0" + struct.pack("<I", len(blocks)) + b"".join(blocks)


seeds = {
    "footer_empty": footer(),
    "footer_one": footer(block(64, 10, 10, 0, 255, 0)),
    "footer_zstd": footer(block(64, 10, 90, 0, 3, 1)),
    "footer_many": footer(*(block(64 + i * 10, 10, 10, i, i, 0) for i in range(40))),
    "footer_backwards": footer(block(64, 10, 10, 9, 9, 0), block(74, 10, 10, 8, 8, 0)),
    "footer_outside": footer(block(1 << 40, 10, 10, 0, 0, 0)),
    "footer_huge": footer(block(64, 10, 0xFFFFFFFF, 0, 0, 1)),
    "footer_lies": b"\0" + struct.pack("<I", 0x7FFFFFFF) + b"\0" * 31,
    "change_nothing": b"\1",
    "change_head": b"\1" + struct.pack("<HB", 16, 9),
    "change_block": b"\1" + struct.pack("<HB", 70, 9),
    "change_footer": b"\1" + struct.pack("<HB", 190, 9) + struct.pack("<HB", 200, 255),
}
os.makedirs(here, exist_ok=True)
for name, data in seeds.items():
    with open(os.path.join(here, name), "wb") as f:
        f.write(data)
