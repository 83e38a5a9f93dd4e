"""The zoo: classifiers return logits and are built by name with :func:`build_model`; detectors, with
:func:`build_detector`, return boxes, classes and landmarks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.lazy import lazy_names

if TYPE_CHECKING:
    from training.models.face_detector import FaceDetector
    from training.models.maskcnn import MaskCNN
    from training.models.minixception import MiniXception
    from training.models.mobilenetv1 import MobileNetV1
    from training.models.registry import (
        DETECTORS,
        MODELS,
        build_detector,
        build_model,
        count_parameters,
        default_input_size,
    )
    from training.models.resnet import ResNet50
    from training.models.retinaface import RetinaFace
    from training.models.ssd import SSD
    from training.models.xception import Xception

__all__ = [
    "DETECTORS",
    "MODELS",
    "SSD",
    "FaceDetector",
    "MaskCNN",
    "MiniXception",
    "MobileNetV1",
    "ResNet50",
    "RetinaFace",
    "Xception",
    "build_detector",
    "build_model",
    "count_parameters",
    "default_input_size",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "FaceDetector": "face_detector",
        "MaskCNN": "maskcnn",
        "MiniXception": "minixception",
        "MobileNetV1": "mobilenetv1",
        "DETECTORS": "registry",
        "MODELS": "registry",
        "build_detector": "registry",
        "build_model": "registry",
        "count_parameters": "registry",
        "default_input_size": "registry",
        "ResNet50": "resnet",
        "RetinaFace": "retinaface",
        "SSD": "ssd",
        "Xception": "xception",
    },
)
