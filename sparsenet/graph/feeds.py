"""The arrays that an inference is given, and their checks: kernels check no bounds and see only what passed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sparsenet.checks import shown
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, TensorInfo
from sparsenet.limits import require_memory

#: A function that takes over an array that is on a device already; None for any other.
Adopt = Callable[[object], Any]


def real_array(value: object, name: str, shape: tuple[int | None, ...]) -> FloatArray:
    """``value``, a NumPy array of real numbers of that shape; None stands for any size.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        got = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else shown(value)
        raise InputError(f"{name} must be a NumPy array of numbers, got {got}")
    if len(value.shape) != len(shape) or any(
        size not in (None, own) for size, own in zip(shape, value.shape, strict=True)
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} must have shape ({wanted}), got {value.shape}")
    return value


def image_shape(info: TensorInfo) -> tuple[int, ...]:
    """Shape of one sample of a tensor."""
    return tuple(int(d or 0) for d in info.shape[1:])


def shape_text(info: TensorInfo) -> str:
    """Shape of a tensor for people: (N, 3, any, any)."""
    sizes = ("any" if axis in info.open else str(d) for axis, d in enumerate(image_shape(info), start=1))
    return f"({', '.join(['N', *sizes])})"


def by_name(infos: Sequence[TensorInfo], arrays: Sequence[FloatArray]) -> dict[str, FloatArray]:
    """Arrays in the order of the inputs, as ``checked`` takes them.

    Raises:
        InputError: their number is not that of the inputs.
    """
    if len(arrays) != len(infos):
        raise InputError(f"expected {len(infos)} inputs, got {len(arrays)}")
    return {info.name: array for info, array in zip(infos, arrays, strict=True)}


def random_inputs(infos: Sequence[TensorInfo], batch: int, seed: int) -> dict[str, FloatArray]:
    """Standard normal float32 arrays of the inputs' shapes, batch first; MemoryLimitError if one is too large."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, FloatArray] = {}
    for info in infos:
        sizes = (batch, *image_shape(info))
        require_memory(4 * math.prod(sizes), f"input '{info.name}' of shape {sizes}")
        arrays[info.name] = rng.standard_normal(sizes, np.float32)
    return arrays


def checked(
    infos: Sequence[TensorInfo],
    feeds: Mapping[str, FloatArray],
    adopt: Adopt | None = None,
    *,
    check_finite: bool = False,
    least_batch: int = 0,
) -> list[FloatArray]:
    """The arrays in the order of the inputs, rows last in memory, all of one batch.

    Raises:
        InputError: no mapping, unknown or missing name, wrong type, shape or dtype, fewer samples than
            ``least_batch``, or, if asked, NaN or infinity.
        MemoryLimitError: copying an array whose rows are not last would take more than ``limits.memory_limit``.
    """
    names = [info.name for info in infos]
    if not isinstance(feeds, Mapping):
        raise InputError(
            f"inputs must be a dict of arrays by name ({', '.join(names)}), got {shown(feeds)}; "
            "call the engine itself to give arrays in order"
        )
    for name in feeds:
        if name not in names:
            raise InputError(f"unknown input {shown(name)}; the model's inputs are: {', '.join(names)}")
    arrays: list[FloatArray] = []
    for info in infos:
        if info.name not in feeds:
            raise InputError(f"input '{info.name}' is missing; the model's inputs are: {', '.join(names)}")
        array: Any = feeds[info.name]
        adopted = adopt(array) if adopt is not None else None
        if adopted is not None:
            array = adopted
        elif not isinstance(array, np.ndarray):
            raise InputError(f"input '{info.name}' must be a NumPy array, got {type(array).__name__}")
        if array.dtype != np.float32:
            raise InputError(f"input '{info.name}' must be float32, got {array.dtype}")
        _check_shape(info, array.shape)
        batch = array.shape[0]
        if batch < least_batch:
            raise InputError(f"input '{info.name}' holds no sample: its batch is {batch}")
        if arrays and batch != arrays[0].shape[0]:
            raise InputError(f"input '{info.name}' has batch {batch}, the first input {arrays[0].shape[0]}")
        if adopted is not None and not array.is_c_contiguous():
            raise InputError(f"input '{info.name}' must be contiguous, rows last, where it is on the GPU")
        if adopted is None and not array.flags.c_contiguous:
            require_memory(array.nbytes, f"a contiguous copy of input '{info.name}'")
        if check_finite and not np.isfinite(array if adopted is None else array.copy_to_host()).all():
            raise InputError(f"input '{info.name}' holds NaN or infinity")
        arrays.append(np.ascontiguousarray(array) if adopted is None else array)
    return arrays


def _check_shape(info: TensorInfo, shape: tuple[int, ...]) -> None:
    if len(shape) == len(info.shape) and shape[1:] == info.shape[1:]:
        return
    expected = image_shape(info)
    if len(shape) != len(expected) + 1 or any(
        size < 1 if axis in info.open else size != expected[axis - 1]
        for axis, size in enumerate(shape[1:], start=1)
    ):
        raise InputError(f"input '{info.name}' must have shape {shape_text(info)}, got {shape}")
