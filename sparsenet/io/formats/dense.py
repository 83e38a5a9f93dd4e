"""The dense format: every value, zeros included, in C order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sparsenet.io.formats.matrix import Values, check_values, matrix_shape


@dataclass(frozen=True)
class Dense:
    """A weight as the plain list of its values.

    Attributes:
        values: (C_out · C_in · K_h · K_w,), row after row.
        shape: of the weight.
    """

    values: Values
    shape: tuple[int, ...]

    @classmethod
    def from_dense(cls, weight: Values) -> Self:
        """Store ``weight``, of any shape."""
        return cls(weight.reshape(-1), weight.shape)

    def rows(self) -> npt.NDArray[np.int64]:
        """(size,) the row of each value."""
        rows, columns = matrix_shape(self.shape)
        return np.repeat(np.arange(rows), columns)

    def to_dense(self) -> Values:
        """The weight in its shape, in memory of its own."""
        return self.values.reshape(self.shape).copy()

    def validate(self) -> None:
        """Raise ModelFileError unless there is one finite value for every position."""
        check_values(self.values, math.prod(self.shape))
