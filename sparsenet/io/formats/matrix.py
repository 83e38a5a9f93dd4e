"""The parts that all formats share: the matrix view of a weight, and the check of its values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.errors import ModelFileError

#: Weight values: float32, float16, or int8 to be multiplied with per-channel scales.
Values = npt.NDArray[Any]


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a weight: (C_out, ...) → (C_out, C_in · K_h · K_w); a scalar is 1 × 1."""
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def check_values(values: Values, count: int) -> None:
    """Raise ModelFileError unless ``values`` is one vector of ``count`` finite numbers."""
    if values.shape != (count,):
        raise ModelFileError(f"has {values.shape} values, expected ({count},)")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ModelFileError("holds NaN or infinity")
