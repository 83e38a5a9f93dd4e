"""Arithmetic, comparison and choice of tensors of any shapes that broadcast."""

from __future__ import annotations

from collections.abc import Mapping

from sparsenet.graph import Node
from sparsenet.graph.ops import split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.axes import broadcast_strides, contiguous_strides, merge_axes
from sparsenet.plan.ref import Word
from sparsenet.targets.cpu.lower.plain_call import plain_call, stride_tables
from sparsenet.targets.registry import BROADCAST_OPERATIONS


def lower_broadcast(builder: Builder, node: Node, result: str | None = None) -> None:
    """Combine two operands of any shapes that broadcast; ``result``: the tensor before the epilogue, if one follows."""
    kernel = builder.kernel("broadcast_none_flat", (BROADCAST_OPERATIONS.index(node.op),))
    operands = dict(zip("xy", split_inputs(node)[0], strict=True))
    plain_call(builder, node, kernel, operands, _strides(builder, node, operands), result)


def lower_where(builder: Builder, node: Node) -> None:
    """Choose between two operands by a third, of any shapes that broadcast."""
    operands = dict(zip(("condition", "x", "y"), node.inputs, strict=True))
    plain_call(builder, node, builder.kernel("where_none_flat"), operands, _strides(builder, node, operands))


def _strides(builder: Builder, node: Node, operands: Mapping[str, str]) -> dict[str, Word]:
    """The arguments that tell a kernel how its operands, by their names there, are repeated over the output."""
    target, strides = builder.shape(node.output), []
    for tensor in operands.values():
        shape = builder.shape(tensor)
        strides.append(broadcast_strides(shape, contiguous_strides(shape), target))
    return stride_tables(builder, operands, *merge_axes(target, *strides))


#: Sums, differences and products are lowered by ``elementwise``.
LOWER = {
    **dict.fromkeys(BROADCAST_OPERATIONS[3:], lower_broadcast),
    "where": lower_where,
}
