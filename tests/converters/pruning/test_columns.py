"""Layers as matrix products: what windows and rows make together is what the reference computes."""

from __future__ import annotations

import numpy as np
import pytest

from converters.pruning.columns import Columns
from sparsenet.graph import FloatArray, Node
from sparsenet.reference.conv2d import conv2d

ATTRS = {"stride": [2, 1], "padding": [1, 0, 2, 1], "dilation": [1, 2], "groups": 2}


def layer(rng: np.random.Generator) -> tuple[Columns, FloatArray, FloatArray]:
    weight = rng.standard_normal((6, 5, 3, 2), np.float32)
    x = rng.standard_normal((3, 10, 9, 8), np.float32)
    return Columns.of(Node("conv2d", "conv", ["x", "w"], ["y"], ATTRS), weight), weight, x


def test_rows_times_windows_is_the_convolution() -> None:
    columns, weight, x = layer(np.random.default_rng(0))
    made = np.concatenate([columns.rows(weight) @ part for part in columns.windows(x)], axis=2)
    expected = conv2d([x.astype(np.float64), weight.astype(np.float64), None], ATTRS)
    assert expected.shape[2:] == columns.windows_of(x)
    by_channel = expected.transpose(1, 0, 2, 3).reshape(2, 3, -1)
    np.testing.assert_allclose(made, by_channel, atol=1e-5)
    np.testing.assert_array_equal(columns.weight(columns.rows(weight)), weight)


@pytest.mark.parametrize("turn", range(5))
def test_a_part_of_the_windows_are_some_of_them(turn: int) -> None:
    columns, _, x = layer(np.random.default_rng(1))
    (whole,), (part,) = columns.windows(x), columns.windows(x, 2, turn)
    down, across = columns.windows_of(x)
    grid = whole.reshape(2, columns.count, 3, down, across)
    chosen = grid[..., turn % 2 :: 2, turn // 2 % 2 :: 2]
    np.testing.assert_array_equal(part, chosen.reshape(2, columns.count, -1))


def test_a_linear_layer_has_a_window_for_each_sample() -> None:
    rng = np.random.default_rng(2)
    weight, x = rng.standard_normal((4, 7), np.float32), rng.standard_normal((5, 7), np.float32)
    columns = Columns.of(Node("linear", "head", ["x", "w"], ["y"]), weight)
    (windows,) = columns.windows(x)
    np.testing.assert_allclose((columns.rows(weight) @ windows)[0].T, x @ weight.T, atol=1e-5)
