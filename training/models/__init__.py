"""The zoo: every model returns logits and is built by name with :func:`build_model`."""

from __future__ import annotations

from training.models.maskcnn import MaskCNN
from training.models.minixception import MiniXception
from training.models.mobilenetv1 import MobileNetV1
from training.models.registry import MODELS, build_model, count_parameters, default_input_size
from training.models.xception import Xception

__all__ = [
    "MODELS",
    "MaskCNN",
    "MiniXception",
    "MobileNetV1",
    "Xception",
    "build_model",
    "count_parameters",
    "default_input_size",
]
