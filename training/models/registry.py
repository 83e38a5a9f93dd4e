"""Models by name, as the command line and checkpoints know them; a model's module is imported when it is built."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sparsenet.checks import shown, whole_number
from sparsenet.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from training.models.face_detector import FaceDetector

    Model = TypeVar("Model", bound=nn.Module)


class Entry:
    """A network of the zoo: calling it makes one.

    Attributes:
        made_of: the class, as ``module:Class``, where the module stands beside this one.
        arguments: that the class always gets.
    """

    def __init__(self, made_of: str, **arguments: Any) -> None:
        self.made_of, self.arguments = made_of, arguments

    def kind(self) -> Any:
        """The class."""
        module, _, name = self.made_of.partition(":")
        return getattr(importlib.import_module(f"training.models.{module}"), name)

    def __call__(self, **more: Any) -> Any:
        """A fresh network."""
        return self.kind()(**self.arguments, **more)


#: Classifiers: they take a number of classes and answer with logits.
MODELS: dict[str, Entry] = {
    "maskcnn": Entry("maskcnn:MaskCNN"),
    "minixception-128": Entry("minixception:MiniXception", widths=(128,)),
    "minixception-128-256": Entry("minixception:MiniXception", widths=(128, 256)),
    **{
        f"minixception-128-256-x{multiplier}": Entry(
            "minixception:MiniXception", widths=(128, 256), multiplier=multiplier
        )
        for multiplier in (0.75, 0.5, 0.25, 0.125)
    },
    "minixception-128-keras": Entry("minixception:MiniXception", widths=(128,), keras_padding=True),
    "minixception-128-256-keras": Entry("minixception:MiniXception", widths=(128, 256), keras_padding=True),
    "mobilenetv1": Entry("mobilenetv1:MobileNetV1"),
    "resnet50": Entry("resnet:ResNet50"),
    "xception": Entry("xception:Xception"),
}

#: Face detectors: they take no number of classes and answer with boxes, classes and landmarks.
DETECTORS: dict[str, Entry] = {
    "retinaface-resnet50": Entry("retinaface:RetinaFace", backbone="resnet50"),
    "retinaface-mobilenet0.25": Entry("retinaface:RetinaFace", backbone="mobilenet0.25"),
    "ssd-mobilenet0.25": Entry("ssd:SSD"),
}


def build_model(name: str, num_classes: int, seed: int = 0) -> nn.Module:
    """A freshly initialised model of the zoo; the same name and seed give the same weights.

    Raises InputError for an unknown name. Leaves the global random state as it was.
    """
    known_model(name, MODELS)
    whole_number(num_classes, "num_classes")
    model: nn.Module = _seeded(lambda: MODELS[name](num_classes=num_classes), seed)
    return model


def build_detector(name: str, seed: int = 0) -> FaceDetector:
    """A freshly initialised detector; otherwise as ``build_model``."""
    known_model(name, DETECTORS, "detector")
    detector: FaceDetector = _seeded(DETECTORS[name], seed)
    return detector


def known_model(name: object, models: Mapping[str, object], what: str = "model") -> None:
    """Raise InputError unless ``name`` is that of one of ``models``."""
    if not isinstance(name, str) or name not in models:
        shown_name = f"'{name}'" if isinstance(name, str) and len(name) < 60 else shown(name)
        raise InputError(f"unknown {what} {shown_name}: choose one of {', '.join(models)}")


def _seeded(make: Callable[[], Model], seed: int) -> Model:
    import torch

    whole_number(seed, "seed", 2**63 - 1, -(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def default_input_size(name: str) -> int:
    """Side in pixels of the square input that the model was made for; InputError for an unknown name."""
    models = MODELS | DETECTORS
    known_model(name, models)
    size: int = models[name].kind().input_size
    return size


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers in the model; BatchNorm's running statistics are not counted."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
