"""What ``sparsenet convert`` can open: weights files of this package, published weights of the detectors, the zoo."""

from __future__ import annotations

import os

from torch import nn

from training.checkpoint import ModelInfo, load_model
from training.detection.published import is_published, open_detector
from training.zoo import CLASSES, open_network


def open_model(path: str | os.PathLike[str]) -> tuple[nn.Module, ModelInfo]:
    """A trained model in evaluation mode, or an untrained one of the zoo by its name, and what its file says of it.

    Raises:
        CheckpointError: the file is missing, damaged or holds no weights of a known model.
    """
    if os.fspath(path) in CLASSES and not os.path.lexists(path):
        return open_network(os.fspath(path))
    return open_detector(path) if is_published(path) else load_model(path)
