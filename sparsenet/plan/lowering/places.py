"""Ops that only take elements to other places: of every axis of the output, where its elements are in the input.

Places are offsets in the input, to be added over the axes of the output; they begin as those of the input's own axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.graph.ops.sizes import Attrs

Places = npt.NDArray[np.int64]


def places_of(shape: Sequence[int], strides: Sequence[int]) -> list[Places]:
    """Places of the axes of a tensor of this shape and these strides."""
    return [stride * np.arange(size, dtype=np.int64) for size, stride in zip(shape, strides, strict=True)]


def joined(places: Sequence[Places]) -> Places:
    """Places of these axes as one axis, the last one fastest."""
    whole = np.zeros(1, np.int64)
    for axis in places:
        whole = np.add.outer(whole, axis).reshape(-1)
    return whole


def repeated(places: Places, size: int) -> Places:
    """Places of an axis that is broadcast to ``size``."""
    return places if len(places) == size else places.repeat(size)


def evenly_spaced(places: Sequence[Places]) -> tuple[int, list[int]] | None:
    """Where the first element is, and the stride of every axis; None if the elements of some axis have no stride."""
    if any(np.ptp(np.diff(axis)) for axis in places if len(axis) > 2):
        return None
    strides = [int(axis[1] - axis[0]) if len(axis) > 1 else 0 for axis in places]
    return sum(int(axis[0]) for axis in places), strides


class Blocks(NamedTuple):
    """How blocks of ``rows`` x ``columns`` pixels of ``depth`` channels become the channels of one pixel.

    Element (i, j) of a block of channel c becomes channel ``c * channel + i * down + j * across``.
    """

    rows: int
    columns: int
    depth: int
    channel: int
    down: int
    across: int

    @classmethod
    def of(cls, node: Node, depth: int) -> Blocks:
        """The blocks of a ``depth_to_space`` or ``space_to_depth`` node; the map with blocks has ``depth`` channels."""
        attrs = attributes(node)
        rows, columns = attrs["block"]
        strides = (1, columns * depth, depth) if attrs["depth_first"] else (rows * columns, columns, 1)
        return cls(rows, columns, depth, *strides)


class _Op(NamedTuple):
    """A node, its attributes and the shape of its output."""

    node: Node
    attrs: Attrs
    target: Sequence[int]


def rearranged(node: Node, places: Sequence[Places], target: Sequence[int]) -> list[Places]:
    """Places of the output's axes of an op in ``REARRANGE``.

    Args:
        node: the op.
        places: of the axes of its first input.
        target: shape of its output.
    """
    return REARRANGE[node.op](_Op(node, attributes(node), target), list(places))


def _transpose(op: _Op, places: list[Places]) -> list[Places]:
    return [places[axis] for axis in op.attrs["perm"]]


def _slice(op: _Op, places: list[Places]) -> list[Places]:
    picked = op.attrs["start"] + op.attrs["step"] * np.arange(op.attrs["count"])
    places[op.attrs["axis"]] = places[op.attrs["axis"]][picked]
    return places


def _gather(op: _Op, places: list[Places]) -> list[Places]:
    places[op.attrs["axis"]] = places[op.attrs["axis"]][np.asarray(op.attrs["indices"])]
    return places


def _expand(op: _Op, places: list[Places]) -> list[Places]:
    return [repeated(axis, size) for axis, size in zip(places, op.target, strict=True)]


def _pad(op: _Op, places: list[Places]) -> list[Places]:
    """Places for a mirrored or repeated border; a constant border has no place in the input."""
    top, left, bottom, right = op.attrs["padding"]
    images, channels, rows, columns = places
    rows = np.pad(rows, (top, bottom), mode=op.attrs["mode"])
    return [images, channels, rows, np.pad(columns, (left, right), mode=op.attrs["mode"])]


def _depth_to_space(op: _Op, places: list[Places]) -> list[Places]:
    blocks = Blocks.of(op.node, op.target[1])
    images, channels, rows, columns = places
    depth = channels[:: blocks.channel][: blocks.depth]
    down = channels[:: blocks.down][: blocks.rows]
    across = channels[:: blocks.across][: blocks.columns]
    return [images, depth, joined([rows, down]), joined([columns, across])]


def _space_to_depth(op: _Op, places: list[Places]) -> list[Places]:
    images, channels, rows, columns = places
    blocks = Blocks.of(op.node, len(channels))
    parts = [
        (blocks.channel, channels),
        (blocks.down, rows[: blocks.rows]),
        (blocks.across, columns[: blocks.columns]),
    ]
    # The channel that is counted with the largest stride is the outermost.
    slowest_first = [part for _, part in sorted(parts, key=lambda part: -part[0])]
    return [images, joined(slowest_first), rows[:: blocks.rows], columns[:: blocks.columns]]


REARRANGE: dict[str, Callable[[_Op, list[Places]], list[Places]]] = {
    "transpose": _transpose,
    "slice": _slice,
    "gather": _gather,
    "expand": _expand,
    "pad": _pad,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
}
