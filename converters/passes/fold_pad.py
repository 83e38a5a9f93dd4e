"""Explicit zero padding moves into the window op behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import attributes

Attrs = dict[str, Any]


def fold_pad(graph: Graph) -> Graph:
    """Fold a ``pad`` with value 0 into the ``conv2d`` and ``avg_pool2d`` nodes that read it.

    Exact for conv2d, whose own padding is zeros too. Exact for avg_pool2d when the divisor stays the same: it counted
    the padding (or had none of its own, and from now on counts it), no window is dropped by ``ceil_mode``, and the
    padding stays below the kernel size as the op demands. A max pool pads with -inf, so nothing is folded there.
    """
    wiring = Rewiring(graph)
    for node in wiring.nodes(*_FOLDED):
        pad = wiring.producer(node.inputs[0])
        while pad is not None and pad.op == "pad" and _with_zeros(pad) and _fold(pad, node):
            wiring.read(node, [pad.inputs[0], *node.inputs[1:]])
            pad = wiring.producer(node.inputs[0])
    return eliminate_dead(wiring.done())


def _with_zeros(pad: Node) -> bool:
    attrs = attributes(pad)
    return bool(attrs["mode"] == "constant" and attrs["value"] == 0)


def _fold(pad: Node, node: Node) -> bool:
    attrs = attributes(node)
    total = [a + b for a, b in zip(attributes(pad)["padding"], attrs["padding"], strict=True)]
    changed = _FOLDED[node.op](attrs, total)
    node.attrs |= changed
    return bool(changed)


def _convolution(_attrs: Attrs, total: list[int]) -> Attrs:
    return {"padding": total}


def _average(attrs: Attrs, total: list[int]) -> Attrs:
    kernel_h, kernel_w = attrs["kernel"]
    fits = max(total[0], total[2]) < kernel_h and max(total[1], total[3]) < kernel_w
    counted = attrs["count_include_pad"] or not any(attrs["padding"])
    if attrs["ceil_mode"] or not fits or not counted:
        return {}
    return {"padding": total, "count_include_pad": True}


#: Op -> f(its attributes, the padding of both): the attributes that change, none where padding cannot be folded.
_FOLDED: dict[str, Callable[[Attrs, list[int]], Attrs]] = {"conv2d": _convolution, "avg_pool2d": _average}
