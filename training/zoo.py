"""Networks to try things with before anything is trained: of the zoo, with seeded weights and believable statistics.

Commands take them by name wherever a file is meant, through the entry points ``sparsenet.networks`` and
``sparsenet.model_loaders``. Importing this file needs no framework; PyTorch only builds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.errors import InputError
from sparsenet.text.nearest import did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from sparsenet import Graph
    from training.checkpoint import ModelInfo

IMAGENET_CLASSES, MASK_CLASSES, MASKCNN_CLASSES = 1000, 4, 2

#: Name → classes of a classifier; None for a face detector.
CLASSES: dict[str, int | None] = {
    **dict.fromkeys(("minixception-128", "minixception-128-256"), MASK_CLASSES),
    **dict.fromkeys((f"minixception-128-256-x{width}" for width in (0.75, 0.5, 0.25, 0.125)), MASK_CLASSES),
    **dict.fromkeys(("minixception-128-keras", "minixception-128-256-keras"), MASK_CLASSES),
    "mobilenetv1": IMAGENET_CLASSES,
    "maskcnn": MASKCNN_CLASSES,
    "resnet50": IMAGENET_CLASSES,
    "xception": IMAGENET_CLASSES,
    "retinaface-resnet50": None,
    "retinaface-mobilenet0.25": None,
    "ssd-mobilenet0.25": None,
}


def build_module(name: str) -> nn.Module:
    """The network in PyTorch, untrained; InputError if none has that name."""
    from training.models import build_detector, build_model

    if name not in CLASSES:
        hint = did_you_mean(name, CLASSES) or f": choose from {', '.join(CLASSES)}"
        raise InputError(f"unknown model '{name}'{hint}")
    classes = CLASSES[name]
    return build_detector(name) if classes is None else build_model(name, classes)


def open_network(name: str, size: int | None = None, seed: int = 0) -> tuple[nn.Module, ModelInfo]:
    """The network in evaluation mode, and what a weights file would say of it.

    Args:
        name: of the network.
        size: side of its images in pixels; None takes what it is made for.
        seed: of its statistics.

    Raises:
        InputError: no network has that name, or it does not take images of that size.
    """
    from training.checkpoint import ModelInfo
    from training.detection.published import detector_info
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
    classes = CLASSES[name]
    if classes is None:
        return model, detector_info(name, size, seed)
    return model, ModelInfo(name, tuple(map(str, range(classes))), size, task="folder", seed=seed)


def build_graph(name: str, size: int | None = None, seed: int = 0) -> Graph:
    """The dense network through the converter; otherwise as ``open_network``."""
    import torch

    from converters import from_torch

    model, info = open_network(name, size, seed)
    return from_torch(model, torch.zeros(1, 3, info.input_size, info.input_size), name=name)


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
