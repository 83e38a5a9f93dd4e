"""Where values are stored during the trace: whole in a buffer of their own, or a few rows at a time in a window."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from sparsenet.errors import GraphError
from sparsenet.plan.arena import ALIGNMENT, Buffer, place
from sparsenet.plan.layout import Plain
from sparsenet.plan.ref import Ref
from sparsenet.plan.rings import GUARD_BYTES, PAGE, Ring
from sparsenet.plan.stage import Value

#: Rows beyond those alive, so that the live ones need not move back to the front for every new one.
SLACK_BYTES = 128 * 1024


def moment(segment: int, *, alone: bool = False) -> int:
    """The moment at which a segment runs: while threads share it or, a moment apart, while one thread runs it alone."""
    return 2 * segment + alone


@dataclass
class Memory:
    """All buffers and rings of a plan; lifetimes are counted in moments."""

    buffers: list[Buffer] = field(default_factory=list)
    rings: list[Buffer] = field(default_factory=list)

    def new_ring(self, size_bytes: int, moment: int) -> int:
        """Number of a new ring of ``size_bytes``, a multiple of ``PAGE``, for one moment."""
        self.rings.append(Buffer(size_bytes, moment, moment))
        return len(self.rings) - 1

    def arrange(self) -> tuple[int, list[Ring]]:
        """Place every buffer and ring; returns the bytes of plain memory, and the rings behind it."""
        plain = place(self.buffers)
        place(self.rings)
        start, rings = -(-plain // PAGE) * PAGE + ALIGNMENT * PAGE, []
        for ring in self.rings:
            rings.append(Ring(start + GUARD_BYTES, ring.size, ring.offset))
            start += 2 * GUARD_BYTES + 2 * ring.size
        return plain, rings

    def new(self, size_bytes: int, first: int, last: int, layer: str) -> int:
        """Number of a new buffer that lives from moment ``first`` to ``last``.

        Raises:
            GraphError: kernels reach any tap of a map by a 32-bit byte offset; this one is too large for that.
        """
        if size_bytes >= 2**31:
            raise GraphError(
                f"layer '{layer}' needs a buffer of {size_bytes:,} bytes; the limit is 2 GiB per image"
            )
        self.buffers.append(Buffer(size_bytes, first, last))
        return len(self.buffers) - 1


def ring_rows(row_bytes: int, rows: int) -> int:
    """The least number of rows, at least ``rows``, that fills whole pages."""
    step = PAGE // gcd(PAGE, row_bytes)
    return -(-rows // step) * step


@dataclass(eq=False)
class Rows:
    """A value stored by rows: in a buffer whose slot 0 holds row ``base``, or in a ring.

    Attributes:
        capacity: rows that fit; None while a first pass finds out how many are ever alive.
        done: rows below this one have been made.
        stop: rows from this one on will not be made.
        most: the most rows ever alive at once.
        sliding: whether it holds only some of the rows; otherwise all of them have a place.
        ring: whether ``buffer`` is the number of a ring.
    """

    value: Value
    buffer: int
    base: int
    done: int
    stop: int
    capacity: int | None = None
    most: int = 0
    sliding: bool = False
    ring: bool = False

    def at(self, y: int) -> Ref:
        """Address of row ``y``."""
        layout = self.value.layout
        assert not isinstance(layout, Plain)
        if self.ring:
            assert self.capacity is not None
            return Ref("ring", self.buffer, y % self.capacity * layout.row_bytes)
        return Ref("arena", self.buffer, layout.front_bytes + (y - self.base) * layout.row_bytes)

    def written_before(self, y: int) -> bool:
        """Whether row ``y`` of a ring is stored where an earlier row of this value was."""
        return self.ring and self.capacity is not None and y - self.base >= self.capacity
