"""Depthwise convolutions over the edges that their kernel tells apart: line length, stride, where the padding is."""

from __future__ import annotations

import numpy as np
import pytest

from sparsenet import Graph
from tests.full import at_each_length, crossed
from tests.sparsenet.against_reference import assert_engine_matches
from tests.sparsenet.one_node import one_node_graph


def depthwise(
    height: int,
    width: int,
    kernel: int,
    stride: int,
    padding: list[int],
    dilation: int = 1,
    multiplier: int = 1,
) -> Graph:
    rng = np.random.default_rng(width)
    weight = rng.standard_normal((3 * multiplier, 1, kernel, kernel)).astype(np.float32)
    bias = rng.standard_normal(3 * multiplier).astype(np.float32)
    attrs = {"stride": [stride] * 2, "padding": padding, "dilation": [dilation] * 2, "groups": 3}
    return one_node_graph("conv2d", {"x": (1, 3, height, width)}, {"w": weight, "b": bias}, attrs)


@pytest.mark.parametrize("lanes, stride", at_each_length([1, 2]), indirect=["lanes"])
def test_lines_of_one_vector_and_of_many(lanes: int, stride: int) -> None:
    for width in (stride * lanes - 2, stride * lanes, stride * lanes + 1, 5 * stride * lanes + 3):
        assert_engine_matches(depthwise(9, width, 3, stride, [1, 1, 1, 1]))


PADDINGS = [[0, 0, 0, 0], [0, 0, 1, 1], [2, 2, 0, 0], [0, 2, 0, 2]]


@pytest.mark.parametrize(
    "lanes, case", at_each_length(crossed(PADDINGS, [1, 2])), indirect=["lanes"], ids=str
)
def test_padding_need_not_be_alike_on_both_sides(lanes: int, case: tuple[list[int], int]) -> None:
    padding, stride = case
    assert_engine_matches(depthwise(8, 2 * lanes + 1, 3, stride, padding))


@pytest.mark.parametrize(
    "lanes, case", at_each_length(crossed([1, 2, 9, 5], [1, 2])), indirect=["lanes"], ids=str
)
def test_other_windows(lanes: int, case: tuple[int, int]) -> None:
    kernel, stride = case
    before = (kernel - 1) // 2
    padding = [before, before, kernel // 2, kernel // 2]
    assert_engine_matches(depthwise(10, 23, kernel, stride, padding))


def test_windows_that_are_not_adjacent_and_steps_of_three() -> None:
    assert_engine_matches(depthwise(13, 40, 3, 1, [2, 2, 2, 2], dilation=2))
    assert_engine_matches(depthwise(13, 40, 3, 3, [1, 1, 1, 1]))


def test_several_outputs_per_input_channel() -> None:
    assert_engine_matches(depthwise(7, 18, 3, 1, [1, 1, 1, 1], multiplier=3))
