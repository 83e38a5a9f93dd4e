"""Quantization annotations: what the integers stand for, and which annotations a graph may carry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.passes.rewiring import Rewiring
from sparsenet.errors import GraphError
from sparsenet.graph import Graph, Node, TensorInfo
from sparsenet.graph.quantization import Quantization
from sparsenet.graph.types import F32


def _graph() -> Graph:
    weight = np.arange(24, dtype=np.float32).reshape(4, 6, 1, 1)
    node = Node("conv2d", "conv", ["x", "w"], ["y"])
    return Graph("one", [TensorInfo("x", (None, 6, 3, 3))], ["y"], [node], {"w": weight})


def test_integers_are_the_nearest_halves_to_even_and_end_at_the_range():
    grid = Quantization.of_activations(0.5, 3)
    numbers = np.float32([0, 0.25, 0.75, -0.25, -9, 1e9, -np.inf, np.inf])
    np.testing.assert_array_equal(grid.round(numbers), np.uint8([3, 3, 5, 3, 0, 255, 0, 255]))
    np.testing.assert_array_equal(grid.numbers([0, 3, 255]), np.float32([-1.5, 0, 126]))
    assert grid.round(numbers).dtype == np.uint8


def test_a_weight_has_a_scale_for_each_output_channel():
    weight = np.random.default_rng(0).standard_normal((5, 3, 2, 2)).astype(np.float32)
    grid = Quantization.of_weights(np.abs(weight).reshape(5, -1).max(axis=1) / 127)
    integers = grid.round(weight)
    assert integers.dtype == np.int8
    assert np.abs(integers.astype(int)).reshape(5, -1).max(axis=1).tolist() == [127] * 5
    np.testing.assert_array_equal(grid.round(grid.numbers(integers)), integers)
    assert np.abs(grid.numbers(integers) - weight).max() <= grid.scale.max() / 2 * 1.0001


def test_zeros_stay_zeros():
    grid = Quantization.of_activations(0.1, 77)
    assert grid.numbers(grid.round(np.float32(0))) == 0


@pytest.mark.parametrize(
    "tensor, grid, message",
    [
        ("z", Quantization.of_activations(1, 0), "no such tensor"),
        ("x", Quantization.of_activations(1, 256), "zero point 256"),
        ("x", Quantization.of_activations(0, 0), "scale outside"),
        ("x", Quantization.of_activations(np.nan, 0), "scale outside"),
        ("x", Quantization.of_activations(np.inf, 0), "scale outside"),
        ("w", replace(Quantization.of_weights(1.0), zero_point=1), "must be 0 to 0"),
        ("w", Quantization.of_weights([1.0, 1, 1]), "one for each output channel"),
        ("w", Quantization.of_weights([[1.0] * 4]), "one for each output channel"),
        ("x", replace(Quantization.of_weights([1.0] * 6), axis=1), "along axis 1"),
        ("x", replace(Quantization.of_activations(1, 0), element=F32), "u8"),
    ],
)
def test_what_cannot_be_a_grid_is_refused(tensor: str, grid: Quantization, message: str):
    graph = _graph()
    graph.quantization[tensor] = grid
    with pytest.raises(GraphError, match=message):
        graph.verify()


def test_copies_keep_the_grids_and_new_numbers_lose_theirs():
    graph = _graph()
    graph.quantization = {"x": Quantization.of_activations(1, 0), "w": Quantization.of_weights([1.0] * 4)}
    graph.verify()
    rewiring = Rewiring(graph)
    assert rewiring.done().quantization.keys() == {"x", "w"}
    rewiring.set_constant(rewiring.nodes()[0], 1, graph.constants["w"] / 3, "v")
    assert rewiring.done().quantization.keys() == {"x"}
    assert graph.copy().quantization.keys() == {"x", "w"}
