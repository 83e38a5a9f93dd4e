"""Tensors of more axes than maps have: what goes along some of their axes sees them as fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.layout import Maps, map_sizes
from sparsenet.targets.cuda.lower.movement import plain, to_maps
from sparsenet.targets.cuda.lower.rearrange import Places, joined, places_of, take

#: Axes that maps have.
MAP_AXES = 4


def along_axis(builder: Builder, node: Node, run: Callable[[list[Value], Value, int], None]) -> None:
    """Let ``run(inputs, out, axis)`` make the node's output, where every axis can be walked along.

    Of more than four axes, those before the node's axis are one, and those behind it.
    """
    axis, inputs = attributes(node)["axis"], [builder.get(name) for name in node.inputs]
    if len(inputs[0].shape) <= MAP_AXES:
        run(inputs, builder.new(node.output), axis)
        return
    seen = []
    for x in inputs:
        images, *places = places_of(x)
        seen.append(
            _taken(builder, x, [images, joined(places[: axis - 1]), places[axis - 1], joined(places[axis:])])
        )
    shape = builder.shape(node.output)
    out = loose(builder, (shape[0], prod(shape[1:axis]), shape[axis], prod(shape[axis + 1 :])))
    run(seen, out, 2)
    to_maps(builder, node.output, plain(builder, out))


def kept_and_gone(builder: Builder, x: Value, axes: Sequence[int]) -> Value:
    """``x`` as (images, all axes that are not in ``axes``, those in it)."""
    images, *places = places_of(x)
    kept = [where for axis, where in enumerate(places, 1) if axis not in axes]
    return _taken(builder, x, [images, joined(kept), joined([places[axis - 1] for axis in axes])])


def loose(builder: Builder, shape: tuple[int, ...]) -> Value:
    """A tensor of this layer alone, as maps without zeros between them."""
    return builder.temporary(shape, Maps(*map_sizes(shape[1:]), shape[0]))


def _taken(builder: Builder, x: Value, places: Places) -> Value:
    out = loose(builder, tuple(len(axis) for axis in places))
    take(builder, x, places, out)
    return out
