"""Stages of one kernel call over plain tensors, and the tables of strides such kernels read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sparsenet.graph import Node
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.plan.ref import Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class PlainCall(Stage):
    """A stage of one kernel call that reads plain tensors, by the names of its arguments, and makes another."""

    sources: dict[str, Value]
    kernel: Kernel
    arguments: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(value, 0, 1) for value in self.sources.values()]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        sources = {name: to.whole(value) for name, value in self.sources.items()}
        to.call(self.kernel, **sources, out=to.whole(self.out), **self.arguments)


def plain_call(
    builder: Builder,
    node: Node,
    kernel: Kernel,
    sources: Mapping[str, str],
    arguments: dict[str, Word],
    result: str | None = None,
) -> None:
    """Add the stage that makes ``result`` (else the node's output) from the tensors in ``sources``."""
    values = {name: builder.plain(tensor) for name, tensor in sources.items()}
    builder.decide(node, "none", kernel)
    builder.add(PlainCall(node.name, builder.new_plain(result or node.output), 1, values, kernel, arguments))


def stride_tables(
    builder: Builder, operands: Iterable[str], shape: Sequence[int], strides: Sequence[Sequence[int]]
) -> dict[str, Word]:
    """The arguments that tell a kernel the strides of its ``operands`` over axes of these sizes."""
    tables: dict[str, Word] = {"rank": len(shape), "shape": builder.table(shape)}
    return tables | {
        f"{name}_strides": builder.table(steps) for name, steps in zip(operands, strides, strict=True)
    }


def along_axis(builder: Builder, tensor: str, axis: int) -> dict[str, Word]:
    """The arguments that tell a kernel how lines along ``axis`` are laid out in ``tensor``."""
    split = AxisSplit.of(builder.shape(tensor), axis)
    return {"outer": split.outer, "axis": split.size, "inner": split.inner}
