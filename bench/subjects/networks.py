"""The networks of the comparison: seeded weights, believable statistics.

Importing this file needs no framework: commands read the names, and PyTorch only builds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from sparsenet import Graph

IMAGENET_CLASSES, MASK_CLASSES, MASKCNN_CLASSES = 1000, 4, 2

#: Name → classes of a classifier; None for a face detector.
MODELS: dict[str, int | None] = {
    "minixception-128": MASK_CLASSES,
    "minixception-128-256": MASK_CLASSES,
    "mobilenetv1": IMAGENET_CLASSES,
    "maskcnn": MASKCNN_CLASSES,
    "resnet50": IMAGENET_CLASSES,
    "xception": IMAGENET_CLASSES,
    "retinaface-resnet50": None,
    "retinaface-mobilenet0.25": None,
}

#: Four that differ: small and large, with depthwise layers and without.
USUAL_MODELS = ("minixception-128-256", "mobilenetv1", "maskcnn", "resnet50")


def build_module(name: str) -> nn.Module:
    """The network in PyTorch, untrained; InputError if none has that name."""
    from training.models import build_detector, build_model

    if name not in MODELS:
        raise InputError(f"unknown model '{name}': choose from {', '.join(MODELS)}")
    classes = MODELS[name]
    return build_detector(name) if classes is None else build_model(name, classes)


def build_graph(name: str, size: int | None = None, seed: int = 0) -> Graph:
    """The dense network for images of ``size`` pixels a side (default: what it is made for), through the converter.

    Raises:
        InputError: no network has that name, or it does not take images of that size.
    """
    import torch

    from converters import from_torch
    from training.models import default_input_size

    model = build_module(name)
    size = size or default_input_size(name)
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
    import torch
    from torch import nn

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
