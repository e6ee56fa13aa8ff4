#!/usr/bin/env python3
"""Writes the seeds of json_fuzz and value_fuzz beside this file."""
import os

here = os.path.dirname(os.path.abspath(__file__))
DOCUMENTS = [
    '{}', '{"i8":1}', '{"text":"a\\u00e9\\ud83d\\ude00\\n"}', '{"n":12.345,"bare":1e-5}',
    '{"b":true,"i2":-1,"i4":"42","f4":0.1,"f8":1e300}', '{"tstz":"2026-11-21T03:04:05.678Z"}',
    '{"ts":1700000000123.5,"date":"2026-11-21"}', '{"bytea":"\\\\xdead"}',
    '{"uuid":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}', '{"x":{"y":[1,{"z":[]}]},"text":[1, 2]}',
    '{"text":"\u20ac\U0001f600","text":null}', ' {"i8" : 9223372036854775808 } ',
    '[[[[[[[[{"a":1}]]]]]]]]', '{"bare":"NaN","f8":"-Infinity","b":null}',
    '{"te\\u0078t":"escaped name","i4":5.000}', '{"a":"unterminated',
]
# The type is 1 + first byte % 14; 0x80 and up: numeric(12,2) where it is a numeric.
VALUES = [
    (0, 't'), (1, '-32768'), (2, '2147483647'), (3, '-9223372036854775808'), (4, '3.4e38'),
    (5, '1.7976931348623157e308'), (6, '-12345678901234567890.12345'), (132, '9999999999.99'),
    (7, 'text \u20ac'), (8, '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'), (9, '2026-11-21'),
    (9, '0044-03-15 BC'), (10, '2026-11-21 03:04:05.678901'), (11, '2026-11-21T03:04:05+05:30'),
    (11, '294246-12-31 23:59:59.999999Z'), (12, '\\xdeadbeef'), (12, 'a\\\\b\\001'),
    (13, '1 year 2 mons -3 days 04:05:06.7'), (13, 'P1Y2M3DT4H5M6.7S'), (13, '-1.5 hours ago'),
]
BINARY = [
    (6, '0003000100000002' '0001' '0929' '1a2c'), (6, '00000000c0000000'), (9, '00002655'),
    (11, '0002ee5a5ee3c000'), (13, '0000000000000001' '00000002' '00000003'), (3, '00' * 8),
]


def write(folder, number, data):
    os.makedirs(os.path.join(here, folder), exist_ok=True)
    with open(os.path.join(here, folder, f'seed-{number:02d}'), 'wb') as f:
        f.write(data)


for i, text in enumerate(DOCUMENTS):
    write('json', i, text.encode())
for i, (kind, text) in enumerate(VALUES):
    write('value', i, bytes([kind]) + text.encode())
for i, (kind, text) in enumerate(BINARY):
    write('value', len(VALUES) + i, bytes([kind]) + bytes.fromhex(text))
