"""Weights as ``cuda.conv`` reads them: groups of rows over shared columns, in steps of four columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.plan.lowering.row_groups import group_rows

#: Columns of a step: their offsets are one 128-bit load.
STEP = 4

Words = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RowGroups:
    """A matrix in G groups of R rows.

    Attributes:
        channels: (G, R) the output channel of every row; a group short of rows repeats one of its own.
        spans: (G, 3) first step, step behind the last, and what to add to a step for the place of its columns.
        columns: (steps, 4) input offsets; a group short of columns repeats its last one, with weights of zero.
        values: (steps, 4, R) weights.
    """

    channels: Words
    spans: Words
    columns: Words
    values: FloatArray


def sparse_groups(matrix: FloatArray, offsets: npt.NDArray[np.int64], rows: int, groups: int) -> RowGroups:
    """Groups of rows with similar columns, longest first, each with the columns that any of its rows uses.

    Args:
        matrix: (C_out, taps) weights.
        offsets: (groups, taps) input offset of every tap.
        rows: R.
        groups: of the convolution; rows of different ones share no group.
    """
    channels = group_rows(matrix != 0, rows, groups)
    per_group = matrix.shape[0] // groups
    grouped = matrix[channels]  # (G, R, taps)
    used = (grouped != 0).any(axis=1)
    order = np.argsort(-used.sum(axis=1), kind="stable")
    channels, grouped, used = channels[order], grouped[order], used[order]
    counts = used.sum(axis=1)
    steps = -(-counts // STEP)
    ends = np.cumsum(steps)
    spans = np.stack([ends - steps, ends, np.zeros_like(ends)], axis=1).astype(np.int32)

    owner, tap = np.nonzero(used)
    place = np.arange(owner.size) - (np.cumsum(counts) - counts)[owner] + spans[owner, 0] * STEP
    columns = np.zeros(int(ends[-1]) * STEP, np.int32)
    values = np.zeros((int(ends[-1]) * STEP, rows), np.float32)
    columns[place] = offsets[channels[owner, 0] // per_group, tap]
    values[place] = grouped[owner, :, tap]
    filled = np.zeros(columns.size, bool)
    filled[place] = True
    latest = np.maximum.accumulate(np.where(filled, np.arange(columns.size), 0))
    return RowGroups(channels, spans, columns[latest].reshape(-1, STEP), values.reshape(-1, STEP, rows))


def dense_groups(matrix: FloatArray, offsets: npt.NDArray[np.int64], rows: int, groups: int) -> RowGroups:
    """Groups of consecutive rows; those of one group of the convolution share one list of all its columns."""
    per_group, taps = matrix.shape[0] // groups, matrix.shape[1]
    count, steps = -(-per_group // rows), -(-taps // STEP)
    member = np.minimum(np.arange(count * rows).reshape(count, rows), per_group - 1)
    part = np.arange(groups).repeat(count)
    channels = (member[None] + per_group * np.arange(groups)[:, None, None]).reshape(-1, rows)
    first = np.arange(part.size) * steps
    spans = np.stack([first, first + steps, part * steps - first], axis=1)
    column = np.minimum(np.arange(steps * STEP), taps - 1)
    values = np.zeros((part.size, steps * STEP, rows), np.float32)
    values[:, :taps] = matrix[channels].transpose(0, 2, 1)
    return RowGroups(
        channels.astype(np.int32),
        spans.astype(np.int32),
        offsets[:, column].reshape(-1, STEP).astype(np.int32),
        values.reshape(-1, STEP, rows),
    )


#: Format → how it is packed.
PACK = {"csr": sparse_groups, "dense": dense_groups}
