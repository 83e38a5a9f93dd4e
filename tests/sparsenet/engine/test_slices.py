"""Slices of maps that lie as rows: of every axis, in every step, for windows to read and for the caller."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Graph, Node, TensorInfo
from tests.sparsenet.against_reference import assert_engine_matches

RNG = np.random.default_rng(6)


@pytest.mark.parametrize("size", [(6, 9), (7, 40), (5, 17), (30, 33)], ids=str)
@pytest.mark.parametrize(
    "axis, start, count, step",
    [(1, 1, 2, 1), (1, 3, 2, -2), (2, 1, 3, 1), (2, 4, 3, -2), (2, 0, 2, 3), (3, 1, 4, 1), (3, 0, 2, 2), (3, 2, 2, 3),
     (3, 8, 4, -2), (2, 2, 1, 1), (3, 4, 1, 1), (3, 0, 3, 2)],
)  # fmt: skip
def test_between_convolutions(size: tuple[int, int], axis: int, start: int, count: int, step: int) -> None:
    attrs = {"axis": axis, "start": start, "count": count, "step": step}
    after = count if axis == 1 else 5
    first = RNG.standard_normal((5, 4, 1, 1)).astype(np.float32)
    second = RNG.standard_normal((3, after, 3, 3)).astype(np.float32)
    graph = Graph(
        "cut",
        [TensorInfo("x", (None, 4, *size))],
        ["z", "b"],
        [
            Node("conv2d", "first", ["x", "v"], ["a"], {"stride": [1, 1]}),
            Node("slice", "cut", ["a"], ["b"], attrs),
            Node("conv2d", "second", ["b", "w"], ["z"], {"padding": [1, 1, 1, 1], "stride": [1, 1]}),
        ],
        {"v": first, "w": second},
    )
    graph.verify()
    for threads in (1, 2):
        assert_engine_matches(graph, threads=threads)
