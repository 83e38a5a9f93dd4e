"""From a face detector's raw outputs to boxes and landmarks, with NumPy alone; images and drawing need Pillow."""

from __future__ import annotations

from sparsenet.detection.decode import Decoder, Detections
from sparsenet.detection.detector import Detector, load_detector
from sparsenet.detection.nms import non_maximum_suppression
from sparsenet.detection.priors import prior_boxes

__all__ = [
    "Decoder",
    "Detections",
    "Detector",
    "load_detector",
    "non_maximum_suppression",
    "prior_boxes",
]
