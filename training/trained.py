"""What ``sparsenet convert`` can open: weights files of this package, and published weights of the detectors."""

from __future__ import annotations

import os

from torch import nn

from training.checkpoint import ModelInfo, load_model
from training.detection.published import is_published, open_detector


def open_model(path: str | os.PathLike[str]) -> tuple[nn.Module, ModelInfo]:
    """A trained model in evaluation mode, and what its file says of it.

    Raises:
        CheckpointError: the file is missing, damaged or holds no weights of a known model.
    """
    return open_detector(path) if is_published(path) else load_model(path)
