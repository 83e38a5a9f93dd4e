"""From what a user names on the command line to float32 arrays a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.commands.metadata import normalisation
from sparsenet.errors import InputError, MissingExtraError
from sparsenet.graph import FloatArray, TensorInfo

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def read_inputs(
    specs: Sequence[str], infos: Sequence[TensorInfo], metadata: Mapping[str, str]
) -> dict[str, FloatArray]:
    """Read every ``FILE`` or ``NAME=FILE`` into the input it feeds.

    A file without a name feeds the only input. ``.npy`` files are taken as they are; an image is converted to RGB in
    [0, 1], resized to the input's height and width and normalised with the model's ``mean`` and ``std``.

    Raises:
        InputError: unknown or missing input, unreadable file, dtype other than float32, NaN.
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


def random_inputs(infos: Sequence[TensorInfo], batch: int, seed: int) -> dict[str, FloatArray]:
    """Standard normal float32 arrays of the inputs' shapes, batch first."""
    rng = np.random.default_rng(seed)
    return {info.name: rng.standard_normal(_sizes(info, batch), np.float32) for info in infos}


def _sizes(info: TensorInfo, batch: int) -> tuple[int, ...]:
    return tuple(batch if size is None else size for size in info.shape)


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
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return path


def _read_npy(path: Path) -> FloatArray:
    try:
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error})") from error
    if array.dtype != np.float32:
        raise InputError(f"{path} has dtype {array.dtype}, expected float32: save array.astype(np.float32)")
    if array.size == 0:
        raise InputError(f"{path} is empty: its shape is {array.shape}")
    holes = np.isnan(array)
    if holes.any():
        first = tuple(int(i) for i in np.argwhere(holes)[0])
        raise InputError(f"{path} holds {int(holes.sum())} NaN, the first at index {first}")
    return array


def _read_image(path: Path, info: TensorInfo, metadata: Mapping[str, str]) -> FloatArray:
    if len(info.shape) != 4 or info.shape[1] != 3:
        raise InputError(
            f"{path}: an image cannot feed input '{info.name}' of shape {info.shape}; give a .npy file"
        )
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading an image", "train") from error
    _, _, height, width = _sizes(info, 1)
    try:
        with Image.open(path) as image:
            pixels = np.asarray(
                image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR), np.float32
            )
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error})") from error
    mean, std = normalisation(metadata)
    return np.ascontiguousarray(((pixels / 255 - mean) / std).transpose(2, 0, 1)[None])
