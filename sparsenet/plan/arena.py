"""One block of memory for all intermediate tensors: buffers that are never alive together share addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass
class Buffer:
    """A piece of the arena: its size in bytes and the first and last step that touch it."""

    size: int
    first: int
    last: int
    offset: int = 0

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are alive in some step."""
        return self.first <= other.last and other.first <= self.last


def place(buffers: Sequence[Buffer]) -> int:
    """Give every buffer an offset so that no two live ones overlap; returns the arena's size in bytes.

    Greedy by size (Pisarchyk and Lee, arXiv 2001.03288): largest first, each into the lowest gap left by those
    already placed that are alive with it.
    """
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        offset = 0
        for other in sorted((b for b in placed if b.overlaps(buffer)), key=lambda b: b.offset):
            if offset + buffer.size <= other.offset:
                break
            offset = max(offset, -(-(other.offset + other.size) // ALIGNMENT) * ALIGNMENT)
        buffer.offset = offset
        placed.append(buffer)
    return max((b.offset + b.size for b in placed), default=0)
