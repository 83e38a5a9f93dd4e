"""Other weights in a trace: the graph and the values of a trace of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from converters.torch_import import TorchSource
from sparsenet.errors import InputError


class Net(nn.Module):
    """A parameter that two layers share, a normalised one, and a buffer that no weights file would hold."""

    def __init__(self, seed: int, channels: int = 3, shared: bool = True) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(3, channels, 1)
        self.second = nn.Conv2d(channels, 3, 1)
        self.third = parametrizations.weight_norm(nn.Conv2d(3, 3, 1))
        self.register_buffer("scale", torch.rand(3, 1, 1), persistent=False)
        if shared:
            self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        window = torch.arange(3, dtype=torch.float32).view(3, 1, 1)
        return self.third(self.second(self.first(x)).relu() * self.scale) + window


def test_the_graph_and_the_values_are_those_of_a_trace_of_their_own() -> None:
    example = torch.ones(1, 3, 2, 2)
    traced, other = TorchSource(Net(0), example), Net(1)
    before = traced.graph()
    got, expected = traced.with_weights(other), TorchSource(other, example)
    graph, wanted = got.graph(), expected.graph()
    assert graph.nodes == wanted.nodes
    assert graph.constants.keys() == wanted.constants.keys()
    for name in wanted.constants:
        np.testing.assert_array_equal(graph.constants[name], wanted.constants[name])
    feeds = {"input": example.numpy()}
    values = got.values(feeds)
    for name, value in expected.values(feeds).items():
        np.testing.assert_array_equal(values[name], value)
    first = before.constants["first.bias"]
    np.testing.assert_array_equal(traced.graph().constants["first.bias"], first)
    assert (graph.constants["first.bias"] != first).any()


@pytest.mark.parametrize(
    "other, message",
    [
        (Net(1, channels=4, shared=False), r"'first.bias' is \(3,\) there and \(4,\) in the module"),
        (Net(1, shared=False), r"'second.weight' is absent there and \(3, 3, 1, 1\) in the module"),
    ],
)
def test_another_network_is_refused(other: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TorchSource(Net(0), torch.ones(1, 3, 2, 2)).with_weights(other)
