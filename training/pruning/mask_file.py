"""Mask files: one .safetensors, one bit per weight.

Each tensor is the mask of the parameter it is named after: uint8, 1-D, ceil(weights / 8) bytes; weight ``i``
in row-major order is bit ``i % 8`` (least significant first) of byte ``i // 8``, 1 = kept; unused bits are 0.
Metadata (strings): ``format`` = "sparsenet.masks", ``format_version`` = "1", and JSON texts ``shapes``
(name → list), ``info`` (how the masks were found), ``affine`` (list of the names that are biases or BatchNorm values,
not weights; absent: none), ``density_per_layer`` (for human readers; not trusted).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from sparsenet.checks import path_of
from sparsenet.errors import MaskError
from sparsenet.files import write_atomically

FORMAT = "sparsenet.masks"
FORMAT_VERSION = "1"
PathLike = str | os.PathLike[str]


def write(
    path: PathLike,
    masks: Mapping[str, Tensor],
    info: Mapping[str, Any],
    affine: Sequence[str],
    density: Mapping[str, float],
) -> None:
    """Write bool masks; the file appears under ``path`` only when it is complete."""
    path = path_of(path)
    packed = {n: np.packbits(mask.numpy().reshape(-1), bitorder="little") for n, mask in masks.items()}
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "shapes": json.dumps({name: list(mask.shape) for name, mask in masks.items()}),
        "info": json.dumps(dict(info)),
        "affine": json.dumps(list(affine)),
        "density_per_layer": json.dumps(dict(density)),
    }
    try:
        write_atomically(path, save(packed, metadata))
    except OSError as error:
        raise MaskError(f"cannot write masks to {path}: {error.strerror}") from error


def read(path: PathLike) -> tuple[dict[str, Tensor], dict[str, Any], list[str]]:
    """Read masks (bool tensors, in the order they were written), info and affine; MaskError says what is wrong."""
    path = path_of(path)
    if not path.is_file():
        raise MaskError(f"{path}: no such mask file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise MaskError(f"{path}: not a mask file (no '{FORMAT}' in its metadata)")
            if metadata.get("format_version") != FORMAT_VERSION:
                version = metadata.get("format_version")
                raise MaskError(
                    f"{path}: mask format version {version!r}; this program reads {FORMAT_VERSION!r}"
                )
            shapes = _json_object(path, metadata, "shapes")
            info = _json_object(path, metadata, "info")
            affine = _names(path, metadata, set(shapes))
            if set(shapes) != set(file.keys()):
                raise MaskError(f"{path}: the shapes in the metadata do not name the stored masks")
            masks = {name: _unpack(path, name, file.get_tensor(name), shapes[name]) for name in shapes}
    except (SafetensorError, OSError) as error:
        raise MaskError(f"{path}: not a readable .safetensors file ({error})") from error
    if not masks.keys() - set(affine):
        raise MaskError(f"{path}: holds no masks of weights")
    return masks, info, affine


def _json_object(path: PathLike, metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    value = _json(metadata.get(key, ""))
    if not isinstance(value, dict):
        raise MaskError(f"{path}: metadata '{key}' is not a JSON object")
    return value


def _names(path: PathLike, metadata: Mapping[str, str], stored: set[str]) -> list[str]:
    value = _json(metadata.get("affine", "[]"))
    if not isinstance(value, list) or not all(isinstance(name, str) and name in stored for name in value):
        raise MaskError(f"{path}: metadata 'affine' is not a list of names of stored masks")
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _unpack(path: PathLike, name: str, packed: np.ndarray, shape: Any) -> Tensor:
    if not isinstance(shape, list) or not all(type(side) is int and side > 0 for side in shape):
        raise MaskError(f"{path}: mask '{name}' has no valid shape: {str(shape)[:80]}")
    count = math.prod(shape)
    if packed.dtype != np.uint8 or packed.ndim != 1 or packed.size != (count + 7) // 8:
        raise MaskError(
            f"{path}: mask '{name}' of shape {str(tuple(shape))[:80]} is stored as {packed.dtype} "
            f"{packed.shape}, expected uint8 with one bit per weight"
        )
    bits = np.unpackbits(packed, bitorder="little")
    if bits[count:].any():
        raise MaskError(f"{path}: mask '{name}' has bits beyond its last weight")
    return torch.from_numpy(bits[:count].astype(bool).reshape(shape))
