"""Arrays in .npy and .npz files, which may come from strangers: nothing in them is run, or believed unseen."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import FloatArray
from sparsenet.io.files import open_regular
from sparsenet.limits import require_memory


def read_npy(path: Path) -> FloatArray:
    """The array in a .npy file.

    Raises:
        InputError: it cannot be read, is not float32, is empty or holds NaN.
        MemoryLimitError: it would take more than ``limits.memory_limit``.
    """
    with _explained(path, "not a readable .npy array"), open_regular(path) as file:
        array = _array(file, os.fstat(file.fileno()).st_size)
    return _checked(array, str(path))


def read_npz(path: Path) -> dict[str, FloatArray]:
    """The arrays in a .npz file by name.

    Raises:
        InputError: it cannot be read, holds none, or one that is not float32, is empty or holds NaN.
        MemoryLimitError: they would take more than ``limits.memory_limit``.
    """
    from zipfile import ZipFile

    arrays: dict[str, npt.NDArray[Any]] = {}
    with _explained(path, "not a readable .npz file"), open_regular(path) as file, ZipFile(file) as archive:
        members = archive.infolist()
        require_memory(sum(member.file_size for member in members), "the arrays in it")
        for member in members:
            with archive.open(member) as stream:
                arrays[member.filename.removesuffix(".npy")] = _array(stream, member.file_size)
    if not arrays:
        raise InputError(f"{path} holds no array")
    return {name: _checked(array, f"'{name}' in {path}") for name, array in arrays.items()}


@contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    from zipfile import BadZipFile
    from zlib import error as BadStream

    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (
        ValueError, EOFError, SyntaxError, TypeError, RecursionError, TokenError, BadZipFile, BadStream,
        NotImplementedError, RuntimeError, KeyError,
    ) as error:  # fmt: skip
        raise InputError(f"{path}: {what} ({error})") from None
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{path}: {error}") from None


def _array(file: IO[bytes], size: int) -> npt.NDArray[Any]:
    """The array in a file of ``size`` bytes; its header is believed only as far as there are bytes for what it says."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise ValueError(f"format version {version}")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"elements of type {dtype}")
    start = file.tell()
    needed = math.prod(shape) * dtype.itemsize
    if any(side < 0 for side in shape) or start + needed > size:
        raise ValueError(f"shape {shape} of {dtype} takes {needed} bytes, there are {size - start}")
    require_memory(needed, f"an array of shape {shape}")
    file.seek(0)
    array: npt.NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array


def _checked(array: npt.NDArray[Any], what: str) -> FloatArray:
    if array.dtype != np.float32:
        raise InputError(f"{what} has dtype {array.dtype}, expected float32: save array.astype(np.float32)")
    if array.size == 0:
        raise InputError(f"{what} is empty: its shape is {array.shape}")
    holes = np.isnan(array)
    if holes.any():
        first = tuple(int(i) for i in np.argwhere(holes)[0])
        raise InputError(f"{what} holds {int(holes.sum())} NaN, the first at index {first}")
    return array
