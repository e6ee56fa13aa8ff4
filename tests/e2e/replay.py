"""A recording for net_pcap to replay, and what must be answered to it. Usage: replay.py IN PORT"""
import struct
import sys

OURS, PEER = bytes.fromhex("027063617000"), bytes.fromhex("020000000001")
ADDRESS, PEER_ADDRESS = bytes((10, 77, 0, 2)), bytes((10, 77, 0, 1))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(protocol, payload):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    head += PEER_ADDRESS + ADDRESS
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    return OURS + PEER + b"\x08\0" + head + payload


def tcp(source, port, seq, ack, flags):
    s = struct.pack(">HHIIBBHHH", source, port, seq, ack, 0x50, flags, 65535, 0, 0)
    pseudo = PEER_ADDRESS + ADDRESS + struct.pack(">HH", 6, len(s))
    return ip(6, s[:16] + struct.pack(">H", checksum(pseudo + s)) + s[18:])


def echo():
    body = struct.pack(">BBHHH", 8, 0, 0, 7, 1) + b"millrace"
    return ip(1, body[:2] + struct.pack(">H", checksum(body)) + body[4:])


def main():
    port = int(sys.argv[2])
    arp = b"\xff" * 6 + PEER + struct.pack(">HHHBBH", 0x806, 1, 0x800, 6, 4, 1) + \
        PEER + PEER_ADDRESS + bytes(6) + ADDRESS
    frames = [arp, echo(), tcp(1000, port, 5, 0, 2), tcp(1001, port, 5, 9, 16), tcp(1002, 1, 5, 0, 2)]
    with open(sys.argv[1], "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            frame += bytes(max(0, 60 - len(frame)))
            f.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


main()
