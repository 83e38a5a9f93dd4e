"""Where values stand during the trace: whole in a home of their own, or a few rows at a time in a sliding window."""

from __future__ import annotations

from dataclasses import dataclass, field

from sparsenet.errors import GraphError
from sparsenet.plan.arena import Buffer
from sparsenet.plan.layout import Plain
from sparsenet.plan.stage import Ref, Value

#: Rows beyond those alive, so that the live ones need not move back to the front for every new one.
SLACK_BYTES = 128 * 1024


@dataclass
class Memory:
    """All arena buffers of a plan; lifetimes are counted in segments."""

    buffers: list[Buffer] = field(default_factory=list)

    def new(self, size_bytes: int, first: int, last: int, layer: str) -> int:
        """Number of a new buffer that lives from segment ``first`` to ``last``.

        Raises:
            GraphError: kernels reach any tap of a map by a 32-bit byte offset; this one is too large for that.
        """
        if size_bytes >= 2**31:
            raise GraphError(
                f"layer '{layer}' needs a buffer of {size_bytes:,} bytes; the limit is 2 GiB per image"
            )
        self.buffers.append(Buffer(size_bytes, first, last))
        return len(self.buffers) - 1


@dataclass(eq=False)
class Rows:
    """A value by rows in a buffer whose slot 0 holds row ``base``.

    Attributes:
        capacity: rows that fit; None while a first pass finds out how many are ever alive.
        done: rows below this one have been made.
        stop: rows from this one on will not be made.
        most: the most rows ever alive at once.
        sliding: whether it holds only some of the rows; otherwise all of them have a place.
    """

    value: Value
    buffer: int
    base: int
    done: int
    stop: int
    capacity: int | None = None
    most: int = 0
    sliding: bool = False

    def at(self, y: int) -> Ref:
        """Address of row ``y``."""
        layout = self.value.layout
        assert not isinstance(layout, Plain)
        return Ref("arena", self.buffer, layout.front_bytes + (y - self.base) * layout.row_bytes)
