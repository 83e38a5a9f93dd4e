"""Trained weights as files, and the checkpoints a run continues from.

Weights are one .safetensors with everything needed to use them again: the model's name and classes, the input it was
trained for. Checkpoints hold plain values and tensors, read with ``weights_only``: neither kind can carry code.
"""

from __future__ import annotations

import io
import json
import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import nn

from sparsenet.checks import path_of, shown
from sparsenet.errors import CheckpointError, InputError
from sparsenet.files import write_atomically
from sparsenet.model_file import FORMAT as MODEL_FORMAT
from training.models import DETECTORS, build_detector, build_model

FORMAT = "sparsenet-weights"


@dataclass(frozen=True)
class ModelInfo:
    """What a weights file says about itself.

    Attributes:
        model: name in the model zoo.
        class_names: one per logit.
        input_size: side in pixels of the square input.
        mean, std: per-channel normalisation of RGB values in [0, 1].
        task: "2-class", "4-class", "cascade-1", "cascade-2", "folder" or "detection".
        seed: of the training run.
        notes: free text values, e.g. sparsity or the teacher's name.
    """

    model: str
    class_names: tuple[str, ...]
    input_size: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    task: str = "4-class"
    seed: int = 0
    notes: dict[str, str] = field(default_factory=dict)


def save_model(path: str | os.PathLike[str], model: nn.Module, info: ModelInfo) -> None:
    """Write weights and ``info``; the file appears whole or not at all.

    Raises:
        CheckpointError: the folder cannot be written to.
    """
    path = path_of(path)
    if not isinstance(model, nn.Module) or not isinstance(info, ModelInfo):
        raise InputError(f"give a torch.nn.Module and its ModelInfo, got {shown(model)} and {shown(info)}")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    data = serialize(state, metadata={"format": FORMAT, "info": json.dumps(asdict(info))})
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CheckpointError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from None


def load_model(path: str | os.PathLike[str]) -> tuple[nn.Module, ModelInfo]:
    """The model with its weights, in eval mode, and what the file says of it.

    Raises:
        CheckpointError: the file is missing, damaged or no weights file, or its tensors do not fit its model.
    """
    name = str(path_of(path))
    try:
        with safe_open(name, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                what = (
                    "is a model file"
                    if metadata.get("format") == MODEL_FORMAT
                    else "holds no trained weights"
                )
                raise CheckpointError(
                    f"{name} {what}: expected a file written by `sparsenet train`, `distill` or `prune`"
                )
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        info = _info(json.loads(metadata["info"]))
    except FileNotFoundError:
        raise CheckpointError(f"no such file: {name}") from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{name} is damaged or no weights file: {error}") from None
    detector = info.model in DETECTORS
    model = build_detector(info.model) if detector else build_model(info.model, len(info.class_names))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{name} does not fit model '{info.model}': {str(error).splitlines()[-1].strip()}"
        ) from None
    return model.eval(), info


def _info(values: dict[str, Any]) -> ModelInfo:
    for name in ("class_names", "mean", "std"):
        values[name] = tuple(values[name])
    return ModelInfo(**values)


def save_checkpoint(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write the state of a run: numbers, strings, lists, dicts and tensors."""
    path = path_of(path)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise CheckpointError(f"cannot write {os.fspath(path)}: {error.strerror or error}") from None


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = path_of(path)
    try:
        state: dict[str, Any] = torch.load(Path(path), map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"no such file: {os.fspath(path)}") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{os.fspath(path)} is damaged: {reason}") from None
    return state
