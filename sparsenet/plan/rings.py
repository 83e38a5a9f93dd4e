"""Double-mapped ring buffers, as a plan places them; ``targets.cpu.runtime.ring_memory`` maps them.

A ring of S bytes is mapped twice in a row, so what begins anywhere in its first copy goes on across the end without a
gap: kernels see rows at constant offsets, and no row is ever moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Mapped before and after a ring as well, for vectors that reach over its ends.
GUARD_BYTES = PAGE = 4096


@dataclass(frozen=True)
class Ring:
    """A ring in the arena's address space.

    Attributes:
        start: arena offset of its first copy; the second follows.
        size: bytes of a copy, a multiple of ``PAGE``.
        physical: where its memory begins; rings that are never alive together share memory.
    """

    start: int
    size: int
    physical: int


def arena_end(plain_bytes: int, rings: Sequence[Ring]) -> int:
    """The first arena offset behind everything."""
    return max([plain_bytes, *(ring.start + 2 * ring.size + GUARD_BYTES for ring in rings)])


def ring_memory_bytes(rings: Sequence[Ring]) -> int:
    """The memory behind all rings."""
    return max((ring.physical + ring.size for ring in rings), default=0)
