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
from safetensors.numpy import save
from torch import Tensor

from sparsenet.checks import path_of
from sparsenet.errors import MaskError, MemoryLimitError
from sparsenet.io import strict_json
from sparsenet.io.files import read_whole, write_atomically
from sparsenet.io.safetensors_file import unpack
from sparsenet.limits import memory_limit
from sparsenet.text.table import to_json

FORMAT = "sparsenet.masks"
FORMAT_VERSION = "1"
#: Bytes in memory of one of the file: eight weights take one each; and dimensions a weight may have.
BYTES_PER_BYTE, MAX_RANK = 8, 8
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
        "info": to_json(dict(info)),
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
    try:
        entries, metadata = unpack(read_whole(path, memory_limit() // BYTES_PER_BYTE))
    except FileNotFoundError:
        raise MaskError(f"{path}: no such mask file") from None
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{path}: {error}") from None
    except OSError as error:
        raise MaskError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise MaskError(f"{path}: not a readable .safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise MaskError(f"{path}: not a mask file (no '{FORMAT}' in its metadata)")
    if metadata.get("format_version") != FORMAT_VERSION:
        version = metadata.get("format_version")
        raise MaskError(f"{path}: mask format version {version!r}; this program reads {FORMAT_VERSION!r}")
    shapes = _json_object(path, metadata, "shapes")
    info = _json_object(path, metadata, "info")
    affine = _names(path, metadata, set(shapes))
    stored = dict(entries)
    if shapes.keys() != stored.keys():
        raise MaskError(f"{path}: the shapes in the metadata do not name the stored masks")
    masks = {name: _unpack(path, name, stored[name], shape) for name, shape in shapes.items()}
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
        return strict_json.parse(text)
    except ValueError:
        return None


def _unpack(path: PathLike, name: str, packed: Mapping[str, Any], shape: Any) -> Tensor:
    plain = isinstance(shape, list) and len(shape) <= MAX_RANK
    if not plain or not all(type(side) is int and side > 0 for side in shape):
        raise MaskError(f"{path}: mask '{name}' has no valid shape: {str(shape)[:80]}")
    count = math.prod(shape)
    if packed["dtype"] != "U8" or packed["shape"] != [(count + 7) // 8]:
        raise MaskError(
            f"{path}: mask '{name}' of shape {str(tuple(shape))[:80]} is stored as {packed['dtype']} "
            f"{packed['shape']}, expected U8 with one bit per weight"
        )
    bits = np.unpackbits(np.frombuffer(packed["data"], np.uint8), bitorder="little")
    if bits[count:].any():
        raise MaskError(f"{path}: mask '{name}' has bits beyond its last weight")
    return torch.from_numpy(bits[:count].view(bool).reshape(shape))
