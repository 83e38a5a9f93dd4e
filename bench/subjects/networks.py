"""The networks of the comparison: seeded weights, believable statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from bench.subjects.sparsity import sparsify
from converters import from_torch
from sparsenet import Graph
from sparsenet.errors import InputError
from training.models import build_detector, build_model, default_input_size

__all__ = ["MODELS", "build_graph", "calibrate", "sparsify"]

IMAGENET_CLASSES, MASK_CLASSES, MASKCNN_CLASSES = 1000, 4, 2

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


def build_graph(name: str, size: int | None = None, seed: int = 0) -> Graph:
    """The dense network for images of ``size`` pixels a side (default: what it is made for), through the converter.

    Raises:
        InputError: no network has that name, or it does not take images of that size.
    """
    if name not in MODELS:
        raise InputError(f"unknown model '{name}': choose from {', '.join(MODELS)}")
    size = size or default_input_size(name)
    model = MODELS[name]()
    # A fully convolutional network finds its statistics on smaller images too, and sooner.
    try:
        calibrate(model, min(size, 224), seed)
    except RuntimeError as error:  # PyTorch has no other way to say it; lack of memory is another matter
        if "memory" in str(error):
            raise
        raise InputError(f"{name} takes no images of {size} pixels a side: {error}") from None
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
