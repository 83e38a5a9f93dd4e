"""Ops that only take numbers as they are, in bytes: over quads where whole quads are moved, else in C order."""

from __future__ import annotations

from collections.abc import Callable

from sparsenet.graph import Node
from sparsenet.graph.ops import OPS, attributes
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.builder import Lowering
from sparsenet.targets.cpu.lower import concat, movement, pooling, reshape, resize


def _by_quads(possible: Callable[[Builder, Node], bool], lower: Lowering[Builder]) -> Lowering[Builder]:
    """``lower``, in C order unless it is ``possible`` in quads."""

    def lowered(builder: Builder, node: Node) -> None:
        with builder.computing(in_bytes=True, in_order=not possible(builder, node)):
            lower(builder, node)

    return lowered


def _never(builder: Builder, node: Node) -> bool:
    return False


def _is_map(builder: Builder, node: Node) -> bool:
    return builder.is_map(node.inputs[0]) and builder.is_map(node.output)


def _whole_quads(builder: Builder, node: Node) -> bool:
    """Whether a concatenation's operands, but for the last one, are maps of whole quads of channels."""
    *others, _ = node.inputs
    whole = all(builder.image_shape(name)[0] % QUAD == 0 for name in others)
    return builder.is_map(node.output) and whole and attributes(node)["axis"] == 1


def _quads_sliced(builder: Builder, node: Node) -> bool:
    """Whether a slice begins with a whole quad, or takes rows or columns."""
    attrs = attributes(node)
    if attrs["axis"] == 1:
        return _is_map(builder, node) and attrs["step"] == 1 and attrs["start"] % QUAD == 0
    return _is_map(builder, node) and attrs["step"] > 0


def _padded(builder: Builder, node: Node) -> bool:
    return _is_map(builder, node) and attributes(node)["mode"] == "constant"


LOWER = {
    **{op: _by_quads(_never, lower) for op, lower in movement.LOWER.items() if OPS[op].integer},
    "max_pool2d": pooling.lower_max_pool2d,
    "resize": resize.lower_resize,
    "concat": _by_quads(_whole_quads, concat.lower_concat),
    "slice": _by_quads(_quads_sliced, movement.lower_slice),
    "pad": _by_quads(_padded, movement.lower_pad),
    **{op: _by_quads(_never, lower) for op, lower in reshape.LOWER.items() if op in ("flatten", "reshape")},
    **{op: lower for op, lower in reshape.LOWER.items() if op in ("identity", "dropout")},
}
