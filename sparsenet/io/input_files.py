"""From files that a user names to the float32 arrays a model takes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import FloatArray, TensorInfo
from sparsenet.io.files import open_regular
from sparsenet.io.image_file import ImageFileError, open_image
from sparsenet.io.metadata import normalisation
from sparsenet.limits import require_memory

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def read_inputs(
    specs: Sequence[str], infos: Sequence[TensorInfo], metadata: Mapping[str, str]
) -> dict[str, FloatArray]:
    """Read every ``FILE`` or ``NAME=FILE`` into the input it feeds.

    A file without a name feeds the only input. ``.npy`` files are taken as they are; an image is converted to RGB in
    [0, 1], resized to the input's height and width and normalised with the model's ``mean`` and ``std``.

    Raises:
        InputError: unknown or missing input, unreadable file, dtype other than float32, NaN.
        MemoryLimitError: an array or image would take too much.
        MissingExtraError: an image without Pillow.
    """
    known = {info.name: info for info in infos}
    arrays: dict[str, FloatArray] = {}
    for spec in specs:
        name, path = _split(spec, known)
        if name in arrays:
            raise InputError(f"input '{name}' is given twice")
        suffix = path.suffix.lower()
        if suffix == ".npy":
            arrays[name] = _read_npy(path)
        elif suffix in IMAGE_SUFFIXES:
            arrays[name] = _read_image(path, known[name], metadata)
        else:
            raise InputError(f"{path}: give a .npy file or an image ({', '.join(IMAGE_SUFFIXES)})")
    missing = [name for name in known if name not in arrays]
    if missing:
        raise InputError(f"no input given for '{missing[0]}'; the model's inputs: {', '.join(known)}")
    return arrays


def _split(spec: str, known: dict[str, TensorInfo]) -> tuple[str, Path]:
    name, equals, file = spec.partition("=")
    if equals and not Path(spec).exists():
        if name not in known:
            raise InputError(f"the model has no input '{name}'; its inputs: {', '.join(known)}")
        return name, _existing(file)
    if len(known) != 1:
        raise InputError(f"name the input that {spec} feeds, --input NAME={spec}; names: {', '.join(known)}")
    return next(iter(known)), _existing(spec)


def _existing(file: str) -> Path:
    path = Path(file)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return path


def _read_npy(path: Path) -> FloatArray:
    try:
        with open_regular(path) as file:
            array = _array(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, SyntaxError, TypeError, RecursionError, TokenError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error})") from None
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{path}: {error}") from None
    if array.dtype != np.float32:
        raise InputError(f"{path} has dtype {array.dtype}, expected float32: save array.astype(np.float32)")
    if array.size == 0:
        raise InputError(f"{path} is empty: its shape is {array.shape}")
    holes = np.isnan(array)
    if holes.any():
        first = tuple(int(i) for i in np.argwhere(holes)[0])
        raise InputError(f"{path} holds {int(holes.sum())} NaN, the first at index {first}")
    return array


def _array(file: BinaryIO) -> npt.NDArray[Any]:
    """The array in an open file, whose header is believed only as far as there are bytes for what it says."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise ValueError(f"format version {version}")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"elements of type {dtype}")
    start, size = file.tell(), os.fstat(file.fileno()).st_size
    needed = math.prod(shape) * dtype.itemsize
    if any(side < 0 for side in shape) or start + needed > size:
        raise ValueError(f"shape {shape} of {dtype} takes {needed} bytes, there are {size - start}")
    require_memory(needed, f"an array of shape {shape}")
    file.seek(0)
    array: npt.NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array


def _read_image(path: Path, info: TensorInfo, metadata: Mapping[str, str]) -> FloatArray:
    if len(info.shape) != 4 or info.shape[1] != 3:
        raise InputError(
            f"{path}: an image cannot feed input '{info.name}' of shape {info.shape}; give a .npy file"
        )
    height, width = (int(size or 0) for size in info.shape[2:])
    try:
        with open_image(path) as image:
            from PIL.Image import Resampling

            pixels = np.asarray(image.convert("RGB").resize((width, height), Resampling.BILINEAR), np.float32)
    except ImageFileError as error:
        raise InputError(f"{path}: {error}") from None
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{path}: {error}") from None
    mean, std = normalisation(metadata)
    return np.ascontiguousarray(((pixels / 255 - mean) / std).transpose(2, 0, 1)[None])
