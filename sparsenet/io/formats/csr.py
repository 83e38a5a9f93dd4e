"""Compressed sparse rows (CSR): for each output channel, its nonzeros and their columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sparsenet.errors import ModelFileError
from sparsenet.io.formats.matrix import Values, check_values, matrix_shape

Index = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class CSR:
    """A weight as the nonzeros of the matrix [C_out, C_in · K_h · K_w].

    Attributes:
        values: (nnz,), row after row, in each row from left to right.
        col_indices: (nnz,) uint32, the column of each value.
        row_offsets: (C_out + 1,) uint32; row r owns values ``row_offsets[r] : row_offsets[r + 1]``.
        shape: of the weight.
    """

    values: Values
    col_indices: Index
    row_offsets: Index
    shape: tuple[int, ...]

    @classmethod
    def from_dense(cls, weight: Values) -> Self:
        """Keep the nonzeros of ``weight``, of shape (C_out, ...); -0.0 counts as zero."""
        matrix = weight.reshape(matrix_shape(weight.shape))
        rows, columns = np.nonzero(matrix)
        offsets = np.zeros(matrix.shape[0] + 1, np.uint32)
        offsets[1:] = np.cumsum(np.count_nonzero(matrix, axis=1))
        return cls(matrix[rows, columns], columns.astype(np.uint32), offsets, weight.shape)

    @property
    def nnz(self) -> int:
        """Number of stored values."""
        return int(self.values.size)

    def rows(self) -> npt.NDArray[np.int64]:
        """(nnz,) the row of each value."""
        offsets = self.row_offsets.astype(np.int64)
        return np.repeat(np.arange(offsets.size - 1), offsets[1:] - offsets[:-1])

    def columns(self) -> Index:
        """(nnz,) the column of each value."""
        return self.col_indices

    def to_dense(self) -> Values:
        """The weight in its shape, zeros filled in. Call ``validate`` first on data from outside."""
        matrix = np.zeros(matrix_shape(self.shape), self.values.dtype)
        matrix[self.rows(), self.col_indices] = self.values
        return matrix.reshape(self.shape)

    def validate(self) -> None:
        """Raise ModelFileError unless every offset, column and value may be trusted by a kernel without checks.

        Offsets must start at 0, never fall, and end at the number of values; columns must be inside the matrix and
        rise strictly within a row; values must be finite.
        """
        rows, columns = matrix_shape(self.shape)
        offsets, indices = self.row_offsets.astype(np.int64), self.col_indices.astype(np.int64)
        if offsets.shape != (rows + 1,):
            raise ModelFileError(f"has {offsets.shape} row offsets, expected ({rows + 1},)")
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise ModelFileError("has row offsets that do not start at 0 or that fall")
        check_values(self.values, int(offsets[-1]))
        if indices.shape != self.values.shape:
            raise ModelFileError(f"has {indices.size} column indices for {self.values.size} values")
        if indices.size and (indices.min() < 0 or indices.max() >= columns):
            raise ModelFileError(f"has column indices outside 0 … {columns - 1}")
        rises = np.diff(indices) > 0
        starts = offsets[1:-1]
        rises[starts[(starts > 0) & (starts < indices.size)] - 1] = True  # a new row may start anywhere
        if not rises.all():
            raise ModelFileError("has column indices that repeat or are out of order within a row")
