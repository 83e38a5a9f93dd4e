"""Weights written back into a PyTorch module: the module makes what the engine makes of the graph."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from converters import from_torch, write_module
from sparsenet import reference
from sparsenet.errors import InputError
from tests.converters.writing.networks import changed


class Network(nn.Module):
    """Batch norms before and behind convolutions, with and without biases, also behind an activation; two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Sequential(nn.Conv2d(8, 12, 1), nn.ReLU(), nn.BatchNorm2d(12))
        self.last = nn.Conv2d(12, 12, 3, bias=True)
        self.norm = nn.BatchNorm2d(12)
        self.heads = nn.ModuleList(
            [nn.Linear(12, 6), nn.utils.parametrizations.weight_norm(nn.Linear(12, 7))]
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Both heads' results."""
        x = self.point(self.depth(self.stem(self.first(x))))
        x = torch.relu(self.norm(self.last(x))).mean((2, 3))
        return [head(x) for head in self.heads]


def network() -> Network:
    torch.manual_seed(0)
    module = Network()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight)
            for tensor in (part.bias, part.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module.eval()


def test_the_module_computes_what_the_graph_does() -> None:
    module, x = network(), torch.randn(2, 3, 12, 12)
    names, kept = list(module.state_dict()), copy.deepcopy(module.state_dict())
    graph = from_torch(module, x, optimize=False)
    pruned = changed(graph, ["heads.1"])  # whose weight is computed
    write_module(pruned, module, x)
    wanted = reference.run(pruned, {"input": x.numpy()})
    with torch.no_grad():
        for got, name in zip(module(x), graph.outputs, strict=True):
            assert np.abs(got.numpy() - wanted[name]).max() < 1e-5 * np.abs(wanted[name]).max()
    state = module.state_dict()
    assert list(state) == names
    same = [name for name in names if torch.equal(state[name], kept[name])]
    assert {"norm.bias", "stem.1.bias", "point.0.bias", "heads.0.bias"}.isdisjoint(same)
    assert {"norm.weight", "norm.running_var", "last.bias", "depth.weight", "first.bias"} <= set(same)
    assert sorted(name for name in names if name.endswith("weight") and name not in same) == [
        "heads.0.weight", "last.weight", "point.0.weight", "stem.0.weight",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "module, words",
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU()), "'0' has changed, and cannot be written back"),
        (nn.Sequential(nn.Conv2d(3, 9, 3), nn.ReLU()), "is not what 'Sequential' becomes"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(module: nn.Module, words: str) -> None:
    given, x = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU()), torch.randn(1, 3, 12, 12)
    kept = copy.deepcopy(module.state_dict())
    with pytest.raises(InputError) as error:
        write_module(changed(from_torch(given, x, optimize=False)), module, x)
    assert words in str(error.value)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in module.state_dict().items())
