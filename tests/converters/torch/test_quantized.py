"""Exported quantized PyTorch networks: their grids are the graph's, their numbers PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed
from torch import Tensor, nn

from converters import from_torch
from converters.torch_import import TorchSource
from sparsenet import reference
from sparsenet.graph.integer import integer_nodes

OPS = torch.ops.quantized_decomposed


def rounded(x: Tensor, scale: float, point: int, low: int, high: int, dtype: torch.dtype) -> Tensor:
    return OPS.dequantize_per_tensor(
        OPS.quantize_per_tensor(x, scale, point, low, high, dtype), scale, point, low, high, dtype
    )


class Quantized(nn.Module):
    """A convolution with a scale for each output channel, a ReLU, and activations in a kind of integers."""

    def __init__(self, low: int, high: int, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.to = nn.Conv2d(3, 4, 3), (low, high, dtype)
        self.register_buffer("scales", self.conv.weight.detach().abs().amax((1, 2, 3)) / 127)
        self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        to = (self.scales, self.zeros, 0, -127, 127, torch.int8)
        weight = OPS.dequantize_per_channel(OPS.quantize_per_channel(self.conv.weight, *to), *to)
        x = rounded(x, 0.05, 5, *self.to)
        return rounded(torch.relu(nn.functional.conv2d(x, weight, self.conv.bias)), 0.02, 0, *self.to)


def converted(*kind: Any) -> tuple[nn.Module, Any, Tensor]:
    module, x = Quantized(*kind).eval(), torch.randn(2, 3, 6, 6)
    return module, from_torch(module, x), x


@pytest.mark.parametrize("low, high, dtype", [(0, 255, torch.uint8), (-128, 127, torch.int8)])
def test_bytes_are_annotations(low: int, high: int, dtype: torch.dtype) -> None:
    module, graph, x = converted(low, high, dtype)
    grids = graph.quantization
    (conv,) = graph.nodes
    assert integer_nodes(graph, graph.shapes()) == {conv.name}
    shift = -low
    assert (float(grids[conv.inputs[0]].scale), grids[conv.inputs[0]].zero_point) == (
        np.float32(0.05),
        5 + shift,
    )
    assert (float(grids[conv.output].scale), grids[conv.output].zero_point) == (np.float32(0.02), shift)
    np.testing.assert_array_equal(grids[conv.inputs[1]].scale, module.scales)
    found = reference.run(graph, {graph.inputs[0].name: x.numpy()})
    np.testing.assert_allclose(*np.broadcast_arrays(*found.values(), module(x).detach()), atol=0.0201)


def test_the_source_tells_numbers_not_bytes_and_has_no_float64() -> None:
    module, x = Quantized(0, 255, torch.uint8).eval(), torch.randn(2, 3, 6, 6)
    source = TorchSource(module, x)
    graph = source.graph()
    feeds = {graph.inputs[0].name: x.numpy()}
    np.testing.assert_array_equal(source.values(feeds)[graph.outputs[0]], module(x).detach())
    assert source.exact(feeds) is None


def test_other_ranges_are_computed_in_floats() -> None:
    module, graph, x = converted(0, 15, torch.uint8)
    assert all(grid.axis == 0 for grid in graph.quantization.values())
    found = reference.run(graph, {graph.inputs[0].name: x.numpy()})
    np.testing.assert_allclose(*np.broadcast_arrays(*found.values(), module(x).detach()), atol=1e-6)


def same(module: nn.Module, x: Tensor) -> None:
    graph = from_torch(module.eval(), x)
    found = reference.run(graph, {graph.inputs[0].name: x.numpy()})
    np.testing.assert_allclose(*np.broadcast_arrays(*found.values(), module(x).float().detach()), atol=1e-5)


def test_bytes_read_by_another_scale() -> None:
    class Read(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = OPS.quantize_per_tensor(x, 0.05, 5, 0, 255, torch.uint8)
            return OPS.dequantize_per_tensor(x, 0.04, 9, 0, 255, torch.uint8)

    same(Read(), torch.randn(2, 3, 6, 6))


def test_bytes_that_somebody_computes_with() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = OPS.quantize_per_tensor(x, 0.05, 5, 0, 255, torch.uint8).flatten(1)
            return OPS.dequantize_per_tensor(x, 0.05, 5, 0, 255, torch.uint8)

    same(Flat(), torch.randn(2, 3, 6, 6))


def test_bytes_as_an_output() -> None:
    class Bytes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return OPS.quantize_per_tensor(x, 0.05, 5, 0, 255, torch.uint8).float()

    same(Bytes(), torch.randn(2, 3, 6, 6))
