"""Metadata of a converted model: the names of its classes, how its images were normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsenet.errors import ModelFileError
from sparsenet.graph import FloatArray
from sparsenet.io import strict_json

#: How many classes are listed to people.
_FEW = 100


def class_names(metadata: Mapping[str, str]) -> list[str] | None:
    """One name for each class, or None if the model does not say.

    Raises:
        ModelFileError: ``class_names`` is not a list of strings.
    """
    names = _parsed(metadata, "class_names")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelFileError("the model's metadata 'class_names' is not a list of names")
    return names


def normalisation(metadata: Mapping[str, str]) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation, (3,) each, of RGB values in [0, 1]; 0.5 if the model does not say.

    Raises:
        ModelFileError: ``mean`` or ``std`` is not three numbers, or a deviation is not positive.
    """
    mean, std = (_channels(metadata, key) for key in ("mean", "std"))
    if not (std > 0).all():
        raise ModelFileError("the model's metadata 'std' must be positive")
    return mean, std


def meaning(metadata: Mapping[str, str], *, of_images: bool = True) -> list[str]:
    """Sentences for people: what a model says of the numbers that it takes, unless not ``of_images``, and gives.

    Raises:
        ModelFileError: its metadata is malformed.
    """
    said = []
    if of_images and {"mean", "std"} & metadata.keys():
        mean, std = (", ".join(f"{number:g}" for number in part) for part in normalisation(metadata))
        said.append(f"Images are RGB from 0 to 1, each channel (x - mean) / std: mean {mean}; std {std}.")
    names = class_names(metadata)
    if names and len(names) <= _FEW:
        said.append(f"Classes: {', '.join(f'{i} {name}' for i, name in enumerate(names))}.")
    return said


def _channels(metadata: Mapping[str, str], key: str) -> FloatArray:
    value = _parsed(metadata, key)
    if value is None:
        return np.full(3, 0.5, np.float32)
    numbers = isinstance(value, list) and len(value) == 3 and all(type(v) in (int, float) for v in value)
    with np.errstate(over="ignore"):
        found = np.array(value if numbers else np.nan, np.float64).astype(np.float32)
    if not np.isfinite(found).all():
        raise ModelFileError(f"the model's metadata '{key}' is not three numbers")
    return found


def _parsed(metadata: Mapping[str, str], key: str) -> Any:
    try:
        return strict_json.parse(metadata[key]) if key in metadata else None
    except ValueError:
        raise ModelFileError(f"the model's metadata '{key}' is not JSON") from None
