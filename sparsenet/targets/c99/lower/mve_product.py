"""Convolutions and fully connected layers in integers for MVE: see ``kernels.mve``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernels.depthwise_columns import COLUMN
from sparsenet.targets.c99.kernels.mve import LANES, MIDDLE
from sparsenet.targets.c99.lower.product_ways import Layer, Numbers, Way
from sparsenet.targets.c99.machine import columns_instructions, groups_instructions, tiles
from sparsenet.targets.c99.weights import MOST_PLACE

#: Sums that a tile may keep in registers: the instruction takes every second one.
_MOST_SUMS = 8
#: Quads of a group, columns of a vector.
_GROUP = 4
#: Bytes from the addresses that a vector holds to where it may gather.
_MOST_OFFSET = 127 * 4


def ways_by_vectors(layer: Layer) -> Iterator[Way]:
    """Every way that there is for the layer; none, if it is not worth vectors."""
    if layer.product.out is not None and layer.conv.groups == 1:
        yield from _by_group(layer)
    elif layer.product.out is not None and layer.conv.depthwise and len(layer.weights) == layer.conv.groups:
        yield from _by_column(layer)


def _by_group(layer: Layer) -> Iterator[Way]:
    geometry = layer.conv.geometry
    c_out, c_in, k_h, k_w = layer.weights.shape
    quads, width, stride = -(-c_in // QUAD), geometry.out[1], geometry.stride[1]
    padded = np.pad(layer.weights, ((0, 0), (0, -c_in % QUAD), (0, 0), (0, 0)))
    blocks = padded.reshape(c_out, quads, QUAD, k_h, k_w).transpose(0, 3, 1, 4, 2)
    channel, row, quad, column = np.nonzero(blocks.any(axis=-1))
    weights = blocks[channel, row, quad, column]
    ahead, phase = np.divmod(np.arange(k_w) * layer.columns, stride)
    phases = int(phase.max()) + 1
    for tile in range(1, min(_MOST_SUMS, width) + 1):
        length = tile + int(ahead.max())
        words = ((row * quads + quad) * phases + phase[column]) * length + ahead[column]
        grouped, places, counts = _grouped(c_out, channel, weights, QUAD * words)
        if max(places.max(initial=0), counts.max(initial=0)) > MOST_PLACE:
            continue
        packed = {
            "weights": grouped.astype(np.int8),
            "places": places.astype(np.uint16),
            "counts": counts.astype(np.uint16),
            "quads": quads,
            "x_zero": layer.product.x.zero_point,
            "stride": stride,
            "phases": phases,
            "length": length,
            "span": (k_w - 1) * layer.columns + 1,
        }
        lines = k_h * quads * phases
        count = groups_instructions(len(places) // _GROUP, c_out, lines, length, width, tile)
        yield Way(
            count,
            "conv_csrgroups",
            (tile, _tail(width, tile)),
            packed,
            lines * length + QUAD * _MOST_SUMS,
            MIDDLE,
        )


def _by_column(layer: Layer) -> Iterator[Way]:
    geometry = layer.conv.geometry
    c_out, _, k_h, k_w = layer.weights.shape
    rows, width, stride = -(-k_h // QUAD), geometry.out[1], geometry.stride[1]
    span = (k_w - 1) * layer.columns + 1
    if (width - 1) * stride + span < LANES:
        return
    padding = ((0, -c_out % QUAD), (0, 0), (0, -k_h % QUAD), (0, -k_w % _GROUP))
    padded = np.pad(layer.weights, padding).reshape(-1, rows, QUAD, -(-k_w // _GROUP), _GROUP)
    column = np.arange(-(-k_w // _GROUP) * _GROUP)
    column[k_w:] = 0  # of zero weights, but a column that there is
    for tile in range(1, min(_MOST_SUMS, width, _MOST_OFFSET // (COLUMN * stride) + 1) + 1):
        across = tiles(width, tile) * tile
        columns = -(-((across - 1) * stride + span) // LANES) * LANES
        places = COLUMN * np.add.outer(np.arange(rows) * columns, column * layer.columns)
        if places.max() > MOST_PLACE:
            continue
        vectors, room = places.size // _GROUP, -(-across // LANES) * LANES
        packed = {
            "weights": padded.transpose(0, 1, 3, 4, 2).astype(np.int8),
            "places": places.astype(np.uint16),
            "x_zero": layer.product.x.zero_point,
            "span": span,
            "columns": columns,
            "room": room,
        }
        count = columns_instructions(vectors, width, tile)
        scratch = COLUMN // 4 * rows * columns + QUAD * room
        parameters = (tile, stride, vectors, int(width % LANES > 0))
        yield Way(count, "depthwise_densecolumns", parameters, packed, scratch, MIDDLE)


def _tail(width: int, tile: int) -> int:
    """Whether some vectors of four results are not full."""
    return int(any(pixels % LANES for pixels in (width, tile)))


def _grouped(
    channels: int, channel: Numbers, weights: Numbers, places: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """Weights (quads, 4) and places (quads,) with zeros behind those of each channel that fill its last group, and how
    many quads each channel has then.
    """
    counts = np.bincount(channel, minlength=channels)
    full = -(-counts // _GROUP) * _GROUP
    at = np.arange(len(channel)) + (np.cumsum(full - counts) - (full - counts))[channel]
    more_weights, more_places = np.zeros((full.sum(), QUAD), np.int64), np.zeros(full.sum(), np.int64)
    more_weights[at], more_places[at] = weights, places
    return more_weights, more_places, full
