#!/usr/bin/env python3
"""Writes corpus/tcp: handshakes, transfers, holes, closes and resets as scripts of tcp_fuzz.c."""
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tcp")
SYN, ACK, FIN, RST = 2, 16, 1, 4
FLUSH = bytes([7])


def syn(peer=0):
    # No connection is open yet, so that pick() reads nothing.
    return bytes([0, peer, SYN, 32 | 8, 200, 0, 0, 9]) + (1460).to_bytes(2, "big") + FLUSH


def first_ack(peer=0):
    return bytes([0, peer, ACK, 8, 200, 1, 1, 9]) + FLUSH


def data(size, seq=1, ack=0, flags=ACK, options=1 | 2 | 8):
    return bytes([0, 0, flags, options, size, 0, seq, ack, 10])


OPEN = syn() + first_ack()
user = lambda what, *args: bytes([4, 0, what, *args])
wait = lambda a, b: bytes([6, a, b])

SEEDS = {
    "open": OPEN,
    "in_order": OPEN + data(50) * 4 + FLUSH,
    "hole": OPEN + data(40, seq=7) + FLUSH + data(40, seq=11) + FLUSH + data(90) + FLUSH,
    "send": OPEN + user(0, 40, 0) + FLUSH + data(0, ack=3) + FLUSH + wait(200, 20),
    "sack": OPEN + user(0, 80, 0) + FLUSH
    + bytes([0, 0, ACK, 1 | 8 | 16, 255, 0, 1, 0, 11, 6, 10, 14, 18]) * 4 + FLUSH,
    "passive_close": OPEN + data(3, flags=ACK | FIN) + FLUSH + user(4) + FLUSH + wait(50, 50),
    "active_close": OPEN + user(4) + FLUSH + wait(255, 255),
    "reset": OPEN + data(0, flags=RST) + FLUSH,
    "abort": OPEN + data(20) + user(5) + FLUSH,
    "pause": OPEN + user(1) + data(200) * 9 + FLUSH + user(2) + FLUSH,
    "half_close": OPEN + user(3) + FLUSH + data(30) + FLUSH + data(0, flags=ACK | FIN) + FLUSH,
    "no_frames": OPEN + user(15) + user(0, 9, 9) + FLUSH + wait(100, 100) + user(7) + FLUSH,
    "icmp": OPEN + user(0, 99, 0) + FLUSH + bytes([5, 0, 3, 0, 1]) + FLUSH,
    "silence": OPEN + user(0, 1, 0) + FLUSH + wait(255, 255) * 6,
    "shut": OPEN + user(0, 90, 0) + FLUSH + data(0, options=1 | 4 | 8) + FLUSH + wait(255, 99),
    "raw": bytes([3, 20]) + bytes(range(20)) + bytes([3, 60]) + bytes(range(60)),
    "flood": b"".join(syn(p) for p in range(4)) * 12,
}

os.makedirs(HERE, exist_ok=True)
for how in range(4):
    for name, script in SEEDS.items():
        if how and name not in ("in_order", "hole", "send", "active_close"):
            continue
        with open(os.path.join(HERE, f"{name}_{how}"), "wb") as f:
            f.write(bytes([[0, 1, 2, 12][how]]) + script)
