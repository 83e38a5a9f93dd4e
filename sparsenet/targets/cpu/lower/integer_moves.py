"""Ops that only take numbers as they are, in integers: over quads where whole quads are moved, else in float32.

Numbers on a grid lose nothing on the way through float32; others are rounded when they have been moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sparsenet.graph import Node
from sparsenet.graph.ops import OPS, attributes
from sparsenet.graph.ops.table import value_inputs
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.builder import Lowering
from sparsenet.targets.cpu.lower import concat, movement, pooling, reshape, resize


def _if(possible: Callable[[Builder, Node], bool], lower: Lowering[Builder]) -> Lowering[Builder]:
    """``lower``, in float32 unless it is ``possible`` in bytes."""

    def lowered(builder: Builder, node: Node) -> None:
        if possible(builder, node):
            lower(builder, node)
        else:
            _in_float(builder, node, lower)

    return lowered


def _in_float(builder: Builder, node: Node, lower: Lowering[Builder]) -> None:
    if builder.rounded.issuperset(value_inputs(node)):
        with builder.computing(in_bytes=False):
            lower(builder, node)
        return
    result, is_map = f"{node.output}//before rounding", builder.is_map(node.output)
    builder.shapes[result] = builder.shapes[node.output]
    with builder.computing(in_bytes=False):
        lower(builder, replace(node, outputs=[result]))
        source = builder.any(result) if is_map else builder.bounded(result)
    out = builder.new_rows(node.output) if is_map else builder.new_plain(node.output)
    builder.cast(node.output, source, out)


def _never(builder: Builder, node: Node) -> bool:
    return False


def _is_map(builder: Builder, node: Node) -> bool:
    return builder.is_map(node.inputs[0]) and builder.is_map(node.output)


def _whole_quads(builder: Builder, node: Node) -> bool:
    """Whether a concatenation's operands, but for the last one, have whole quads of channels; or are no maps."""
    if not builder.is_map(node.output):
        return True
    *others, _ = node.inputs
    whole = all(builder.image_shape(name)[0] % QUAD == 0 for name in others)
    return whole and attributes(node)["axis"] == 1


def _quads_sliced(builder: Builder, node: Node) -> bool:
    """Whether a slice begins with a whole quad, or takes rows or columns."""
    attrs = attributes(node)
    if attrs["axis"] == 1:
        return _is_map(builder, node) and attrs["step"] == 1 and attrs["start"] % QUAD == 0
    return _is_map(builder, node) and attrs["step"] > 0


def _order_kept(builder: Builder, node: Node) -> bool:
    """Whether both tensors are in C order: bytes of maps are not."""
    return not builder.is_map(node.inputs[0]) and not builder.is_map(node.output)


LOWER = {
    **{op: _if(_never, lower) for op, lower in movement.LOWER.items() if OPS[op].integer},
    "max_pool2d": _if(_is_map, pooling.lower_max_pool2d),
    "resize": _if(_is_map, resize.lower_resize),
    "concat": _if(_whole_quads, concat.lower_concat),
    "slice": _if(_quads_sliced, movement.lower_slice),
    **{op: _if(_order_kept, lower) for op, lower in reshape.LOWER.items() if op in ("flatten", "reshape")},
    **{op: lower for op, lower in reshape.LOWER.items() if op in ("identity", "dropout")},
}
