"""Values and the stages that make them: what the planner traces.

A *value* is a tensor in one memory layout. A *stage* makes one value, a few rows at a time, and can say which rows of
its inputs those rows need. A stage knows kernels and packed weights, but neither addresses nor order: the trace gives
it both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sparsenet.plan.layout import Flattened, FlattenedStrideToDepth, Layout, Plain, Rows
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.weights import Weights
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class Value:
    """A tensor in one layout.

    Attributes:
        tensor: its name in the graph.
        layout: how it is laid out in memory.
        fixed: where it is stored, if that is not the arena (graph inputs, outputs, constants).
        zero: the element that stands for 0; the halo, gaps and all that is no pixel hold it.
        producer: the stage that makes it; None for what exists before an inference.
        viewed: the value whose memory it shares, if it is a reshaped view of one.
    """

    tensor: str
    layout: Layout
    fixed: Ref | None = None
    zero: int = 0
    producer: Stage | None = None
    viewed: Value | None = None

    def view(self, tensor: str, layout: Plain) -> Value:
        """The same memory under another name and shape."""
        return Value(tensor, layout, viewed=self.root)

    @property
    def root(self) -> Value:
        """The value whose memory this is."""
        return self.viewed or self

    @property
    def by_rows(self) -> bool:
        """Whether this value can be made and read row by row; otherwise it exists as a whole or not at all."""
        return not isinstance(self.layout, Plain | Flattened | FlattenedStrideToDepth)

    @property
    def rows(self) -> Rows:
        """The layout of this value, where it is known to be rows."""
        assert isinstance(self.layout, Rows)
        return self.layout

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole value."""
        if isinstance(self.layout, Plain):
            return self.layout.size_bytes
        if isinstance(self.layout, Flattened | FlattenedStrideToDepth):
            return self.layout.buffer_bytes(self.layout.height)
        return (self.layout.top + self.layout.height + self.layout.bottom) * self.layout.row_bytes


#: A call that makes fewer bytes of rows than this costs more to plan and to begin than to run.
LEAST_CALL_BYTES = 4096

Span = tuple[int, int]
Need = tuple[Value, int, int]


class Emitter(Protocol):
    """Where a stage writes its kernel calls."""

    def call(self, kernel: Kernel, **arguments: Word) -> None:
        """Append a kernel call; every argument must be given (the epilogue's as ``scale.1``), none beside them."""

    def row(self, value: Value, y: int) -> Ref:
        """Where row ``y`` of a value by rows is stored now."""

    def whole(self, value: Value) -> Ref:
        """Where element 0 of a plain value is stored."""

    def begun(self, stage: Stage) -> bool:
        """Whether this thread has already done some units of ``stage``."""


@dataclass(eq=False)
class Stage(ABC):
    """Makes one value, ``out``. Work is counted in *units*: rows of ``out``, or of the input where ``out`` is plain.

    Attributes:
        layer: name of the node it belongs to.
        out: the value it makes.
        units: how much work there is.
        row_block: units that are best done in one call.
        channel_blocks: blocks of output channels that can be done apart, 1 if they cannot.
        channelwise: a block of its output channels reads only the same block of its first input's channels.
        weight_bytes: packed weights it streams for every unit.
        as_line: it writes a flattened map as one line, zeros between its pixels included.
        exact: it writes not a byte beside its output, and may so write into the caller's array.
        sums_units: its plain output is a sum over units, so threads that share them each make a partial one.
    """

    layer: str
    out: Value
    units: int
    row_block: int = field(default=1, kw_only=True)
    channel_blocks: int = field(default=1, kw_only=True)
    channelwise: bool = field(default=False, kw_only=True)
    weight_bytes: int = field(default=0, kw_only=True)
    as_line: bool = field(default=False, kw_only=True)
    sums_units: bool = field(default=False, kw_only=True)
    exact: bool = field(default=False, kw_only=True)

    @property
    def streamed_rows(self) -> int:
        """Units of one call while rows stream by: ``row_block``, and of short rows several of them."""
        if self.sums_units:  # its units are rows of the input
            return self.row_block
        bytes_of_block = self.row_block * self.out.size_bytes // self.units
        return self.row_block * max(1, LEAST_CALL_BYTES // max(1, bytes_of_block))

    @abstractmethod
    def needs(self, first: int, last: int) -> Sequence[Need]:
        """Rows ``(value, first, last)`` of every input that units ``first`` to ``last`` read, halo rows included.

        Plain inputs are needed whole: ``(value, 0, 1)``.
        """

    def pack(self, weights: Weights, shares: Sequence[Span]) -> None:  # noqa: B027 - most have nothing to do
        """Pack what depends on who makes which output channels: ``shares`` are the blocks made by one thread each.

        It is called once, before anything is emitted; all other weights are packed when the stage is made.
        """

    def channels_of(self, blocks: Span) -> Span:
        """The output channels of these blocks."""
        return blocks

    @abstractmethod
    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        """Write the kernel calls of units ``first`` to ``last`` for the given blocks of output channels."""
