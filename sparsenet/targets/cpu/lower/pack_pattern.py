"""Packing of weights in the form in which the pattern kernel streams them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.plan.lowering.row_groups import Numbers, Words, group_rows
from sparsenet.targets.cpu.patterns import bucket_kinds, rows_of, step_kinds, step_words

#: Row groups and taps of some columns.
Columns = tuple[Numbers, Numbers]


@dataclass(frozen=True)
class PatternStream:
    """A sparse matrix for ``f32_conv_pattern_rows``: G groups of R rows, K kinds of steps.

    Attributes:
        stream: int32 words; per chunk, group, kind and step: the byte offset of every block, then one weight (the bits
            of a float32) per row, block after block.
        counts: uint16 (chunks, G, K): steps of each kind, in the order of ``step_kinds``.
        channels: int32 (chunks, G, R): the output channel of every row. Chunks group rows differently; a group short of
            rows repeats one of its own.
    """

    stream: Words
    counts: npt.NDArray[np.uint16]
    channels: Words

    @property
    def chunks(self) -> int:
        """The number of chunks of columns."""
        return int(self.counts.shape[0])

    @property
    def row_groups(self) -> int:
        """G, the number of row groups."""
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
        groups: number of groups of the convolution; rows of different groups have different offsets and never share a
            row group.

    Raises:
        ValueError: more than 65535 steps of one kind: more boundaries are needed.
    """
    parts = []
    for first, last in pairwise([0, *boundaries, matrix.shape[1]]):
        channels = group_rows(matrix[:, first:last] != 0, outputs, groups)
        rows = channels[:, 0]
        where = offsets[first:last] if offsets.ndim == 1 else offsets[rows, first:last]
        stream, count, _ = pack_steps(matrix[channels, first:last], where)
        parts.append((stream, count, channels))
    return PatternStream(
        np.concatenate([stream for stream, _, _ in parts]),
        checked_counts(np.stack([count for _, count, _ in parts])),
        np.stack([channels for _, _, channels in parts]),
    )


def checked_counts(counts: Numbers) -> npt.NDArray[np.uint16]:
    """Numbers of steps as kernels read them.

    Raises:
        ValueError: more than 65535 steps of one kind.
    """
    if counts.max(initial=0) > np.iinfo(np.uint16).max:
        raise ValueError(f"{counts.max()} steps of one kind, at most 65535 can be counted: use more chunks")
    return counts.astype(np.uint16)


class _Blocks(NamedTuple):
    """One block of many steps of one kind: the row group, tap and step number of each.

    The blocks' rows are those of ``pattern``; blocks of none read pixels only.
    """

    kind: int
    block: int
    pattern: int
    group: Numbers
    tap: Numbers
    step: Numbers


def pack_buckets(
    values: npt.NDArray[np.int32], offsets: npt.NDArray[np.integer]
) -> tuple[Words, Numbers, Numbers]:
    """As ``pack_steps``, with a step for each column, sorted by pattern: K is ``bucket_kinds``."""
    groups, rows, _ = values.shape
    kinds, columns = bucket_kinds(rows), _by_pattern(values != 0)
    blocks, counts = [], np.zeros((groups, len(kinds)), np.int64)
    for number, (pattern,) in enumerate(kinds):
        group, tap = _merged(columns[pattern])
        counts[:, number] = np.bincount(group, minlength=groups)
        blocks.append(_Blocks(number, 0, pattern, group, tap, _turns(group, counts[:, number])))
    return _pack(values, offsets, kinds, blocks, counts)


def pack_steps(values: FloatArray, offsets: npt.NDArray[np.integer]) -> tuple[Words, Numbers, Numbers]:
    """Stream, steps of each of K kinds (G, K), and the word at which these begin (G, K): of one chunk.

    Args:
        values: (G, R, taps), numbers of 32 bits.
        offsets: (taps,) or (G, taps).
    """
    return _pack(values, offsets, step_kinds(values.shape[1]), *_steps(values != 0))


def _pack(
    values: FloatArray | Words,
    offsets: npt.NDArray[np.integer],
    kinds: list[tuple[int, ...]],
    blocks: list[_Blocks],
    counts: Numbers,
) -> tuple[Words, Numbers, Numbers]:
    words = np.asarray([step_words(kind) for kind in kinds])
    sizes = counts * words
    starts = (np.cumsum(sizes) - sizes.ravel()).reshape(sizes.shape)
    stream = np.zeros(int(sizes.sum()), np.int32)
    bits = values.view(np.int32)
    for kind, block, pattern, group, tap, step in blocks:
        start = starts[group, kind] + step * words[kind]
        stream[start + block] = offsets[tap] if offsets.ndim == 1 else offsets[group, tap]
        before = len(kinds[kind]) + sum(other.bit_count() for other in kinds[kind][:block])
        for word, row in enumerate(rows_of(pattern), before):
            stream[start + word] = bits[group, row, tap]
    return stream, counts, starts


def _steps(nonzero: npt.NDArray[np.bool_]) -> tuple[list[_Blocks], Numbers]:
    """The steps for ``nonzero`` (G, R, taps), and how many each group has of each kind, (G, K).

    A step takes one column of each of its patterns. A column that finds no partner gives up its first row and tries
    again, as two; what finds none at all ends as single rows, in steps of the last kind.
    """
    groups, rows, _ = nonzero.shape
    kinds = step_kinds(rows)
    counts = np.zeros((groups, len(kinds)), np.int64)
    blocks = []
    columns = _by_pattern(nonzero)
    for number, kind in enumerate(kinds[:-1]):
        members = [_merged(columns.pop(pattern, [])) for pattern in kind]
        found = np.stack([np.bincount(group, minlength=groups) for group, _ in members])
        counts[:, number] = found.min(axis=0)
        for block, (pattern, (group, tap)) in enumerate(zip(kind, members, strict=True)):
            step = _turns(group, found[block])
            has = step < counts[group, number]
            blocks.append(_Blocks(number, block, pattern, group[has], tap[has], step[has]))
            first = pattern & -pattern
            for part in {first, pattern ^ first} - {0}:
                columns[part].append((group[~has], tap[~has]))
    for pattern in [pattern for pattern in columns if pattern.bit_count() > 1]:
        several = columns.pop(pattern)
        for row in rows_of(pattern):
            columns[1 << row] += several

    singles = [_merged(columns[1 << row]) for row in range(rows)]
    found = np.stack([np.bincount(group, minlength=groups) for group, _ in singles])
    counts[:, -1] = found.max(axis=0)
    fullest = found.argmax(axis=0)
    for row, (group, tap) in enumerate(singles):
        step = _turns(group, found[row])
        blocks.append(_Blocks(len(kinds) - 1, row, 1 << row, group, tap, step))
        # Rows that run out multiply zero by the pixels of the fullest one.
        for other in range(rows):
            alone = (fullest[group] == row) & (step >= found[other, group])
            blocks.append(_Blocks(len(kinds) - 1, other, 0, group[alone], tap[alone], step[alone]))
    return blocks, counts


def _by_pattern(nonzero: npt.NDArray[np.bool_]) -> defaultdict[int, list[Columns]]:
    """The columns of each pattern; see ``_steps``."""
    groups, rows, taps = nonzero.shape
    patterns = np.zeros((groups, taps), np.uint8)
    for row in range(rows):
        patterns |= nonzero[:, row].astype(np.uint8) << np.uint8(row)
    ends = np.cumsum(np.bincount(patterns.ravel(), minlength=1 << rows))
    group, tap = np.divmod(np.argsort(patterns, axis=None, kind="stable"), taps)
    found = defaultdict(list)
    for pattern in range(1, 1 << rows):
        those = slice(ends[pattern - 1], ends[pattern])
        found[pattern].append((group[those], tap[those]))
    return found


def _merged(parts: list[Columns]) -> Columns:
    """All columns of ``parts`` by row group."""
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    group, tap = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(group, kind="stable")
    return group[order], tap[order]


def _turns(group: Numbers, found: Numbers) -> Numbers:
    """Running numbers 0, 1, 2... within each row group: ``found`` (G,) columns each, ``group`` ascending."""
    return np.arange(group.size) - (np.cumsum(found) - found)[group]
