"""Every model of the zoo: the engine's outputs are PyTorch's, at every sparsity, pruned by weight or by channel."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

import sparsenet
from converters import passes
from converters.torch_import import TorchSource
from converters.verify import TOLERANCE, relative_error
from sparsenet.graph.counts import count_layers, total
from tests.full import chosen
from training.models import MODELS, MaskCNN, build_model
from training.pruning import Masks, find_masks

# Small images keep PyTorch and the engine quick; MaskCNN's head fits one size only.
SIDES = dict.fromkeys(MODELS, 64) | {"maskcnn": MaskCNN.input_size}
LARGE = ("resnet50", "xception")
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else [])
    for name in chosen(("minixception-128-256-keras", "mobilenetv1"), MODELS)
]
EVERY = (0.0, 0.5, 0.8, 0.95)
SPARSITIES = [
    pytest.param(name, sparsity, marks=[pytest.mark.slow] if name in LARGE else [])
    for i, name in enumerate(MODELS)
    for sparsity in chosen([] if name in LARGE else [EVERY[i % 4]], EVERY)
]


@functools.cache
def network(name: str) -> nn.Module:
    """With batch norm statistics that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    module = build_model(name, 4).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.normal_(part.bias, 0, 0.2, generator=generator)
    return module


@functools.cache
def images(name: str) -> torch.Tensor:
    side = SIDES[name]
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@functools.cache
def traced(name: str) -> TorchSource:
    """Traced once for all masks, which is most of the time that conversion takes."""
    return TorchSource(network(name), images(name))


def masked(name: str, masks: Masks | None) -> sparsenet.Graph:
    graph = traced(name).graph()
    for weight, mask in (masks or {}).items():
        graph.constants[weight] = graph.constants[weight] * mask.numpy()
    return passes.optimize(graph)


def compare(name: str, masks: Masks | None, graph: sparsenet.Graph) -> None:
    """Run both on two images."""
    x = images(name)
    module = copy.deepcopy(network(name))
    if masks is not None:
        masks.apply(module)
    with torch.no_grad():
        expected = module(x).numpy()
    got = sparsenet.Engine(graph, threads=1)(x.numpy())
    assert isinstance(got, np.ndarray)
    assert relative_error(got, expected) <= TOLERANCE


@pytest.mark.parametrize("name, sparsity", SPARSITIES)
def test_engine_equals_pytorch(name: str, sparsity: float) -> None:
    masks = find_masks(network(name), method="l1", sparsity=sparsity) if sparsity else None
    graph = masked(name, masks)
    compare(name, masks, graph)
    if masks is not None:
        assert total(count_layers(graph)).nnz <= masks.nnz


@pytest.mark.parametrize("name", NAMES)
def test_engine_equals_pytorch_after_channel_reduction(name: str) -> None:
    classifier = "fc" if name == "resnet50" else "head*"
    masks = find_masks(network(name), method="l1", sparsity=0.5, structured="output", exclude=[classifier])
    graph = masked(name, masks)
    compare(name, masks, graph)
    assert total(count_layers(graph)).weights < masks.total
