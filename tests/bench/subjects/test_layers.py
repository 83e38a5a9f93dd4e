"""The table of layers is true: each stands in the network it names, and is the graph it says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
import torch

from bench.subjects.layers import LAYERS, LayerShape
from bench.subjects.networks import build_module
from converters import from_torch
from sparsenet import reference
from sparsenet.graph import Node, Shape
from sparsenet.graph.ops import attributes
from tests.full import chosen
from training.models import default_input_size

Signature = tuple[object, ...]


@cache
def signatures(network: str) -> set[Signature]:
    size = default_input_size(network)
    graph = from_torch(build_module(network).eval(), torch.zeros(1, 3, size, size), name=network)
    shapes = graph.shapes()
    return {signature(node, shapes) for node in graph.nodes}


def signature(node: Node, shapes: Mapping[str, Shape]) -> Signature:
    """What identifies a layer: op, input, output, window."""
    attrs = attributes(node)
    weight = shapes[node.inputs[1]] if node.op in ("conv2d", "linear") else ()
    window = attrs.get("kernel", ())
    return (node.op, shapes[node.inputs[0]], shapes[node.output], weight, *window, *attrs.get("stride", ()))


NETWORKS = sorted({layer.network for layer in LAYERS})
#: Seconds each to trace.
LARGE = ("maskcnn", "resnet50", "retinaface-resnet50", "xception")


@pytest.mark.slow
@pytest.mark.parametrize("network", chosen((name for name in NETWORKS if name not in LARGE), NETWORKS))
def test_the_network_has_these_layers(network: str) -> None:
    for layer in LAYERS:
        if layer.network == network:
            graph = layer.graph()
            assert signature(graph.nodes[-1], graph.shapes()) in signatures(network), layer.name


def test_layers_are_told_apart_by_name() -> None:
    assert len({layer.name for layer in LAYERS}) == len(LAYERS)


def test_blocks_of_weights_are_zero_together() -> None:
    weight = LayerShape("test", "conv2d", 8, 10, 8, 3).graph(0.5, "1x4").constants["w"]
    zero = (weight == 0).reshape(10, 2, 4, 3, 3)
    assert np.array_equal(zero.all(axis=2), zero.any(axis=2))
    assert zero.mean() == 0.5


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_weights_have_exactly_the_sparsity_asked_for(sparsity: float) -> None:
    weight = LayerShape("test", "conv2d", 20, 10, 8, 3).graph(sparsity).constants["w"]
    assert np.count_nonzero(weight) == round((1 - sparsity) * weight.size)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "scale", "softmax", "transpose", "resize", "avg_pool2d"])
def test_every_kind_of_layer_runs(op: str) -> None:
    layer = LayerShape("test", op, 6, 6, 8, 2, 2)
    y = reference.run(layer.graph(), {"x": layer.example()})["y"]
    assert np.isfinite(y).all()
