"""The networks of the comparison: seeded weights, believable statistics, zeros where magnitude pruning puts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from converters import from_torch
from sparsenet import Graph, Node
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray
from sparsenet.ops import attributes
from training.models import build_detector, build_model, default_input_size

IMAGENET_CLASSES, MASK_CLASSES, MASKCNN_CLASSES = 1000, 4, 2
#: What SNIP removes from RetinaFace's pyramid and context modules at its compression ratio 10^0.5.
SNIP_SPARSITY = 1 - 10**-0.5

MODELS: dict[str, Callable[[], nn.Module]] = {
    "minixception-128": partial(build_model, "minixception-128", MASK_CLASSES),
    "minixception-128-256": partial(build_model, "minixception-128-256", MASK_CLASSES),
    "mobilenetv1": partial(build_model, "mobilenetv1", IMAGENET_CLASSES),
    "maskcnn": partial(build_model, "maskcnn", MASKCNN_CLASSES),
    "resnet50": partial(build_model, "resnet50", IMAGENET_CLASSES),
    "xception": partial(build_model, "xception", IMAGENET_CLASSES),
    "retinaface-resnet50": partial(build_detector, "retinaface-resnet50"),
    "retinaface-mobilenet0.25": partial(build_detector, "retinaface-mobilenet0.25"),
}

#: Said with every result, since it decides what the figures mean.
SPARSITY_NOTE = (
    "sparsity: the smallest weights by magnitude are zero, layer by layer, in every convolution and linear layer but "
    "the first and the depthwise ones; in RetinaFace it is the backbone's, its pyramid and context modules are always "
    f"at {SNIP_SPARSITY:.1%}, its heads dense"
)


def build_graph(name: str, size: int | None = None, seed: int = 0) -> Graph:
    """The dense network for images of ``size`` pixels a side (default: what it is made for), through the converter.

    Raises:
        InputError: no network has that name.
    """
    if name not in MODELS:
        raise InputError(f"unknown model '{name}': choose from {', '.join(MODELS)}")
    size = size or default_input_size(name)
    model = MODELS[name]()
    # A fully convolutional network finds its statistics on smaller images too, and sooner.
    calibrate(model, min(size, 224), seed)
    return from_torch(model, torch.zeros(1, 3, size, size), name=name)


def calibrate(model: nn.Module, size: int, seed: int = 0) -> None:
    """Give every BatchNorm scales, shifts and a batch of noise's statistics; ends in evaluation mode.

    Shifts are mostly positive, so that ReLU cuts off a third of the values. Around zero it would be half, and
    RetinaFace's random layers would magnify rounding to 1e-4 of its outputs, which is 20 times more.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.0, generator=generator)
        nn.init.normal_(norm.bias, 0.4, 0.2, generator=generator)
        norm.momentum = None  # the statistics become exactly those of this batch
    model.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        model(torch.randn(4, 3, size, size, generator=generator))
    model.eval()


@dataclass(frozen=True)
class Layer:
    """A layer with prunable weights, and whether the comparison prunes it."""

    node: Node
    constant: str
    weight: FloatArray
    sparsity: float


def layers(graph: Graph, sparsity: float) -> Iterator[Layer]:
    """Every convolution and linear layer with the sparsity it gets when the network is asked for ``sparsity``."""
    inputs = {info.name for info in graph.inputs}
    for node, name, weight in graph.weights():
        wanted = sparsity
        if node.inputs[0] in inputs or _is_depthwise(node, weight) or "_heads." in name:
            wanted = 0.0
        elif name.startswith(("fpn.", "ssh.")):
            wanted = SNIP_SPARSITY
        yield Layer(node, name, weight, wanted)


def sparsify(graph: Graph, sparsity: float) -> Graph:
    """A copy whose prunable weights are unstructured sparse, each layer by itself; see ``SPARSITY_NOTE``.

    What remains of an output channel is scaled up to the channel's former norm: training on would do as much, and
    without it activations die out towards the end of a deep network.
    """
    sparse = graph.copy()
    for layer in layers(graph, sparsity):
        sparse.constants[layer.constant] = _pruned(layer.weight, layer.sparsity)
    return sparse


def _pruned(weight: FloatArray, sparsity: float) -> FloatArray:
    zeros = round(sparsity * weight.size)
    if zeros == 0:
        return weight
    kept = weight.copy()
    kept.flat[np.argpartition(np.abs(weight), zeros - 1, axis=None)[:zeros]] = 0
    axes = tuple(range(1, weight.ndim))
    before, after = (np.square(w, dtype=np.float64).sum(axis=axes, keepdims=True) for w in (weight, kept))
    gain = np.sqrt(np.divide(before, after, where=after > 0, out=np.zeros_like(after)))
    return (kept * gain).astype(np.float32)


def _is_depthwise(node: Node, weight: FloatArray) -> bool:
    return node.op == "conv2d" and attributes(node)["groups"] > 1 and weight.shape[1] == 1
