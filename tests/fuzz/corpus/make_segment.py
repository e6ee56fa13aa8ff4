"""Writes the seeds of segment_fuzz: a block of each form, and a footer."""
import struct, pathlib

out = pathlib.Path(__file__).parent / "segment"
out.mkdir(exist_ok=True)
BOOL, INT4, INT8, FLOAT8, NUMERIC, TEXT, UUID = 1, 3, 4, 6, 7, 8, 9


def block(name, type, rows, body, nulls=b"", dict=False):
    head = struct.pack("<BH", (type - 1) | (0x40 if dict else 0x80), rows - 1)
    (out / name).write_bytes(head + bytes([1 if nulls else 0]) + nulls + body)


const = b"\x01" + struct.pack("<q", 1)
packed = b"\x02" + struct.pack("<qB", 100, 3) + bytes(3)
block("const", INT8, 8, const)
block("bool", BOOL, 8, const)
block("packed", INT4, 8, packed)
block("nulls", INT4, 8, packed, b"\x0f" + bytes(7))
block("delta", INT8, 9, b"\x03" + struct.pack("<q", 5) + packed)
block("runs", INT8, 16, b"\x04" + struct.pack("<I", 2) + const + b"\x01" + struct.pack("<q", 8))
block("raw", INT8, 2, b"\x05" + struct.pack("<qq", -1, 1 << 62))
block("decimal", FLOAT8, 8, b"\x12\x02" + packed)
block("fixed", FLOAT8, 2, b"\x11" + bytes(16))
block("scaled", NUMERIC, 8, b"\x13\x03" + packed)
block("uuid", UUID, 5, b"\x10" + bytes(16))
block("strings", TEXT, 3, b"\x21" + const + b"abc")
block("codes", TEXT, 8, b"\x20\x02" + struct.pack("<qB", 0, 3) + bytes(3), dict=True)
place = struct.pack("<QIIQBI", 4096, 9, 9, 0, 0, 0)
section = struct.pack("<III", 1, 1, 8) + struct.pack("<QBBBI", 1, INT8, 0, 0, 0) + place
(out / "footer").write_bytes(b"\0" + section + struct.pack("<II", 0, 0))
bounds = struct.pack("<QIIQBI", 4096, 9, 9, 0, 6, 0) + bytes(32)
section = struct.pack("<III", 1, 1, 8) + struct.pack("<QBBBI", 1, INT8, 0, 0, 0) + bounds
(out / "footer_bounds").write_bytes(b"\0" + section + section)
