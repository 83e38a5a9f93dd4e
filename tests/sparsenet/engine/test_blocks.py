"""Depth to space and space to depth through the engine."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo
from tests.full import crossed, spread
from tests.sparsenet.against_reference import assert_engine_matches

RNG = np.random.default_rng(4)
#: Rows and columns of the small image: one, and columns below, at and above whole vectors.
SIZES = [(1, 1), (1, 7), (3, 1), (2, 8), (3, 16), (5, 17), (2, 31), (9, 10), (4, 40)]
BLOCKS = [(2, 2), (3, 3), (4, 4), (1, 2), (2, 1), (3, 2), (1, 5)]
#: There are seven blocks for each size: every eighth combination reaches all of them, and all sizes but one.
SIZES_AND_BLOCKS = spread([(size, block) for size in SIZES for block in BLOCKS], 8)


def convolved(op: str, channels: int, size: tuple[int, int], **attrs: object) -> Graph:
    """The op alone on the input, and between convolutions, which want rows with a halo of it."""
    block = attrs["block"]
    assert isinstance(block, list)
    area = block[0] * block[1]
    after = channels // area if op == "depth_to_space" else channels * area
    first = RNG.standard_normal((channels, channels, 1, 1)).astype(np.float32)
    second = RNG.standard_normal((3, after, 3, 3)).astype(np.float32)
    same = {"padding": [1, 1, 1, 1], "stride": [1, 1]}
    graph = Graph(
        "blocks",
        [TensorInfo("x", (None, channels, *size))],
        ["alone", "z"],
        [
            Node(op, "alone", ["x"], ["alone"], dict(attrs)),
            Node("conv2d", "first", ["x", "v"], ["a"], {"stride": [1, 1]}),
            Node(op, "moved", ["a"], ["b"], dict(attrs)),
            Node("conv2d", "second", ["b", "w"], ["z"], same),
        ],
        {"v": first, "w": second},
    )
    graph.verify()
    return graph


@pytest.mark.parametrize("size_and_block, depth_first", crossed(SIZES_AND_BLOCKS, [False, True]), ids=str)
def test_depth_to_space(size_and_block: tuple[tuple[int, int], tuple[int, int]], depth_first: bool) -> None:
    size, block = size_and_block
    channels = 3 * block[0] * block[1]
    attrs = {"block": list(block), "depth_first": depth_first}
    assert_engine_matches(convolved("depth_to_space", channels, size, **attrs))


@pytest.mark.parametrize("size_and_block, depth_first", crossed(SIZES_AND_BLOCKS, [False, True]), ids=str)
def test_space_to_depth(size_and_block: tuple[tuple[int, int], tuple[int, int]], depth_first: bool) -> None:
    size, block = size_and_block
    image = (size[0] * block[0], size[1] * block[1])
    attrs = {"block": list(block), "depth_first": depth_first}
    assert_engine_matches(convolved("space_to_depth", 3, image, **attrs))
