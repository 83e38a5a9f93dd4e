"""Quantization: the grid that a tensor's numbers are rounded to, as an annotation of the graph.

Ops keep their meaning, whether their tensors are annotated or not. A node of which every tensor has such a grid can be
computed in integers (see ``graph.integer``); the grid says which integer stands for which number. Affine quantization,
as Jacob et al., arXiv 1712.05877, and ONNX's ``QuantizeLinear`` have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.errors import GraphError
from sparsenet.graph.types import I8, U8, ElementType, FloatArray, Shape

Integers = npt.NDArray[np.integer[Any]]
#: Scales below this are subnormal, so their products lose digits; those above it may overflow.
LEAST_SCALE, MOST_SCALE = 2.0**-126, 2.0**126
#: The largest magnitude of an int8 weight. Those made here are symmetric, to 127; other tools' may be -128.
LARGEST_WEIGHT = 128


@dataclass(frozen=True, eq=False)
class Quantization:
    """Which integer stands for which number: number = scale * (integer - zero_point), in float32.

    Attributes:
        element: U8 for what is computed (and the inputs), I8 for weights.
        scale: float32, shape () for one grid, or (C,) for one per channel of ``axis``.
        zero_point: the integer that stands for 0: 0 to 255 for U8, 0 for I8.
        axis: the axis whose channels have a scale each; None if there is one for all.
    """

    element: ElementType
    scale: FloatArray
    zero_point: int = 0
    axis: int | None = None

    @classmethod
    def of_activations(cls, scale: float, zero_point: int) -> Quantization:
        """The grid of a tensor that is computed: unsigned bytes."""
        return cls(U8, np.asarray(scale, np.float32).reshape(()), int(zero_point))

    @classmethod
    def of_weights(cls, scale: npt.ArrayLike) -> Quantization:
        """The grid of a weight: signed bytes, one scale () or one per output channel (C_out,)."""
        scales = np.asarray(scale, np.float32)
        return cls(I8, scales, 0, 0 if scales.ndim else None)

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest integer."""
        return (0, 255) if self.element is U8 else (-128, 127)

    def round(self, numbers: npt.ArrayLike) -> Integers:
        """The integers nearest to ``numbers``, halves to the even one; what lies outside goes to the end of the range.

        The quotient is float32's for float32 numbers, as in ONNX, and float64's for others.
        """
        array = np.asarray(numbers)
        if array.dtype != np.float32:
            array = array.astype(np.float64)
        scale = self._spread(array.ndim).astype(array.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            steps = np.rint(array / scale) + array.dtype.type(self.zero_point)
        least, most = self.range
        integers: Integers = np.clip(np.nan_to_num(steps, nan=least), least, most).astype(self.element.dtype)
        return integers

    def numbers(self, integers: npt.ArrayLike) -> FloatArray:
        """The float32 numbers that ``integers`` stand for."""
        array = np.asarray(integers).astype(np.int32) - np.int32(self.zero_point)
        return np.asarray(self._spread(array.ndim) * array.astype(np.float32), np.float32)

    def same_grid(self, other: Quantization) -> bool:
        """Whether the same integers stand for the same numbers."""
        return (
            self.element is other.element
            and self.zero_point == other.zero_point
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
        )

    def check(self, tensor: str, shape: Shape) -> None:
        """Raise GraphError, which names the tensor, unless this can be the grid of one of this shape."""
        what = f"the quantization of '{tensor}'"
        if self.element not in (U8, I8):
            raise GraphError(f"{what} is to {self.element}; it must be u8 (computed tensors) or i8 (weights)")
        least, most = (0, 255) if self.element is U8 else (0, 0)
        if not least <= self.zero_point <= most:
            raise GraphError(f"{what} has the zero point {self.zero_point}; it must be {least} to {most}")
        if (self.axis is None) != (self.scale.ndim == 0) or self.scale.dtype != np.float32:
            raise GraphError(f"{what} needs one float32 scale, or one for each channel of an axis")
        if self.axis is not None and (
            self.element is U8 or self.axis != 0 or self.scale.shape != shape[:1] or not shape
        ):
            raise GraphError(
                f"{what} has {self.scale.size} scales along axis {self.axis}; only weights may, along axis 0, "
                f"one for each output channel: the shape is {shape}"
            )
        if not ((self.scale >= LEAST_SCALE) & (self.scale <= MOST_SCALE)).all():
            raise GraphError(f"{what} has a scale outside of {LEAST_SCALE:.3g} to {MOST_SCALE:.3g}")

    def _spread(self, ndim: int) -> FloatArray:
        """The scales, to be multiplied with an array of ``ndim`` axes."""
        return self.scale if self.axis is None else self.scale.reshape(-1, *[1] * (ndim - 1))
