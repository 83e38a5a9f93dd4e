"""Numbers that break things, and changes to bytes that know no structure."""

from __future__ import annotations

import struct
from random import Random

SMALL = (-1, 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 100)
LARGE = (
    127, 128, 255, 256, 257, 1000, 4096, 32767, 32768, 65535, 65536, 10**6, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 1,
    2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 10**30, -2, -3, -128, -(2**31), -(2**31) - 1, -(2**63),
)  # fmt: skip
FLOATS = (0.0, -0.0, 0.5, -1.0, 6.0, 1e-45, 1e-30, 1e30, 3.4e38, 1e39, 1e300, -1e300, 0.1)


def integer(random: Random, near: int = 0) -> int:
    """A small number, a neighbour of ``near``, or a boundary of some integer type."""
    kind = random.random()
    if kind < 0.5:
        return random.choice(SMALL)
    return near + random.choice((-2, -1, 1, 2)) if kind < 0.75 else random.choice(LARGE)


def change_bytes(data: bytes, random: Random) -> bytes:
    """One change without regard to structure: bits, bytes, words, pieces cut out, doubled or moved."""
    raw = bytearray(data)
    if not raw:
        return random.randbytes(random.randrange(1, 40))
    kind, at = random.randrange(8), random.randrange(len(raw))
    length = random.choice((1, 2, 4, 8, 16, random.randrange(1, len(raw) + 1)))
    if kind == 0:
        raw[at] ^= 1 << random.randrange(8)
    elif kind == 1:
        raw[at] = random.choice((0, 1, 0x20, 0x22, 0x2D, 0x30, 0x39, 0x5B, 0x7B, 0x7F, 0x80, 0xFF))
    elif kind == 2:
        del raw[at : at + length]
    elif kind == 3:
        raw[at:at] = raw[at : at + length]
    elif kind == 4:
        raw[at : at + length] = random.randbytes(len(raw[at : at + length]))
    elif kind == 5:
        other = random.randrange(len(raw))
        raw[at : at + length] = raw[other : other + length]
    elif kind == 6:
        code = random.choice("<bB<hH<iI<qQ<fd".replace("<", ""))
        value = random.choice(FLOATS) if code in "fd" else integer(random)
        try:
            word = struct.pack(f"<{code}", value)
        except (struct.error, OverflowError):
            word = b"\xff" * struct.calcsize(code)
        raw[at : at + len(word)] = word
    else:
        del raw[at:]
    return bytes(raw)
