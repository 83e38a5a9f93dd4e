"""One block of memory for all intermediate tensors: buffers that are never alive together share addresses."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 64
#: The most buffers that are placed by size; networks have some hundred.
MOST_BY_SIZE = 1024


@dataclass
class Buffer:
    """A piece of memory: its size, the first and last step that touch it, and the offset that it is given.

    Sizes and offsets are in bytes in the arena of a CPU, in floats in the memory of a GPU.
    """

    size: int
    first: int
    last: int
    offset: int = 0


def place(buffers: Sequence[Buffer]) -> int:
    """Give every buffer an offset so that no two live ones overlap; returns the arena's size in bytes.

    The ``MOST_BY_SIZE`` largest are placed by size, which needs the least memory but looks at every pair of them; those
    beyond are placed behind these, in the order of time.
    """
    ordered = sorted(buffers, key=lambda b: (-b.size, b.first))
    end = _by_size(ordered[:MOST_BY_SIZE])
    return max(end, _by_time(ordered[MOST_BY_SIZE:], -(-end // ALIGNMENT) * ALIGNMENT))


def _by_size(buffers: Sequence[Buffer]) -> int:
    """Place buffers greedily by size (Pisarchyk and Lee, arXiv 2001.03288): each, the largest first, in the lowest gap
    left by those already placed that are alive with it; returns the end of the last.
    """
    # Of those placed, in order of their offsets: first and last step, offset, and the next aligned place behind it.
    placed = np.zeros((4, len(buffers)), np.int64)
    for count, buffer in enumerate(buffers):
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


def _by_time(buffers: Sequence[Buffer], start: int) -> int:
    """Place each buffer, when it comes alive, in the smallest block that a dead one has left, or behind all others;
    returns the end of the last.
    """
    alive: list[tuple[int, int, int]] = []  # heap: last step, size of its block, offset
    free: list[tuple[int, int]] = []  # sorted: size, offset
    end = start
    for buffer in sorted(buffers, key=lambda b: (b.first, -b.size)):
        while alive and alive[0][0] < buffer.first:
            _, size, offset = heapq.heappop(alive)
            bisect.insort(free, (size, offset))
        at = bisect.bisect_left(free, (buffer.size, 0))
        if at < len(free):
            size, buffer.offset = free.pop(at)
        else:
            size, buffer.offset = -(-buffer.size // ALIGNMENT) * ALIGNMENT, end
            end += size
        heapq.heappush(alive, (buffer.last, size, buffer.offset))
    return max((b.offset + b.size for b in buffers), default=0)
