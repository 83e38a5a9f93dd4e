"""Weights that others published for RetinaFace, read from their .pth files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from sparsenet.errors import CheckpointError, InputError
from sparsenet.io.files import open_regular
from training.checkpoint import ModelInfo, load_model
from training.models import DETECTORS, FaceDetector, RetinaFace
from training.models.retinaface import PUBLISHED_MEAN, PUBLISHED_STD
from training.torch_file import read_torch_file

CLASS_NAMES = ("background", "face")
PUBLISHED_SUFFIXES = (".pth", ".pt")


def detector_info(name: str, size: int, seed: int = 0) -> ModelInfo:
    """What the weights file of a detector says of itself, before anything was trained.

    Pixels are normalised as the published detectors have them, so that weights of either origin take the same images.
    """
    return ModelInfo(
        model=name, class_names=CLASS_NAMES, input_size=size, mean=PUBLISHED_MEAN, std=PUBLISHED_STD,
        task="detection", seed=seed,
    )  # fmt: skip


def is_published(path: str | os.PathLike[str]) -> bool:
    """Whether to read the file as published weights: its name says so, and it is none of our own under such a name."""
    if Path(path).suffix not in PUBLISHED_SUFFIXES:
        return False
    try:
        with open_regular(path) as file:
            return file.read(9)[8:] != b"{"  # where the header of a safetensors file begins
    except OSError:
        return True


def open_detector(path: str | os.PathLike[str], size: int | None = None) -> tuple[FaceDetector, ModelInfo]:
    """A detector from a weights file of ours, or from a .pth file of published weights.

    Args:
        path: the file.
        size: side of its input in pixels; None takes what the file says, or 640.

    Raises:
        CheckpointError: the file is missing or damaged, or holds no detector.
    """
    if is_published(path):
        return _published(path, size or RetinaFace.input_size)
    model, info = load_model(path)
    if not isinstance(model, FaceDetector):
        raise CheckpointError(f"{os.fspath(path)} holds '{info.model}', which is no face detector")
    return model, replace(info, input_size=size or info.input_size)


def _published(path: str | os.PathLike[str], size: int) -> tuple[RetinaFace, ModelInfo]:
    state = _read(path)
    names = [name for name, entry in DETECTORS.items() if entry.kind() is RetinaFace]
    for name in names:
        model: RetinaFace = DETECTORS[name]()
        try:
            model.load_published(state)
        except InputError:
            continue
        return model.eval(), detector_info(name, size)
    raise CheckpointError(f"{os.fspath(path)}: these weights fit none of {', '.join(names)}")


def load_backbone(model: FaceDetector, path: str | os.PathLike[str]) -> None:
    """Start the backbone from a classifier's published weights, whose last layers are left out.

    Raises:
        CheckpointError: the file is missing or damaged, or of another network.
    """
    state = _read(path)
    own = model.backbone.state_dict()
    wrong = [name for name in own if name not in state or state[name].shape != own[name].shape]
    if wrong:
        raise CheckpointError(f"{os.fspath(path)} does not fit the backbone: no '{wrong[0]}' of its size")
    model.backbone.load_state_dict({name: state[name] for name in own})


def _read(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    state = read_torch_file(path)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f"{os.fspath(path)} holds no weights by name")
    return state
