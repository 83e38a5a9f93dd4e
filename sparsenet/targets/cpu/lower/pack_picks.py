"""Packing of sparse matrices of quads for ``u8_linear_csr_flat``: steps of one quad for each row of a group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.plan.lowering.row_groups import Words


class Picks(NamedTuple):
    """A matrix of quads, its rows in groups of as many as a vector has lanes.

    Attributes:
        group_offsets: int32 (G + 1,), how many steps precede each group; even numbers.
        windows: int32 (steps,), byte offset of the first input that a step reads.
        weights: int32 (steps, lanes), a quad for each row; 0 where a row does not take part.
        places: uint8 (steps, lanes), which quad behind the window it is multiplied with.
    """

    group_offsets: Words
    windows: Words
    weights: Words
    places: npt.NDArray[np.uint8]


def picks(matrix: Words, lanes: int) -> Picks:
    """Pack (outputs, quads of inputs): in every step each row takes its next quad, if that is in the step's window.

    A window is ``lanes`` quads from the first that any row of the group still needs, moved back where inputs end.
    """
    outputs, quads = matrix.shape
    groups, last = -(-outputs // lanes), max(0, quads - lanes)
    rows, columns = np.nonzero(matrix)
    counts = np.bincount(rows, minlength=groups * lanes)
    # For every row the numbers of its quads, then one that no window reaches.
    beyond = quads + lanes
    todo = np.full((groups * lanes, int(counts.max(initial=0)) + 1), beyond)
    todo[rows, np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)] = columns
    lane_rows, done = np.arange(groups * lanes), np.zeros(groups * lanes, np.int64)
    starts, taken = [], []
    while True:
        next_quads = todo[lane_rows, done].reshape(groups, lanes)
        start = next_quads.min(axis=1)
        if (start == beyond).all():
            break
        start = np.where(start == beyond, beyond, np.minimum(start, last))
        takes = (next_quads < (start + lanes)[:, None]) & (next_quads < beyond)
        starts.append(start)
        taken.append(np.where(takes, next_quads, -1))
        done += takes.reshape(-1)
    windows = np.array(starts, np.int64).reshape(-1, groups).T  # group, step
    numbers = np.array(taken, np.int64).reshape(-1, groups, lanes).transpose(1, 0, 2)
    steps = (windows < beyond).sum(axis=1)
    padded = steps + steps % 2
    group_offsets = np.concatenate([[0], np.cumsum(padded)]).astype(np.int32)
    out = Picks(
        group_offsets,
        np.zeros(group_offsets[-1], np.int32),
        np.zeros((group_offsets[-1], lanes), np.int32),
        np.zeros((group_offsets[-1], lanes), np.uint8),
    )
    for group, (first, count) in enumerate(zip(group_offsets.tolist(), steps.tolist(), strict=False)):
        number, window = numbers[group, :count], windows[group, :count]
        step, lane = np.nonzero(number >= 0)
        column = number[step, lane]
        out.windows[first : first + count] = window * matrix.itemsize
        out.weights[first + step, lane] = matrix[group * lanes + lane, column]
        out.places[first + step, lane] = column - window[step]
    return out
