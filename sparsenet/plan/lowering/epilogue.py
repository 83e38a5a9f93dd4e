"""The fused operations of a node, and what they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sparsenet.graph import FloatArray, Graph, Node
from sparsenet.graph.batch_norm import as_affine
from sparsenet.graph.ops import ACTIVATIONS, FUSED_OP_TENSORS, as_step, attributes, split_inputs


class FusedStep(NamedTuple):
    """One operation on every element of a result, before it is stored.

    Attributes:
        op: the fused op: an activation, ``affine`` or ``add``.
        numbers: parameters of an activation.
        vectors: constants per channel, float32 (C,) each, as ``graph.ops.FUSED_OP_TENSORS`` has them: scale and shift.
        tensors: names of the activations of the result's shape that it reads: what is added.
    """

    op: str
    numbers: tuple[float, ...] = ()
    vectors: tuple[FloatArray, ...] = ()
    tensors: tuple[str, ...] = ()


def fused_steps(graph: Graph, node: Node) -> list[FusedStep]:
    """The epilogue of ``node``, in the order of execution."""
    names = iter(split_inputs(node)[1])
    return [
        _step(graph, op, numbers, [next(names) for _ in FUSED_OP_TENSORS.get(op, ())])
        for op, *numbers in node.epilogue
    ]


def _step(graph: Graph, op: str, numbers: list[float], names: list[str]) -> FusedStep:
    read = list(zip(names, FUSED_OP_TENSORS.get(op, ()), strict=True))
    vectors = tuple(graph.constants[name] for name, tensor in read if tensor.per_channel)
    return FusedStep(
        op, tuple(numbers), vectors, tuple(name for name, tensor in read if not tensor.per_channel)
    )


def as_fused_step(graph: Graph, node: Node) -> FusedStep:
    """An activation, affine or batch normalization as one fused step behind a copy of its first input."""
    if node.op in ACTIVATIONS:
        op, *numbers = as_step(node)
        return FusedStep(op, tuple(numbers))
    vectors = [graph.constants[name] for name in split_inputs(node)[0][1:]]
    return FusedStep("affine", vectors=_SCALE_AND_SHIFT[node.op](vectors, attributes(node)))


#: Op that scales and shifts each channel -> its constants and attributes as scale and shift, (C,) each.
_SCALE_AND_SHIFT: dict[str, Callable[[Sequence[FloatArray], Mapping[str, Any]], tuple[FloatArray, ...]]] = {
    "affine": lambda vectors, _attrs: tuple(vectors),
    "batch_norm": lambda vectors, attrs: as_affine(vectors, attrs["eps"]),
}
