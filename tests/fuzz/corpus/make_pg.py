#!/usr/bin/env python3
"""Writes the seed corpus of pg_fuzz: sessions as real clients make them, and near misses."""
import os
import struct

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pg")


def startup(version=196608, **pairs):
    body = struct.pack(">i", version)
    for k, v in pairs.items():
        body += k.encode() + b"\0" + v.encode() + b"\0"
    body += b"\0"
    return struct.pack(">i", len(body) + 4) + body


def m(kind, body=b""):
    return kind.encode() + struct.pack(">i", len(body) + 4) + body


def q(text):
    return m("Q", text.encode() + b"\0")


def parse(name, text, oids=()):
    return m("P", name + b"\0" + text + b"\0" + struct.pack(">h", len(oids))
             + b"".join(struct.pack(">i", o) for o in oids))


def bind(portal, name, values=(), fin=(), fout=()):
    body = portal + b"\0" + name + b"\0" + struct.pack(">h", len(fin))
    body += b"".join(struct.pack(">h", f) for f in fin) + struct.pack(">h", len(values))
    for v in values:
        body += struct.pack(">i", -1) if v is None else struct.pack(">i", len(v)) + v
    body += struct.pack(">h", len(fout)) + b"".join(struct.pack(">h", f) for f in fout)
    return m("B", body)


def execute(portal, rows=0):
    return m("E", portal + b"\0" + struct.pack(">i", rows))


S = startup(user="millrace", database="millrace")
SYNC, X = m("S"), m("X")
SEEDS = {
    "startup": S + X,
    "ssl_gss": struct.pack(">iiii", 8, 80877103, 8, 80877104) + S + X,
    "cancel": struct.pack(">iiii", 16, 80877102, 1, 2),
    "options": startup(user="millrace", options="-c DateStyle=ISO --TimeZone=UTC", _pq_="x") + X,
    "minor": startup(196610, user="millrace") + q("select 1"),
    "old": startup(131072, user="millrace"),
    "wrong_user": startup(user="joe"),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "simple": S + q("select 1, 'a', null; select * from generate_series(1, 3)") + q("") + X,
    "error": S + q("select 1/0; select 2") + q("selec") + X,
    "block": S + q("begin") + q("select 1/0") + q("select 1") + q("rollback") + X,
    "settings": S + q("set application_name = 'x'") + q("show TimeZone") + X,
    "libpq": S + parse(b"", b"select $1::int4, $2", (23, 0)) + bind(b"", b"", (b"4", None), (), (0,))
    + m("D", b"P\0") + execute(b"") + SYNC + X,
    "named": S + parse(b"s", b"select $1::int8") + m("D", b"Ss\0") + m("H")
    + bind(b"c", b"s", (b"\0\0\0\0\0\0\0\1",), (1,), (1,)) + execute(b"c", 1) + execute(b"c")
    + m("C", b"Pc\0") + m("C", b"Ss\0") + SYNC + X,
    "suspend": S + q("begin") + parse(b"s", b"select * from generate_series(1, 9)")
    + bind(b"a", b"s") + bind(b"b", b"s") + execute(b"a", 2) + execute(b"b", 3) + SYNC
    + execute(b"a", 2) + SYNC + q("commit") + X,
    "skip": S + parse(b"", b"select 1/0") + bind(b"", b"") + execute(b"") + SYNC + q("select 1"),
    "copy": S + m("d", b"x") + m("c") + m("f", b"x\0") + q("select 1") + X,
    "function": S + m("F", b"\0\0\0\1\0\0\0\0\0\0") + X,
    "short_length": S + b"Q\0\0\0\3",
    "long_length": S + b"Q\x7f\xff\xff\xff",
    "unknown_type": S + m("y", b"abc"),
    "bad_bodies": S + m("P", b"x") + SYNC + m("B", b"\0\0\xff\xff") + SYNC + m("D", b"Z\0") + SYNC
    + m("E", b"\0") + SYNC + m("C") + SYNC,
    "counts": S + parse(b"s", b"select $1::int4") + bind(b"", b"s", (b"1", b"2")) + SYNC
    + bind(b"", b"s", (b"1",), (0, 0, 0)) + SYNC + bind(b"", b"s", (b"1",), (), (0, 0, 1)) + SYNC,
    "password": S + m("p", b"secret\0"),
    "utf8": S + q("select 'x'").replace(b"x'", b"\xff'"),
    "empty": b"",
}

os.makedirs(OUT, exist_ok=True)
for name, data in SEEDS.items():
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
