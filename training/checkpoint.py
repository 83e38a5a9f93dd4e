"""Trained weights as files, and the checkpoints a run continues from.

Weights are one .safetensors with everything needed to use them again: the model's name and classes, the input it was
trained for. Checkpoints hold plain values and tensors, read by ``torch_file``: neither kind can carry code.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as serialize
from torch import nn

from sparsenet.checks import path_of, shown
from sparsenet.errors import CheckpointError, InputError, MemoryLimitError
from sparsenet.io import strict_json
from sparsenet.io.files import read_whole, write_atomically
from sparsenet.io.model_file import FORMAT as MODEL_FORMAT
from sparsenet.io.safetensors_file import unpack
from sparsenet.limits import memory_limit
from training.models import DETECTORS, build_detector, build_model
from training.torch_file import read_torch_file

FORMAT = "sparsenet-weights"
#: Pixels of a side of the input that a file may ask for.
MAX_SIDE = 2**14


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
        quantized: whether it was trained to compute with 8-bit integers (see ``training.quantization``).
        notes: free text values, e.g. sparsity or the teacher's name.
    """

    model: str
    class_names: tuple[str, ...]
    input_size: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    task: str = "4-class"
    seed: int = 0
    quantized: bool = False
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
        MemoryLimitError: it takes more than ``limits.memory_limit``.
    """
    name = str(path_of(path))
    try:
        data = read_whole(path, memory_limit())
        _, metadata = unpack(data)
        if metadata.get("format") != FORMAT:
            known = metadata.get("format") == MODEL_FORMAT
            raise CheckpointError(
                f"{name} {'is a model file' if known else 'holds no trained weights'}: "
                "expected a file written by `sparsenet train`, `distill` or `prune`"
            )
        info = _info(strict_json.parse(metadata.get("info", "")))
        state = load_tensors(data)
    except FileNotFoundError:
        raise CheckpointError(f"no such file: {name}") from None
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{name}: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read: {error.strerror or error}") from None
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{name} is damaged or no weights file: {error}") from None
    with torch.device("meta"):  # what it says of its model takes no memory before it is known to fit
        shapes = {key: (value.shape, value.dtype) for key, value in _model(info).state_dict().items()}
    wrong = [
        key for key in {**shapes, **state}
        if key not in state or shapes.get(key) != (state[key].shape, state[key].dtype)
    ]  # fmt: skip
    if wrong:
        raise CheckpointError(
            f"{name} does not fit model '{info.model}': '{wrong[0]}' is missing, extra, or of another size or type"
        )
    model = _model(info)
    model.load_state_dict(state)
    return model.eval(), info  # eval, last: it fixes the grids of a quantized network


def _model(info: ModelInfo) -> nn.Module:
    if info.model in DETECTORS:
        model: nn.Module = build_detector(info.model)
    else:
        model = build_model(info.model, len(info.class_names))
    if info.quantized:
        from training.quantization import quantized

        return quantized(model)
    return model


def _info(values: Any) -> ModelInfo:
    """What a file says of itself, if it says it in the right types; ValueError, TypeError or KeyError if not."""
    info = ModelInfo(**values | {name: tuple(values[name]) for name in ("class_names", "mean", "std")})
    texts = [info.model, info.task, *info.class_names, *info.notes, *info.notes.values()]
    numbers = [*info.mean, *info.std, info.input_size, info.seed]
    if not all(isinstance(text, str) for text in texts) or not all(type(n) in (int, float) for n in numbers):
        raise ValueError("what it says of itself is of the wrong types")
    if type(info.quantized) is not bool:
        raise ValueError("it does not say by true or false whether it is quantized")
    if not (len(info.mean) == len(info.std) == 3 and min(info.std) > 0):
        raise ValueError("its normalisation is not three means and three positive deviations")
    if type(info.input_size) is not int or not 1 <= info.input_size <= MAX_SIDE or not info.class_names:
        raise ValueError("it has no possible size of input, or no classes")
    return info


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
        MemoryLimitError: it takes more than ``limits.memory_limit``.
    """
    path = path_of(path)
    state = read_torch_file(path)
    if not isinstance(state, dict):
        raise CheckpointError(f"{os.fspath(path)} is no checkpoint: it holds a {type(state).__name__}")
    return state
