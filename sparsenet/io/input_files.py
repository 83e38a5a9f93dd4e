"""From files that a user names to the float32 arrays a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import FloatArray, TensorInfo
from sparsenet.io.array_files import read_npy
from sparsenet.io.image_file import ImageFileError, open_image
from sparsenet.io.metadata import normalisation

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
            arrays[name] = read_npy(path)
        elif suffix in IMAGE_SUFFIXES:
            arrays[name] = read_image(path, known[name], metadata)
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


def read_image(path: Path, info: TensorInfo, metadata: Mapping[str, str]) -> FloatArray:
    """The image in a file as the input ``info``, (1, 3, H, W), as ``read_inputs`` says.

    Raises:
        InputError: it is no readable image, or the input takes none.
        MemoryLimitError: it would take too much.
        MissingExtraError: Pillow is not installed.
    """
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
