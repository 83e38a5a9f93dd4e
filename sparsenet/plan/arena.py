"""One block of memory for all intermediate tensors: buffers that are never alive together share addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 64


@dataclass
class Buffer:
    """A piece of the arena: its size in bytes and the first and last step that touch it."""

    size: int
    first: int
    last: int
    offset: int = 0


def place(buffers: Sequence[Buffer]) -> int:
    """Give every buffer an offset so that no two live ones overlap; returns the arena's size in bytes.

    Greedy by size (Pisarchyk and Lee, arXiv 2001.03288): largest first, each into the lowest gap left by those
    already placed that are alive with it.
    """
    # Of those placed, in order of their offsets: first and last step, offset, and the next aligned place behind it.
    placed = np.zeros((4, len(buffers)), np.int64)
    for count, buffer in enumerate(sorted(buffers, key=lambda b: (-b.size, b.first))):
        first, last, offsets, ends = placed[:, :count]
        alive = (first <= buffer.last) & (last >= buffer.first)
        starts = np.append(
            0, np.maximum.accumulate(ends[alive])
        )  # the gap in front of each one, and behind all
        fits = np.flatnonzero(starts[:-1] + buffer.size <= offsets[alive])
        buffer.offset = int(starts[fits[0] if len(fits) else -1])
        end = -(-(buffer.offset + buffer.size) // ALIGNMENT) * ALIGNMENT
        at = int(np.searchsorted(offsets, buffer.offset))
        placed[:, at + 1 : count + 1] = placed[:, at:count]
        placed[:, at] = buffer.first, buffer.last, buffer.offset, end
    return max((b.offset + b.size for b in buffers), default=0)
