"""Packing of weights in 8 bits: quads of four input channels, as kernels of quads stream them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.graph.types import QUAD
from sparsenet.plan.lowering.row_groups import Words
from sparsenet.targets.cpu.lower.pack_pattern import checked_counts, pack_buckets
from sparsenet.targets.family import Dot

Bytes = npt.NDArray[np.int8]
#: What weights of one sign in a pair may add up to: 255 times as much is an int16.
LARGEST_PAIR = 128


def weight_quads(weight: Bytes) -> Words:
    """The matrix of quads of (C_out, C_in, K_h, K_w) weights, int32 (C_out', ceil(C_in / 4) * K_h * K_w).

    Byte j of a number is the weight of input channel 4 i + j, the lowest first. C_out' is C_out rounded up to whole
    quads; rows and channels that fill up are zero.
    """
    c_out, c_in, *window = weight.shape
    quads = np.zeros((-(-c_out // QUAD) * QUAD, -(-c_in // QUAD), *window, QUAD), np.int8)
    for channel in range(min(QUAD, c_in)):
        own = weight[:, channel::QUAD]
        quads[:c_out, : own.shape[1], ..., channel] = own
    return quads.view("<i4").reshape(len(quads), -1)


def without_groups(weight: Bytes, groups: int) -> Bytes:
    """The weights (C_out, C_in / groups, ...) of a convolution with groups as (C_out, C_in, ...), zero between them."""
    c_out, group_in, *window = weight.shape
    whole = np.zeros((groups, c_out // groups, groups, group_in, *window), np.int8)
    each = np.arange(groups)
    whole[each, :, each] = weight.reshape(groups, -1, group_in, *window)
    return whole.reshape(c_out, groups * group_in, *window)


def without_saturation(
    matrix: Words, offsets: npt.NDArray[np.integer]
) -> tuple[Words, npt.NDArray[np.integer]]:
    """A matrix of quads and the offsets of its taps, for products by ``Dot.BYTES``: equal to the given ones.

    Two unsigned bytes times two signed ones, added, can pass 16 bits where those of one sign add up to more than 128.
    Quads with such a pair are divided in two halves, one of them in a tap that is added at the end.

    Args:
        matrix: int32 (rows, taps).
        offsets: (taps,) or (groups of rows, taps).
    """
    weights = matrix.view(np.int8).reshape(*matrix.shape, QUAD // 2, 2).astype(np.int16)
    positive, negative = (np.clip(weights, *limits).sum(axis=-1) for limits in ((0, None), (None, 0)))
    large = ((positive > LARGEST_PAIR) | (negative < -LARGEST_PAIR)).any(axis=-1)[..., None, None]
    half = np.where(large, weights >> 1, 0)
    both = [part.astype(np.int8).reshape(len(matrix), -1).view("<i4") for part in (weights - half, half)]
    used = both[1].any(axis=0)
    return np.concatenate([both[0], both[1][:, used]], axis=1), np.concatenate(
        [offsets, offsets[..., used]], axis=-1
    )


def whole_quads(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One number per output channel, zeros added to whole quads of channels."""
    return np.pad(values, (0, -len(values) % QUAD))


def in_pairs(row_offsets: Words, stream: Words) -> Words:
    """The (quad, byte offset) steps of ``csr_stream`` for ``panelconv_csr_rows``: two quads, then their two offsets.

    The last of an odd number of steps in a row stays as it is.
    """
    steps = np.arange(len(stream))
    row = np.searchsorted(row_offsets, steps, side="right") - 1
    firsts = steps[((steps - row_offsets[row]) % 2 == 0) & (steps + 1 < row_offsets[row + 1])]
    pairs = stream.copy()
    pairs[firsts, 1], pairs[firsts + 1, 0] = stream[firsts + 1, 0], stream[firsts, 1]
    return pairs


def window_quads(weight: Bytes) -> npt.NDArray[np.int8]:
    """The weights (C, 1, K_h, K_w) of a depthwise convolution, as ``vector_ir.window_quads`` places them.

    Returns:
        (ceil(C / 4), K_h + 3, K_w, 4, 4): quads of channels, first row, column, channel, row.
    """
    channels, _, height, width = weight.shape
    rows = np.zeros((-(-channels // QUAD) * QUAD, width, height + 2 * (QUAD - 1)), np.int8)
    rows[:channels, :, QUAD - 1 : QUAD - 1 + height] = weight[:, 0].transpose(0, 2, 1)
    seen = np.lib.stride_tricks.sliding_window_view(rows, QUAD, axis=2)  # channel, column, first row, row
    return np.ascontiguousarray(seen.reshape(-1, QUAD, *seen.shape[1:]).transpose(0, 3, 2, 1, 4))


def bias_at(bias: Words, weight: Bytes, zero: int, dot: Dot) -> Words:
    """The bias with which sums of pixels' bytes, as ``dot`` takes them, are sums of their distances from ``zero``, the
    zero point.

    Args:
        bias: int32 (C_out,).
        weight: (C_out, ...), every tap: padding counts as pixels of the zero point.
    """
    sums = weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)
    return (bias - (zero - dot.middle) * sums).astype(np.int32)


class QuadPattern(NamedTuple):
    """A matrix of quads for ``u8x4_conv_pattern_rows``: G groups of four rows in their order, K kinds of steps.

    Attributes:
        group_offsets: int32 (G,), byte offset of each group's first step.
        stream: int32 words; per group, kind and step: the byte offset of every block, then one quad of weights per row,
            block after block.
        counts: uint16 (G, K): steps of each kind, in the order of ``bucket_kinds``.
    """

    group_offsets: Words
    stream: Words
    counts: npt.NDArray[np.uint16]


def quad_pattern(matrix: Words, offsets: npt.NDArray[np.integer]) -> QuadPattern:
    """Pack a matrix of quads, of a multiple of four rows, by pattern; ``offsets`` (taps,): byte offset of each tap.

    Raises:
        ValueError: more than 65535 steps of one kind.
    """
    stream, counts, starts = pack_buckets(matrix.reshape(-1, QUAD, matrix.shape[1]), offsets)
    return QuadPattern((starts[:, 0] * stream.itemsize).astype(np.int32), stream, checked_counts(counts))
