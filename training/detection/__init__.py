"""Face detectors that learn, detect and are scored: RetinaFace on WIDERFACE (Deng et al. 2020; Yang et al. 2016)."""

from __future__ import annotations

from training.detection.average_precision import AveragePrecision, GroundTruth, average_precision
from training.detection.evaluate import evaluate_detector, torch_detector
from training.detection.loss import MultitaskLoss
from training.detection.train import DetectionConfig, train_detector
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
