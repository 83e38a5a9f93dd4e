"""How single values are written: float32, float16, or int8 with scales, of each output channel or of the whole array.

The scales of what only is to be small are bfloat16; those of a quantized constant, its grid, are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.errors import ModelFileError
from sparsenet.graph.quantization import LEAST_SCALE, MOST_SCALE
from sparsenet.graph.types import FloatArray
from sparsenet.io.formats.matrix import Values, matrix_shape

#: Value encoding → NumPy dtype, little-endian.
DTYPES: dict[str, np.dtype[Any]] = {"f32": np.dtype("<f4"), "f16": np.dtype("<f2"), "i8": np.dtype("i1")}
LARGEST_F16 = 65504.0
SMALLEST_NORMAL_F16 = 2.0**-14

#: bfloat16 bit patterns, or float32 numbers: (C_out,), or the latter () for one scale.
Scales = npt.NDArray[np.uint16] | FloatArray


def encode(weight: FloatArray, values: str) -> tuple[Values, npt.NDArray[np.uint16] | None]:
    """Write a finite ``weight`` (C_out, ...) as ``values``: "f32", "f16" or "i8".

    i8 is symmetric per output channel: q = round(w / scale) in [-127, 127] with scale = max|w| / 127. The scale is
    kept as bfloat16, rounded up *before* the division, so its two bytes cost no accuracy and q never overflows. A
    channel of zeros has scale 0. A small nonzero weight may round to 0; the sparsity can rise, never fall.

    Returns:
        the encoded values in the shape of ``weight``, and for i8 the scales (C_out,) as bfloat16 bit patterns.

    Raises:
        ModelFileError: a value is too large for f16.
    """
    if values == "f32":
        return weight.astype(DTYPES["f32"], copy=False), None
    if values == "f16":
        largest = float(np.abs(weight).max(initial=0.0))
        if largest > LARGEST_F16:
            raise ModelFileError(
                f"holds {largest:g}, more than f16 can ({LARGEST_F16:g}); use values='f32' or 'i8'"
            )
        return weight.astype(DTYPES["f16"]), None
    matrix = weight.reshape(matrix_shape(weight.shape)).astype(np.float64)
    scales = _bfloat16_up(np.abs(matrix).max(axis=1, initial=0.0) / 127)
    divisor = _from_bfloat16(scales).astype(np.float64)
    divisor[divisor == 0] = 1.0
    return np.rint(matrix / divisor[:, None]).astype(DTYPES["i8"]).reshape(weight.shape), scales


def decode(encoded: Values, scales: Scales | None) -> FloatArray:
    """The float32 weight of the shape of ``encoded`` (C_out, ...); ``scales`` (C_out,) or () for i8, else None.

    What is float32 already is handed back as it is. With a bfloat16 scale the product, of 7 and 8 significant bits, is
    exact in the 24 of float32; with a float32 scale it is rounded to float32, as the numbers of a grid are.
    """
    if scales is None:
        return encoded.astype(np.float32, copy=False)
    matrix = encoded.reshape(matrix_shape(encoded.shape)).astype(np.float32)
    with np.errstate(over="ignore"):  # the caller checks for infinity and knows the tensor's name
        product: FloatArray = matrix * _numbers(scales).reshape(-1, 1)
    return product.reshape(encoded.shape)


def validate(encoded: Values, scales: Scales | None) -> None:
    """Raise ModelFileError unless int8 values and their scales are what they may be.

    bfloat16 scales are finite and not negative, and their values in [-127, 127]; float32 ones are within what a grid
    may have.
    """
    if scales is None:
        return
    if scales.dtype == np.float32:
        if not ((scales >= LEAST_SCALE) & (scales <= MOST_SCALE)).all():
            raise ModelFileError(f"has a scale outside of {LEAST_SCALE:.3g} to {MOST_SCALE:.3g}")
        return
    if (encoded == -128).any():
        raise ModelFileError("holds the value -128; i8 values are -127 … 127")
    if (scales >= 0x7F80).any():  # the sign bit, infinity or NaN
        raise ModelFileError("has a scale that is negative, infinite or NaN")


def may_overflow(scales: Scales | None) -> bool:
    """Whether a product of one of the scales, which are valid, and an int8 value can be infinite."""
    with np.errstate(over="ignore"):
        return scales is not None and not np.isfinite(_numbers(scales) * np.float32(127)).all()


def fits_f16(array: FloatArray) -> bool:
    """Whether float16 keeps ``array`` to 2⁻¹¹ of its largest magnitude: no overflow, not all subnormal."""
    largest = float(np.abs(array).max(initial=0.0))
    return largest == 0 or SMALLEST_NORMAL_F16 <= largest <= LARGEST_F16


def _bfloat16_up(positive: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """The smallest bfloat16 not below each number >= 0, as bit patterns."""
    single = positive.astype(np.float32)
    single = np.where(single < positive, np.nextafter(single, np.float32(np.inf)), single)
    return ((single.view(np.uint32) + np.uint32(0xFFFF)) >> np.uint32(16)).astype(np.uint16)


def _numbers(scales: Scales) -> FloatArray:
    return np.asarray(scales) if scales.dtype == np.float32 else _from_bfloat16(scales)


def _from_bfloat16(bits: npt.NDArray[Any]) -> FloatArray:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
