"""Activations, scaling by channel and sums that follow no other layer."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.graph.ops import ACTIVATIONS, split_inputs
from sparsenet.plan.lowering.epilogue import FusedStep, as_fused_step, fused_steps
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.lower.epilogues import as_arguments


def lower_one(builder: Builder, node: Node) -> None:
    """A function of one tensor: a copy with one fused op, and those behind it."""
    _copy(builder, node, [as_fused_step(builder.graph, node), *fused_steps(builder.graph, node)])


def lower_add(builder: Builder, node: Node) -> None:
    """A sum of two tensors of one shape: a copy of the first to which the second is added."""
    added = split_inputs(node)[0][1]
    _copy(builder, node, [FusedStep("add", tensors=(added,)), *fused_steps(builder.graph, node)])


def _copy(builder: Builder, node: Node, steps: list[FusedStep]) -> None:
    epilogue = as_arguments(builder, steps)
    out = builder.new(node.output)
    kernel = builder.copy(
        out, builder.any(node.inputs[0]), epilogue.ops, epilogue.reads, **epilogue.arguments
    )
    builder.choose(node, "none", kernel)


LOWER = {**dict.fromkeys((*ACTIVATIONS, "affine", "batch_norm"), lower_one), "add": lower_add}
