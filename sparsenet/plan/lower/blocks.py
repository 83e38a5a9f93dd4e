"""Depth to space and back: channels that become blocks of pixels, pixels that become channels."""

from __future__ import annotations

from itertools import product

from sparsenet.graph import Node
from sparsenet.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.lower.tensors import take


def _block_channels(depth: int, r: int, s: int, depth_first: bool) -> list[list[list[int]]]:
    """``[c][i][j]``: the channel that holds pixel (i, j) of the blocks of channel c."""
    if depth_first:
        return [[[(i * s + j) * depth + c for j in range(s)] for i in range(r)] for c in range(depth)]
    return [[[(c * r + i) * s + j for j in range(s)] for i in range(r)] for c in range(depth)]


def lower_depth_to_space(builder: Builder, node: Node) -> None:
    """Channels, rows and columns of the output each have a table of where they stand in the input."""
    attrs = attributes(node)
    (r, s), (channels, height, width) = attrs["block"], builder.shape(node.inputs[0])
    image = height * width
    blocks = _block_channels(channels // (r * s), r, s, attrs["depth_first"])
    first = blocks[0]
    rows = [y * width + (first[i][0] - first[0][0]) * image for y, i in product(range(height), range(r))]
    columns = [x + (first[0][j] - first[0][0]) * image for x, j in product(range(width), range(s))]
    take(builder, node, [[block[0][0] * image for block in blocks], rows, columns])


def lower_space_to_depth(builder: Builder, node: Node) -> None:
    """As the way there: a channel of the output begins in the input where its pixel of the first block stands."""
    attrs = attributes(node)
    (r, s), (depth, height, width) = attrs["block"], builder.shape(node.inputs[0])
    starts = [0] * (depth * r * s)
    for c, block in enumerate(_block_channels(depth, r, s, attrs["depth_first"])):
        for i, j in product(range(r), range(s)):
            starts[block[i][j]] = (c * height + i) * width + j
    rows, columns = range(0, height * width, r * width), range(0, width, s)
    take(builder, node, [starts, rows, columns])


LOWER = {"depth_to_space": lower_depth_to_space, "space_to_depth": lower_space_to_depth}
