"""Ops element by element: activations, affine, add, subtract, multiply."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.graph.ops import ACTIVATIONS, split_inputs
from sparsenet.plan.lowering.epilogue import FusedStep, as_fused_step
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.lower.broadcast import lower_broadcast
from sparsenet.targets.cuda.lower.epilogues import epilogue_of


def copy(builder: Builder, node: Node, x: Value, first: FusedStep) -> None:
    """Append a launch that copies ``x`` and runs fused ops on it: ``out = epilogue(first(x))``."""
    out = builder.new_maps(node.output)
    epilogue = epilogue_of(builder, node, out, first)
    kernel = builder.kernel("copy_none_maps", (), epilogue.ops, lanes=4)
    builder.decide(node, "none", kernel)
    builder.over_output(kernel, out, epilogue, x=x)


def lower_fused_step(builder: Builder, node: Node) -> None:
    """Lower an activation, affine or batch normalization as one fused op behind a copy."""
    copy(builder, node, builder.get(node.inputs[0]), as_fused_step(builder.graph, node))


def lower_add(builder: Builder, node: Node) -> None:
    """Lower an addition as a copy with a residual where both have one layout, else as any broadcast."""
    a, b = split_inputs(node)[0]
    x, residual = builder.get(a), builder.get(b)
    if x.layout is None or x.layout != residual.layout or x.shape != residual.shape:
        lower_broadcast(builder, node)
        return
    copy(builder, node, x, FusedStep("add", tensors=(b,)))


LOWER = {
    **dict.fromkeys([*ACTIVATIONS, "affine", "batch_norm"], lower_fused_step),
    "add": lower_add,
    **dict.fromkeys(["sub", "mul"], lower_broadcast),
}
