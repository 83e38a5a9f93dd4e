"""Weights as the pattern kernel streams them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.kernels.patterns import step_kinds, step_words

Words = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PatternStream:
    """A sparse matrix for ``f32_conv_pattern_rows``: G groups of R rows, K kinds of steps.

    Attributes:
        stream: int32 words; per chunk, group, kind, step and block of the kind: a byte offset, then one weight (the
            bits of a float32) per row of the block, ascending.
        counts: uint16 (chunks, G, K): steps of each kind, in the order of ``step_kinds``.
        channels: int32 (chunks, G, R): the output channel of every row. Chunks group rows differently; a group short of
            rows repeats one of its own.
    """

    stream: Words
    counts: npt.NDArray[np.uint16]
    channels: Words

    @property
    def chunks(self) -> int:
        """How many chunks of columns."""
        return int(self.counts.shape[0])

    @property
    def row_groups(self) -> int:
        """G."""
        return int(self.counts.shape[1])


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
        ValueError: more than 65535 steps of one kind: more boundaries are needed.
    """
    parts = []
    for first, last in pairwise([0, *boundaries, matrix.shape[1]]):
        channels = group_rows(np.count_nonzero(matrix[:, first:last], axis=1), outputs, groups)
        rows = channels[:, 0]
        where = offsets[first:last] if offsets.ndim == 1 else offsets[rows, first:last]
        parts.append((*_pack(matrix[channels, first:last], where), channels))
    counts = np.stack([count for _, count, _ in parts])
    if counts.max(initial=0) > np.iinfo(np.uint16).max:
        raise ValueError(f"{counts.max()} steps of one kind, at most 65535 can be counted: use more chunks")
    return PatternStream(
        np.concatenate([stream for stream, _, _ in parts]),
        counts.astype(np.uint16),
        np.stack([channels for _, _, channels in parts]),
    )


def group_rows(nonzeros: npt.NDArray[np.integer], outputs: int, groups: int = 1) -> Words:
    """Rows in groups of ``outputs`` with about as many nonzeros each, (G, outputs): a group is as slow as its fullest.

    Args:
        nonzeros: of each row, (rows,).
        outputs: rows per group; if the rows do not go round, the last one of its group is repeated.
        groups: consecutive equal parts of the rows that are not to be mixed.
    """
    per_part = nonzeros.size // groups
    order = np.argsort(-nonzeros.reshape(groups, per_part), axis=1, kind="stable")
    order = np.pad(order, ((0, 0), (0, -per_part % outputs)), mode="edge")
    return (order + np.arange(groups)[:, None] * per_part).reshape(-1, outputs).astype(np.int32)


def _pack(values: FloatArray, offsets: npt.NDArray[np.integer]) -> tuple[Words, Numbers]:
    """Stream and counts (G, K) of one chunk: ``values`` (G, R, taps), ``offsets`` (taps,) or (G, taps)."""
    groups, rows, _ = values.shape
    kinds = step_kinds(rows)
    words = np.asarray([step_words(kind) for kind in kinds])
    group, tap, pattern, rank, found = _columns(values)
    where = offsets[tap] if offsets.ndim == 1 else offsets[group, tap]
    bits = values.view(np.int32)

    # Columns that find partners: as many of each pattern as there are of all others in its kind.
    steps = np.zeros((groups, len(kinds)), np.int64)
    partnered = np.zeros_like(found)
    kind_of, word_of = np.zeros((2, 1 << rows), np.int64)
    for number, kind in enumerate(kinds[:-1]):
        steps[:, number] = found[:, kind].min(axis=1)
        partnered[:, kind] = steps[:, [number]]
        kind_of[list(kind)] = number
        word_of[list(kind)] = [step_words(kind[:block]) for block in range(len(kind))]
    in_step = rank < partnered[group, pattern]

    # The others are taken apart into single rows.
    alone = [np.flatnonzero(~in_step & (pattern >> row & 1 > 0)) for row in range(rows)]
    left = np.stack([np.bincount(group[at], minlength=groups) for at in alone], axis=1)
    steps[:, -1] = left.max(axis=1)

    sizes = steps * words
    starts = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    stream = np.zeros(int(sizes.sum()), np.int32)

    column = np.flatnonzero(in_step)
    kind = kind_of[pattern[column]]
    word = starts[group[column], kind] + rank[column] * words[kind] + word_of[pattern[column]]
    stream[word] = where[column]
    for row in range(rows):
        used = pattern[column] >> row & 1 > 0
        at, before = column[used], np.bitwise_count(pattern[column[used]] & ((1 << row) - 1))
        stream[word[used] + 1 + before] = bits[group[at], row, tap[at]]

    single = []
    for row, at in enumerate(alone):
        turn = np.arange(at.size) - (np.cumsum(left[:, row]) - left[:, row])[group[at]]
        single.append(starts[group[at], -1] + turn * words[-1])
        # Rows that run out before the fullest one multiply its pixels by zero.
        fullest = left[group[at]].argmax(axis=1) == row
        stream[single[row][fullest, None] + 2 * np.arange(rows)] = where[at[fullest], None]
    for row, (at, word) in enumerate(zip(alone, single, strict=True)):
        stream[word + 2 * row] = where[at]
        stream[word + 2 * row + 1] = bits[group[at], row, tap[at]]
    return stream, steps


def _columns(values: FloatArray) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    """Columns with a nonzero, by group and pattern, then tap.

    Returns:
        Of every column its group, tap, pattern, and rank among those of its group and pattern; and how many columns
        each group has of each pattern, (G, 2**R).
    """
    groups, rows, _ = values.shape
    patterns = np.zeros(values[:, 0].shape, np.uint8)
    for row in range(rows):
        patterns |= (values[:, row] != 0).astype(np.uint8) << np.uint8(row)
    order = np.argsort(patterns, axis=1, kind="stable")
    in_order = np.take_along_axis(patterns, order, axis=1)
    group, place = np.nonzero(in_order)
    pattern = in_order[group, place].astype(np.int64)
    key = group << rows | pattern
    found = np.bincount(key, minlength=groups << rows)
    rank = np.arange(key.size) - (np.cumsum(found) - found)[key]
    return group, order[group, place], pattern, rank, found.reshape(groups, -1)
