"""Tensors of more axes than maps have: ops along some of their axes view them with fewer axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.plan.lowering.places import Places, joined, places_of
from sparsenet.plan.lowering.reduction import Reduction
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.layout import MAP_AXES, Maps, map_sizes
from sparsenet.targets.cuda.lower.axes import axis_strides
from sparsenet.targets.cuda.lower.relayout import plain, take, to_maps


def along_axis(builder: Builder, node: Node, run: Callable[[list[Value], Value, int], None]) -> None:
    """Let ``run(inputs, out, axis)`` make the node's output, where every axis can be walked along.

    Of more than four axes, those before the node's axis are one, and those behind it.
    """
    axis, inputs = attributes(node)["axis"], [builder.get(name) for name in node.inputs]
    if len(inputs[0].shape) <= MAP_AXES:
        run(inputs, builder.new_maps(node.output), axis)
        return
    seen = []
    for x in inputs:
        places = places_of(x.shape, axis_strides(x))
        parts = [places[:1], places[1:axis], places[axis : axis + 1], places[axis + 1 :]]
        seen.append(_taken(builder, x, list(map(joined, parts))))
    images, *shape = builder.shape(node.output)
    split = AxisSplit.of(shape, axis - 1)
    out = loose(builder, (images, split.outer, split.size, split.inner))
    run(seen, out, 2)
    to_maps(builder, node.output, plain(builder, out))


def kept_and_gone(builder: Builder, x: Value, reduction: Reduction) -> Value:
    """``x`` as (images, all other axes that are kept, those that are reduced)."""
    places = places_of(x.shape, axis_strides(x))
    images, *kept = (places[axis] for axis in reduction.kept)
    return _taken(builder, x, [images, joined(kept), joined([places[axis] for axis in reduction.reduced])])


def loose(builder: Builder, shape: tuple[int, ...]) -> Value:
    """A tensor of this layer alone, as maps without zeros between them."""
    return builder.temporary(shape, Maps(*map_sizes(shape[1:]), shape[0]))


def _taken(builder: Builder, x: Value, places: Sequence[Places]) -> Value:
    out = loose(builder, tuple(len(axis) for axis in places))
    take(builder, x, places, out)
    return out
