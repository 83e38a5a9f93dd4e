"""Face detectors that learn, detect and are scored: RetinaFace on WIDERFACE (Deng et al. 2020; Yang et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.lazy import lazy_names

if TYPE_CHECKING:
    from training.detection.config import DetectionConfig
    from training.detection.evaluate import evaluate_detector, torch_detector
    from training.detection.loss import MultitaskLoss
    from training.detection.scoring import AveragePrecision, GroundTruth, average_precision
    from training.detection.train import train_detector
    from training.detection.widerface import FaceImage, load_faces

__all__ = [
    "AveragePrecision",
    "DetectionConfig",
    "FaceImage",
    "GroundTruth",
    "MultitaskLoss",
    "average_precision",
    "evaluate_detector",
    "load_faces",
    "torch_detector",
    "train_detector",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AveragePrecision": "scoring",
        "GroundTruth": "scoring",
        "average_precision": "scoring",
        "evaluate_detector": "evaluate",
        "torch_detector": "evaluate",
        "MultitaskLoss": "loss",
        "DetectionConfig": "config",
        "train_detector": "train",
        "FaceImage": "widerface",
        "load_faces": "widerface",
    },
)
