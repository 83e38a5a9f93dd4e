"""Packing of weights in the form in which each kernel streams them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.io.formats.csr import CSR

Word = TypeVar("Word", np.float32, np.int32)
#: A matrix of float32 weights, or of int32, the quads of weights in 8 bits.
Matrix = FloatArray | npt.NDArray[np.int32]


def csr_stream(
    matrix: Matrix, offsets: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Pack CSR weights: row offsets, and (value, byte offset) pairs of the nonzeros as int32 words.

    Args:
        matrix: (C_out, taps) weights.
        offsets: byte offset of each tap, shape (taps,) or, where rows differ (groups), (C_out, taps).
    """
    rows, columns = np.nonzero(matrix)
    byte_offsets = offsets[columns] if offsets.ndim == 1 else offsets[rows, columns]
    stream = np.empty((rows.size, 2), np.int32)
    stream[:, 0] = matrix[rows, columns].view(np.int32)
    stream[:, 1] = byte_offsets
    row_offsets = np.zeros(matrix.shape[0] + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=matrix.shape[0]), out=row_offsets[1:])
    return row_offsets, stream


def dense_blocks(
    matrix: npt.NDArray[Word], outputs: int, groups: int = 1, repeats: int = 1
) -> npt.NDArray[Word]:
    """Pack dense weights ``[group][block of outputs][tap][output]``; a group's last block overlaps the one before it.

    Every weight is stored ``repeats`` times in a row.
    """
    per_group = matrix.shape[0] // groups
    blocks = []
    for group in range(groups):
        for start in range(0, per_group, outputs):
            first = group * per_group + min(start, per_group - outputs)
            blocks.append(matrix[first : first + outputs].T)
    return np.repeat(np.stack(blocks), repeats, axis=-1)


def linear_blocks(matrix: npt.NDArray[Word], block: int) -> npt.NDArray[Word]:
    """Pack a matrix ``[block of outputs][input][output]``, outputs padded with zeros to whole blocks."""
    c_out, c_in = matrix.shape
    padded = np.zeros((-(-c_out // block) * block, c_in), matrix.dtype)
    padded[:c_out] = matrix
    return np.ascontiguousarray(padded.reshape(-1, block, c_in).transpose(0, 2, 1))


def linear_groups(csr: CSR, lanes: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
    """Pack groups of ``lanes`` rows, zero-padded to the longest of them (SELL-C, Kreutzer et al., arXiv 1307.6209).

    Args:
        csr: float32 (C_out, C_in), its nonzeros alone.

    Returns:
        How many steps precede each group; and all steps, one per row: ``lanes`` float32 values, then as many
        numbers of inputs, uint16 if those suffice, else uint32, everything as 16-bit words.
    """
    c_out, c_in = csr.shape
    index = np.dtype(np.uint16 if c_in <= 1 << 16 else np.uint32)
    starts = csr.row_offsets.astype(np.int64)
    counts = starts[1:] - starts[:-1]
    lengths = [int(counts[start : start + lanes].max()) for start in range(0, c_out, lanes)]
    group_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    rows = csr.rows()
    step, lane = group_offsets[rows // lanes] + np.arange(rows.size) - starts[rows], rows % lanes
    values = np.zeros((group_offsets[-1], lanes), np.float32)
    numbers = np.zeros((group_offsets[-1], lanes), index)
    values[step, lane], numbers[step, lane] = csr.values, csr.col_indices
    return group_offsets, np.concatenate([values.view(np.uint16), numbers.view(np.uint16)], axis=1)
