"""Pooling over the edges that its kernels tell apart: borders, lines of one vector and of many, strides, NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsenet import Engine, Graph, reference
from tests.full import at_each_length, chosen
from tests.sparsenet.against_reference import assert_engine_matches
from tests.sparsenet.one_node import one_node_graph


def pool(op: str, height: int, width: int, **attrs: Any) -> Graph:
    return one_node_graph(op, {"x": (1, 3, height, width)}, None, attrs)


WINDOWS: dict[str, dict[str, list[int]]] = {
    "3x3_s2_p1": {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1, 1, 1]},
    "3x3_s2_after": {"kernel": [3, 3], "stride": [2, 2], "padding": [0, 0, 1, 1]},
    "2x2_s2": {"kernel": [2, 2], "stride": [2, 2]},
    "3x3_s1_p1": {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1]},
    "5x5_s1_p2": {"kernel": [5, 5], "stride": [1, 1], "padding": [2, 2, 2, 2]},
    "2x3_s2x1": {"kernel": [2, 3], "stride": [2, 1], "padding": [1, 2, 0, 0]},
}


@pytest.mark.parametrize("lanes, window", at_each_length(list(WINDOWS)), indirect=["lanes"])
def test_max_pool_at_every_line_length(lanes: int, window: str) -> None:
    for width in chosen((7, 10 * lanes + 3), (7, 2 * lanes + 1, 10 * lanes + 3)):
        assert_engine_matches(pool("max_pool2d", 7, width, **WINDOWS[window]))


@pytest.mark.parametrize(
    "lanes, window", at_each_length(["3x3_s2_p1", "2x2_s2", "5x5_s1_p2"]), indirect=["lanes"]
)
def test_max_pool_keeps_nan_and_infinity(lanes: int, window: str) -> None:
    graph = pool("max_pool2d", 9, 10 * lanes + 3, **WINDOWS[window])
    x = np.random.default_rng(3).standard_normal((1, 3, 9, 10 * lanes + 3)).astype(np.float32)
    flat = x.reshape(-1)
    flat[::29], flat[5::31], flat[7::37] = np.nan, -np.inf, -np.nan
    engine = Engine(graph)
    np.testing.assert_array_equal(engine(x), reference.run(graph, {"x": x})["y"])
    engine.close()


def test_a_window_wholly_in_the_padding_is_minus_infinity() -> None:
    graph = pool("max_pool2d", 3, 3, kernel=[2, 2], padding=[1, 1, 1, 1], dilation=[4, 4], stride=[1, 1])
    engine = Engine(graph)
    np.testing.assert_array_equal(engine(np.zeros((1, 3, 3, 3), np.float32)), np.full((1, 3, 1, 1), -np.inf))
    engine.close()


@pytest.mark.parametrize("size", [(1, 5), (7, 7), (4, 50)], ids=str)
def test_global_avg_pool_of_whole_and_partial_blocks_of_channels(lanes: int, size: tuple[int, int]) -> None:
    for channels in (1, 8, 21):
        assert_engine_matches(one_node_graph("global_avg_pool2d", {"x": (1, channels, *size)}))
