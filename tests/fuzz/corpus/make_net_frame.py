#!/usr/bin/env python3
"""Seeds of net_frame_fuzz: operations that open, send, lose, acknowledge, close and attack."""
import os
import random
import struct

OUT = os.path.join(os.path.dirname(__file__), "net_frame")


def establish(peer=0, how=0, seq=70000):
    return bytes([0, peer, how]) + (b"" if how & 1 else struct.pack(">I", seq))


def segment(flags=0x18, seq=0, ack=0, window=65535, payload=0, options=b"", peer=0, shape=None, burst=False, op=8):
    shape = (2 if seq == 0 else 4) | (8 if ack == 0 else 0) | (16 if payload else 0) if shape is None else shape
    out = bytes([op | (0x80 if burst else 0), peer, shape, len(options) // 4, flags])
    out += struct.pack(">hhH", seq, ack, window)
    if shape & 16:
        out += struct.pack(">H", payload)
    return out + options


def app(what, peer=0, mode=0, rest=b""):
    return bytes([4, peer << 4 | what, mode]) + rest


def time(step):
    return bytes([6, step])


TS = bytes(12)
SEEDS = {
    "open": establish(),
    "data": establish() + segment(payload=100, options=TS, shape=0x3a) * 3,
    "data_plain": establish(how=2) + segment(payload=1400) * 5,
    "hole": establish(how=2) + segment(seq=2000, payload=500) + segment(seq=1000, payload=500) + segment(payload=1000),
    "send": establish(how=2) + app(2, rest=struct.pack(">H", 20000)) + segment(flags=0x10) * 4 + time(3) + time(4),
    "sack": establish(how=2) + app(2, rest=struct.pack(">H", 20000))
    + segment(flags=0x10, ack=-15000, options=struct.pack(">IHHHH", 0, 0xD000, 0, 0xE000, 0), shape=0x42) * 4 + time(3),
    "close": establish(how=2) + app(4) + segment(flags=0x10) + segment(flags=0x11) + time(5),
    "peer_closes": establish(how=2) + segment(flags=0x11) + app(4) + segment(flags=0x10) + time(4),
    "both_close": establish(how=2) + app(4) + segment(flags=0x11, ack=-1) + segment(flags=0x10) + time(5),
    "reset": establish(how=2) + segment(flags=0x04, shape=2) + establish(peer=0, how=2, seq=5),
    "blind_reset": establish(how=2) + segment(flags=0x04, seq=500, shape=4) * 3,
    "blind_syn": establish(how=2) + segment(flags=0x02, seq=500, shape=4) * 3,
    "pause": establish(how=2) + app(0) + segment(payload=1400) * 10 + app(1) + segment(payload=10),
    "zero_window": establish(how=2) + segment(flags=0x10, window=0) + app(2, rest=struct.pack(">H", 5000)) + time(4) * 4
    + segment(flags=0x10, window=5000),
    "connect": app(7, peer=1) + segment(flags=0x12, peer=1, shape=0) + time(4),
    "syn_flood": b"".join(segment(flags=0x02, seq=i, peer=i % 4, shape=0) for i in range(20)),
    "wrap": establish(how=3) + segment(payload=1400) * 4 + app(2, rest=struct.pack(">H", 3000)) + segment(flags=0x10),
    "icmp_mtu": establish(how=2) + app(2, rest=struct.pack(">H", 9000)) + bytes([3, 0]) + struct.pack(">hBBH", -1000, 3, 4, 1200)
    + bytes([3, 0]) + struct.pack(">hBBH", -1000, 2, 0, 1300) + segment(flags=0x10),
    "unreachable": establish(how=2) + app(2, rest=b"\0\x64") + bytes([3, 0]) + struct.pack(">hBBH", -100, 3, 3, 0) + time(4),
    "echo": bytes([2, 0x80, 16, 0, 0]) + bytes([8, 0, 0, 0]) + bytes(12),
    "echo6": bytes([2, 0x80, 16, 0, 0]) + bytes([128, 0, 0, 0]) + bytes(12),
    "ns": bytes([2, 0xC0, 32, 0, 0]) + bytes([135, 0, 0, 0, 0, 0, 0, 0]) + bytes.fromhex("fd" + "00" * 14 + "01")
    + bytes([1, 1, 2, 0, 0, 0, 0, 2]),
    "ra": bytes([2, 0xC0, 32, 0, 0]) + bytes([134, 0, 0, 0, 64, 0, 1, 0]) + bytes(8) + bytes([5, 1, 0, 0, 0, 0, 5, 0x14])
    + bytes([1, 1, 2, 0, 0, 0, 0, 2]),
    "mld": bytes([2, 0x80, 29, 0, 0]) + bytes([130]) + bytes(28),
    "ext": bytes([2, 6, 20, 1, 60]) + bytes([6, 0, 1, 4, 0, 0, 0, 0]) + bytes(20),
    "ext_chain": bytes([2, 6, 20, 3, 0]) + bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 2 + bytes([6, 0, 1, 4, 0, 0, 0, 0]) + bytes(20),
    "arp": bytes([1, 30]) + bytes.fromhex("0806000108000604000102000000000a0a00000a0000000000000a000001"),
    "vlan": bytes([1, 32]) + bytes.fromhex("81000000" + "0806000108000604000102000000000a0a00000a0000000000000a00"),
    "spoilt": establish(how=2) + segment(payload=100, op=7) + struct.pack(">HB", 30, 0x10) + segment(payload=10, op=7)
    + struct.pack(">HB", 47, 0xFF),
    "echo_app": establish(how=2) + app(9, mode=2) + segment(payload=1000) * 5 + segment(flags=0x10),
    "close_in_data": establish(how=2) + app(9, mode=3) + segment(payload=1000, burst=True) * 3 + time(4),
    "abort_in_data": establish(how=2) + app(9, mode=4) + segment(payload=1000, burst=True) * 3 + time(4),
    "keepalive": establish(how=2) + time(5) * 12,
    "two_peers": establish(0, 2) + establish(1, 2) + segment(payload=10, peer=1) + segment(payload=20) + app(5, peer=1) + time(3),
}

os.makedirs(OUT, exist_ok=True)
for name, ops in SEEDS.items():
    for how in (0, 1):
        with open(os.path.join(OUT, f"{name}_{4 if how == 0 else 6}"), "wb") as f:
            f.write(bytes([how]) + ops)
rand = random.Random(1)
for i in range(12):
    ops = b"".join(rand.choice(list(SEEDS.values())) for _ in range(6))
    with open(os.path.join(OUT, f"mix_{i}"), "wb") as f:
        f.write(bytes([rand.randrange(32)]) + ops)
