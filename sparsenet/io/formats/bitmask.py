"""The bitmask format: one bit per position says where the nonzeros are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sparsenet.errors import ModelFileError
from sparsenet.io.formats.matrix import Values, check_values, matrix_shape


@dataclass(frozen=True)
class Bitmask:
    """A weight as its nonzeros and one bit per position.

    It beats CSR with 16-bit columns wherever more than one weight in 16 is kept.

    Attributes:
        values: (nnz,), in C order.
        bits: (⌈size / 8⌉,) uint8; position i is bit i mod 8, counted from the least significant, of byte i div 8.
        shape: of the weight.
    """

    values: Values
    bits: npt.NDArray[np.uint8]
    shape: tuple[int, ...]

    @classmethod
    def from_dense(cls, weight: Values) -> Self:
        """Keep the nonzeros of ``weight``, of any shape; -0.0 counts as zero."""
        kept = weight.reshape(-1) != 0
        return cls(weight.reshape(-1)[kept], np.packbits(kept, bitorder="little"), weight.shape)

    def to_dense(self) -> Values:
        """The weight in its shape, zeros filled in. Call ``validate`` first on data from outside."""
        weight = np.zeros(math.prod(self.shape), self.values.dtype)
        weight[self.positions()] = self.values
        return weight.reshape(self.shape)

    def rows(self) -> npt.NDArray[np.int64]:
        """(nnz,) the row of each value."""
        return np.flatnonzero(self.positions()) // matrix_shape(self.shape)[1]

    def columns(self) -> npt.NDArray[np.uint32]:
        """(nnz,) the column of each value."""
        return (np.flatnonzero(self.positions()) % matrix_shape(self.shape)[1]).astype(np.uint32)

    def positions(self) -> npt.NDArray[np.bool_]:
        """(size,) True where a value is stored."""
        return np.unpackbits(self.bits, count=math.prod(self.shape), bitorder="little").view(np.bool_)

    def validate(self) -> None:
        """Raise ModelFileError unless there is one finite value per set bit and the spare bits are zero."""
        size = math.prod(self.shape)
        if self.bits.shape != (-(-size // 8),):
            raise ModelFileError(f"has {self.bits.size} bytes of bitmask, expected {-(-size // 8)}")
        if size % 8 and self.bits[-1] >> (size % 8):
            raise ModelFileError("has bits set beyond the end of the weight")
        check_values(self.values, int(np.bitwise_count(self.bits).sum()))
