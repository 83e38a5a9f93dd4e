"""Activations, scaling by channel and sums that follow no other layer."""

from __future__ import annotations

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.ops import ACTIVATIONS, split_inputs
from sparsenet.plan.lowering.epilogue import FusedStep, as_fused_step, fused_steps
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.lower import broadcast
from sparsenet.targets.c99.lower.epilogues import as_arguments


def alike(graph: Graph, shapes: dict[str, Shape], node: Node) -> bool:
    """Whether it is a sum of two tensors that are computed, of one shape."""
    a, b = split_inputs(node)[0]
    return node.op == "add" and shapes[a] == shapes[b] and not {a, b} & graph.constants.keys()


def fits_rows(graph: Graph, shapes: dict[str, Shape], node: Node) -> bool:
    """Whether a sum, difference or product is made row by row."""
    return alike(graph, shapes, node) or broadcast.fits_rows(graph, shapes, node)


def lower_one(builder: Builder, node: Node) -> None:
    """A function of one tensor: a copy with one fused op, and those behind it."""
    _copy(builder, node, [as_fused_step(builder.graph, node), *fused_steps(builder.graph, node)])


def lower_two(builder: Builder, node: Node) -> None:
    """A sum of two tensors of one shape is a copy of the first to which the second is added; all else is broadcast."""
    if alike(builder.graph, builder.shapes, node):
        added = split_inputs(node)[0][1]
        _copy(builder, node, [FusedStep("add", tensors=(added,)), *fused_steps(builder.graph, node)])
    else:
        broadcast.lower(builder, node)


def _copy(builder: Builder, node: Node, steps: list[FusedStep]) -> None:
    out = builder.new(node.output)
    epilogue = as_arguments(builder, steps, out.shape[0])
    kernel = builder.copy(
        out, builder.any(node.inputs[0]), epilogue.ops, epilogue.reads, **epilogue.arguments
    )
    builder.choose(node, "none", kernel)


LOWER = {
    **dict.fromkeys((*ACTIVATIONS, "affine", "batch_norm"), lower_one),
    **dict.fromkeys(("add", "sub", "mul"), lower_two),
}
