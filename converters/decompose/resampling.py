"""Resampling of one axis as a matrix: every rule of ONNX's Resize, from the operator's text.

Output = matrix · input. Rows of a matrix that only pick are one-hot. Images are resampled axis by axis, so a matrix per
axis is all there is to any mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from converters.builder import Unsupported
from sparsenet.limits import require_memory

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Resampling:
    """How an axis is resampled; names and meanings are ONNX's."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_a: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis: sizes, scale and region of interest (fractions of the input, for tf_crop_and_resize)."""

    size: int
    out: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def coordinates(axis: Axis, rule: str) -> Float64Array:
    """Where in the input (pixels, 0 = centre of the first) each output pixel is taken from."""
    require_memory(32 * axis.out, f"the places where {axis.out} pixels are sampled")
    i = np.arange(axis.out, dtype=np.float64)
    size, scale, length = axis.size, axis.scale, axis.size * axis.scale
    match rule:
        case "asymmetric":
            return i / scale
        case "half_pixel":
            return (i + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (i + 0.5) / scale - 0.5 if axis.out > 1 else np.zeros(1)
        case "half_pixel_symmetric":
            return size / 2 * (1 - axis.out / length) + (i + 0.5) / scale - 0.5
        case "align_corners":
            return i * (size - 1) / (axis.out - 1) if axis.out > 1 else np.zeros(axis.out)
        case "tf_crop_and_resize":
            width = (axis.end - axis.start) * (size - 1)
            inner = i * width / (axis.out - 1) if axis.out > 1 else np.full(axis.out, width / 2)
            return axis.start * (size - 1) + inner
    raise Unsupported(f"the rule '{rule}' is not known", "coordinate_transformation_mode")


def matrix(axis: Axis, rule: Resampling) -> Float64Array:
    """The matrix (out, size) of a resampling; rows of zeros where tf_crop_and_resize leaves the input.

    Raises:
        MemoryLimitError: it would take more than ``limits.memory_limit``.
    """
    require_memory(8 * axis.out * axis.size, f"the matrix that resamples {axis.size} to {axis.out} pixels")
    places = coordinates(axis, rule.coordinates)
    if rule.mode == "nearest":
        places = places.astype(np.float32).astype(np.float64)  # 12 / 2.4 is 5, where the scale is a float32
        picked = np.clip(_rounded(places, rule.nearest, axis.scale), 0, axis.size - 1)
        result = np.zeros((axis.out, axis.size))
        result[np.arange(axis.out), picked] = 1.0
    else:
        result = _interpolating(places, axis, rule)
    if rule.coordinates == "tf_crop_and_resize":
        result[(places < 0) | (places > axis.size - 1)] = 0.0
    return result


def leaves_input(axis: Axis, rule: Resampling) -> npt.NDArray[np.bool_]:
    """Mask (out,) of outputs where tf_crop_and_resize fills in its extrapolation value."""
    places = coordinates(axis, rule.coordinates)
    outside: npt.NDArray[np.bool_] = (places < 0) | (places > axis.size - 1)
    return outside & (rule.coordinates == "tf_crop_and_resize")


def picks(resampling: Float64Array) -> npt.NDArray[np.int64] | None:
    """The input index of each output if every row is one-hot, else None."""
    one_hot = ((resampling == 1).sum(1) == 1) & ((resampling != 0).sum(1) == 1)
    return resampling.argmax(1).astype(np.int64) if one_hot.all() else None


def _interpolating(places: Float64Array, axis: Axis, rule: Resampling) -> Float64Array:
    kernels: dict[str, tuple[int, Callable[[Float64Array], Float64Array]]] = {
        "linear": (1, lambda d: np.clip(1 - np.abs(d), 0, None)),
        "cubic": (2, lambda d: _cubic(np.abs(d), rule.cubic_a)),
    }
    if rule.mode not in kernels:
        raise Unsupported(f"mode '{rule.mode}' is not known; use nearest, linear or cubic", "mode")
    support, kernel = kernels[rule.mode]
    shrink = min(axis.scale, 1.0) if rule.antialias else 1.0
    reach = int(np.ceil(support / shrink))
    require_memory(32 * axis.out * reach, f"the taps that resample {axis.size} to {axis.out} pixels")
    taps = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    weights = kernel((taps - places[:, None]) * shrink)
    if rule.exclude_outside:
        weights = np.where((taps >= 0) & (taps < axis.size), weights, 0.0)
    if rule.antialias or rule.exclude_outside:
        weights = weights / weights.sum(1, keepdims=True)
    result = np.zeros((axis.out, axis.size))
    np.add.at(result, (np.arange(axis.out)[:, None], np.clip(taps, 0, axis.size - 1)), weights)
    return result


def _cubic(distance: Float64Array, a: float) -> Float64Array:
    """Keys' cubic convolution kernel (Keys 1981, eq. 4)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _rounded(places: Float64Array, rule: str, scale: float) -> npt.NDArray[np.int64]:
    match rule:
        case "simple":  # before opset 11, when models could not say
            picked = np.ceil(places) if scale < 1 else np.floor(places)
        case "floor":
            picked = np.floor(places)
        case "ceil":
            picked = np.ceil(places)
        case "round_prefer_floor":
            picked = np.ceil(places - 0.5)
        case "round_prefer_ceil":
            picked = np.floor(places + 0.5)
        case _:
            raise Unsupported(f"the rule '{rule}' is not known", "nearest_mode")
    return picked.astype(np.int64)
