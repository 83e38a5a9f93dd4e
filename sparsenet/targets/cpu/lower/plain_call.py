"""Stages of one kernel call over plain tensors, and the tables of strides such kernels read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from sparsenet.graph import Node
from sparsenet.plan.builder import Builder
from sparsenet.plan.stage import Emitter, Need, Ref, Span, Stage, Value, Word
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class PlainCall(Stage):
    """One kernel call from plain tensors, by the names of its arguments, to another."""

    sources: dict[str, Value]
    kernel: Kernel
    arguments: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(value, 0, 1) for value in self.sources.values()]

    def emit(self, to: Emitter, first: int, last: int, lots: Span) -> None:
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


def stored_shape(builder: Builder, tensor: str) -> tuple[int, ...]:
    """Shape of one image; a constant's own, as it has no batch."""
    constant = builder.graph.constants.get(tensor)
    return builder.image_shape(tensor) if constant is None else constant.shape


def strides_over(shape: Sequence[int], target: Sequence[int]) -> list[int]:
    """Strides in floats of ``shape``, in C order, over the axes of ``target``; 0 where it is repeated.

    A constant of full rank has one more axis, the batch, of size 1.
    """
    shape = shape[max(0, len(shape) - len(target)) :]
    strides = [0] * len(target)
    for axis in range(1, len(shape) + 1):
        strides[-axis] = 0 if shape[-axis] == 1 else prod(shape[len(shape) - axis + 1 :])
    return strides


def table(builder: Builder, numbers: Sequence[int]) -> Ref:
    """int32 numbers as a kernel reads them."""
    return builder.constant(np.asarray(numbers, np.int32))
