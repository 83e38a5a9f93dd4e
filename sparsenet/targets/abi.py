"""How kernels are called: one row of int64 numbers and a table of base addresses.

Every kernel has the machine-level signature ``void (int64 args, int64 bases)``. ``args`` is the address of its row on
the tape, which says exactly what to compute: the planner shares work between threads. A pointer on the
tape is a base number and a byte offset in one int64, so the tape holds no address: it can be saved, and concurrent runs
share one tape and one copy of the weights, each with a base table of its own.
"""

from __future__ import annotations

import struct

from sparsenet.graph.types import I64

#: Base numbers: weights, the arena, then the graph's inputs and outputs in order.
WEIGHTS, ARENA, FIRST_TENSOR = 0, 1, 2
BASE_SHIFT = 48
OFFSET_MASK = (1 << BASE_SHIFT) - 1
#: Inputs and outputs that a pointer in a signed int64 can name.
MAX_TENSORS = (1 << 63 - BASE_SHIFT) - FIRST_TENSOR

#: int64 numbers per tape row: the kernel's address, then its arguments.
ROW_WORDS = 32
WORD_BYTES = I64.itemsize
ROW_BYTES = ROW_WORDS * WORD_BYTES


def encode_pointer(base: int, offset: int) -> int:
    """Pack a base number and a byte offset."""
    if not 0 <= offset <= OFFSET_MASK:
        raise ValueError(f"offset {offset} outside the {BASE_SHIFT}-bit range")
    return base << BASE_SHIFT | offset


def encode_float(value: float) -> int:
    """The bits of a float32 as a tape word."""
    return int(struct.unpack("<i", struct.pack("<f", value))[0])
