"""Models by name, as the command line and checkpoints know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch
from torch import nn

from sparsenet.checks import shown, whole_number
from sparsenet.errors import InputError
from training.models.maskcnn import MaskCNN
from training.models.minixception import MiniXception
from training.models.mobilenetv1 import MobileNetV1
from training.models.resnet import ResNet50
from training.models.retinaface import RetinaFace
from training.models.xception import Xception

Model = TypeVar("Model", bound=nn.Module)

MODELS: dict[str, Callable[..., nn.Module]] = {
    "maskcnn": MaskCNN,
    "minixception-128": partial(MiniXception, widths=(128,)),
    "minixception-128-256": partial(MiniXception, widths=(128, 256)),
    "minixception-128-keras": partial(MiniXception, widths=(128,), keras_padding=True),
    "minixception-128-256-keras": partial(MiniXception, widths=(128, 256), keras_padding=True),
    "mobilenetv1": MobileNetV1,
    "resnet50": ResNet50,
    "xception": Xception,
}

#: Face detectors: they take no number of classes and answer with boxes, classes and landmarks.
DETECTORS: dict[str, Callable[..., RetinaFace]] = {
    "retinaface-resnet50": partial(RetinaFace, backbone="resnet50"),
    "retinaface-mobilenet0.25": partial(RetinaFace, backbone="mobilenet0.25"),
}

INPUT_SIZES: dict[str, int] = {
    "maskcnn": MaskCNN.input_size,
    "minixception-128": MiniXception.input_size,
    "minixception-128-256": MiniXception.input_size,
    "minixception-128-keras": MiniXception.input_size,
    "minixception-128-256-keras": MiniXception.input_size,
    "mobilenetv1": MobileNetV1.input_size,
    "resnet50": ResNet50.input_size,
    "xception": Xception.input_size,
    **dict.fromkeys(DETECTORS, RetinaFace.input_size),
}


def build_model(name: str, num_classes: int, seed: int = 0) -> nn.Module:
    """A freshly initialised model of the zoo; the same name and seed give the same weights.

    Raises InputError for an unknown name. Leaves the global random state as it was.
    """
    known_model(name, MODELS)
    whole_number(num_classes, "num_classes")
    return _seeded(partial(MODELS[name], num_classes=num_classes), seed)


def build_detector(name: str, seed: int = 0) -> RetinaFace:
    """A freshly initialised detector; otherwise as ``build_model``."""
    known_model(name, DETECTORS, "detector")
    return _seeded(DETECTORS[name], seed)


def known_model(name: object, models: Mapping[str, object], what: str = "model") -> None:
    """Raise InputError unless ``name`` is that of one of ``models``."""
    if not isinstance(name, str) or name not in models:
        shown_name = f"'{name}'" if isinstance(name, str) and len(name) < 60 else shown(name)
        raise InputError(f"unknown {what} {shown_name}: choose one of {', '.join(models)}")


def _seeded(make: Callable[[], Model], seed: int) -> Model:
    whole_number(seed, "seed", 2**63 - 1, -(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def default_input_size(name: str) -> int:
    """Side in pixels of the square input that the model was made for; InputError for an unknown name."""
    known_model(name, INPUT_SIZES)
    return INPUT_SIZES[name]


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers in the model; BatchNorm's running statistics are not counted."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
