"""Stages: the typed calls of a plan, each with the rows that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparsenet.targets.c99.constant import Constant, Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.value import Value


@dataclass(frozen=True, eq=False)
class Read:
    """The rows of a value that one unit of a stage reads, as windows slide: so many, from ``unit * step + first`` on.

    Attributes:
        value: what is read.
        rows, step, first, dilation: of the window; rows outside of the map are absent.
        table: the rows of each unit, ``rows`` of them, where they do not slide; in flash as uint16.
        whole: the stage reads all of it, and is given its first row.
    """

    value: Value
    rows: int = 1
    step: int = 1
    first: int = 0
    dilation: int = 1
    table: Constant | None = None
    whole: bool = False

    @property
    def source(self) -> Value:
        """Whose rows they are: of a view read as a whole, those of the value behind it."""
        return self.value.root if self.whole else self.value

    def span(self, unit: int) -> tuple[int, int]:
        """First and last row (excluded) that must have been made, of the value behind a view all."""
        if self.whole or self.value.viewed is not None:
            return 0, self.value.root.height
        if self.table is not None:
            rows = self.table.flat[unit * self.rows : (unit + 1) * self.rows]
            return int(rows.min()), int(rows.max()) + 1
        low = unit * self.step + self.first
        end = low + (self.rows - 1) * self.dilation + 1
        return max(0, low), min(end, self.value.height)


@dataclass(eq=False)
class Stage:
    """Makes ``out``, one unit per call: a row of it, or all of it in as many units as there are.

    Attributes:
        layer: the node it belongs to.
        kernel, arguments: what is called, and what does not change from call to call.
        reads: what it reads, in the order in which the kernel is given the rows.
        by_rows: whether a unit is a row of ``out``.
        scratch: memory that it needs for itself; the kernel is given it behind the rows.
        input: which of the caller's arrays it takes; None for all other stages.
    """

    layer: str
    out: Value
    kernel: Kernel
    arguments: Mapping[str, Word]
    reads: list[Read]
    units: int
    by_rows: bool = True
    scratch: Value | None = None
    input: int | None = field(default=None, kw_only=True)

    def unit_of(self, row: int) -> int:
        """The unit after which this row of ``out`` exists."""
        return row if self.by_rows else self.units - 1

    @property
    def pointers(self) -> list[Read]:
        """All that the kernel is given pointers to: what it reads, and its scratch memory."""
        return [*self.reads, *([Read(self.scratch, whole=True)] if self.scratch is not None else [])]
