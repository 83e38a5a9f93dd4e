"""Weights as the pattern-bucket kernel streams them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.kernels.patterns import patterns, rows_of

Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PatternStream:
    """A sparse matrix for ``f32_conv_pattern_rows``; G groups of R rows, P = 2**R - 1 patterns.

    Attributes:
        stream: int32 words; per chunk, group, pattern and column: the byte offset, then the pattern's weights (bits of
            float32) by ascending place in the group.
        counts: uint16 (chunks, G, P): columns per pattern, in the order of ``patterns``.
        channels: int32 (G, R): output channel of every place. A group short of rows repeats one of its own channels in
            its first places, without weights: what they store, the last place writes again.
    """

    stream: Integers
    counts: npt.NDArray[np.uint16]
    channels: Integers

    @property
    def row_groups(self) -> int:
        """G."""
        return int(self.channels.shape[0])

    @property
    def chunks(self) -> int:
        """How many chunks of columns."""
        return int(self.counts.shape[0])


def group_rows(nonzero: npt.NDArray[np.bool_], outputs: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Put rows that use the same columns together: (G, R) row numbers, and which of them are real.

    Greedy: the row with most nonzeros among those left, then R - 1 times the row that shares most columns with the
    group so far. Places beyond the last row stand first in the last group, repeat one of its rows and are not real.

    Args:
        nonzero: (rows, columns).
        outputs: R.
    """
    rows = nonzero.shape[0]
    numbers = nonzero.astype(np.float32)
    shared = numbers @ numbers.T
    size = shared.diagonal().copy()
    hole = np.float32(-1 - outputs * nonzero.shape[1])  # so deep that no sum of overlaps gets out of it
    taken = np.zeros(rows, np.float32)
    order: list[int] = []
    for _ in range(0, rows, outputs):
        row = int(size.argmax())
        score = shared[row] + taken
        for place in range(min(outputs, rows - len(order))):
            if place:
                row = int(score.argmax())
                score += shared[row]
            order.append(row)
            size[row] = score[row] = taken[row] = hole
    padding = -rows % outputs
    last = len(order) - (outputs - padding)
    order[last:last] = [order[-1]] * padding
    real = np.ones(len(order), np.bool_)
    real[last : last + padding] = False
    return np.asarray(order, np.int32).reshape(-1, outputs), real.reshape(-1, outputs)


def pattern_stream(
    matrix: FloatArray,
    offsets: npt.NDArray[np.integer],
    outputs: int,
    boundaries: Sequence[int] = (),
    groups: int = 1,
) -> PatternStream:
    """Pack ``matrix`` for groups of ``outputs`` rows.

    Args:
        matrix: (C_out, taps) weights.
        offsets: byte offset of each tap, shape (taps,) or, where rows differ (groups), (C_out, taps).
        outputs: R, rows per group.
        boundaries: ascending tap numbers at which a new chunk starts, 0 and ``taps`` left out.
        groups: of the convolution; rows of different ones have different offsets and never share a row group.

    Raises:
        ValueError: a bucket of more than 65535 columns: more boundaries are needed.
    """
    c_out, taps = matrix.shape
    per_group = c_out // groups
    parts = [
        group_rows(matrix[first : first + per_group] != 0, outputs) for first in range(0, c_out, per_group)
    ]
    channels = np.concatenate(
        [rows + np.int32(i * per_group) for i, (rows, _) in enumerate(parts)], dtype=np.int32
    )
    real = np.concatenate([is_real for _, is_real in parts])
    values = np.where(real[:, :, None], matrix[channels], np.float32(0))

    order = patterns(outputs)
    bucket_of = np.zeros(1 << outputs, np.uint8)
    bucket_of[order] = np.arange(1, len(order) + 1)
    mask = np.zeros((channels.shape[0], taps), np.uint8)
    for place in range(outputs):
        mask |= (values[:, place] != 0).astype(np.uint8) << np.uint8(place)
    buckets = bucket_of[mask]

    group_of, tap_of, counts = [], [], []
    for first, last in pairwise([0, *boundaries, taps]):
        by_bucket = np.argsort(buckets[:, first:last], axis=1, kind="stable")
        used = np.take_along_axis(buckets[:, first:last], by_bucket, 1) > 0
        group_of.append(np.nonzero(used)[0])
        tap_of.append(by_bucket[used] + first)
        places = np.arange(channels.shape[0])[:, None] * (len(order) + 1) + buckets[:, first:last]
        size = channels.shape[0] * (len(order) + 1)
        counts.append(
            np.bincount(places.ravel(), minlength=size).reshape(channels.shape[0], len(order) + 1)[:, 1:]
        )
    count = np.stack(counts)
    if count.max(initial=0) > np.iinfo(np.uint16).max:
        raise ValueError(
            f"{count.max()} columns of one pattern, at most 65535 can be counted: use more chunks"
        )

    group, tap = np.concatenate(group_of), np.concatenate(tap_of)
    column_mask = mask[group, tap]
    weights_before = np.zeros((outputs + 1, 1 << outputs), np.int64)
    for pattern in order:
        for row in rows_of(pattern):
            weights_before[row + 1 :, pattern] += 1
    words = 1 + weights_before[outputs, column_mask]
    starts = np.cumsum(words) - words
    stream = np.empty(int(words.sum()), np.int32)
    stream[starts] = offsets[tap] if offsets.ndim == 1 else offsets[channels[group, -1], tap]
    bits = values.view(np.int32)
    for place in range(outputs):
        at = np.flatnonzero(column_mask >> np.uint8(place) & 1)
        word = starts[at] + 1 + weights_before[place, column_mask[at]]
        stream[word] = bits[group[at], place, tap[at]]
    return PatternStream(stream, count.astype(np.uint16), channels)
