"""Convolutions and fully connected layers in integers for MVE: see ``kernels.mve``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernels.conv_groups import GROUP, MOST_SUMS
from sparsenet.targets.c99.kernels.depthwise_columns import COLUMN
from sparsenet.targets.c99.kernels.mve import LANES, MIDDLE
from sparsenet.targets.c99.lower.product_ways import Layer, Numbers, Way
from sparsenet.targets.c99.machine import columns_instructions, groups_instructions, tiles
from sparsenet.targets.c99.weights import MOST_PLACE

#: Quads of a group, columns of a vector.
_GROUP = 4
#: Bytes from the addresses that a vector holds to where it may gather.
_MOST_OFFSET = 127 * QUAD


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
    for tile in range(1, min(MOST_SUMS, width) + 1):
        length = tile + int(ahead.max())
        words = ((row * quads + quad) * phases + phase[column]) * length + ahead[column]
        groups, sizes = _grouped(c_out, channel, weights, QUAD * words)
        if max(QUAD * words.max(initial=0), sizes.max()) > MOST_PLACE:
            continue
        packed = {
            "groups": groups,
            "sizes": sizes.astype(np.uint16),
            "quads": quads,
            "x_zero": layer.product.x.zero_point,
            "stride": stride,
            "phases": phases,
            "length": length,
            "span": (k_w - 1) * layer.columns + 1,
        }
        lines = k_h * quads * phases
        count = groups_instructions(len(groups), c_out, lines, length, width, tile)
        scratch = lines * length + QUAD * MOST_SUMS
        yield Way(count, "conv_csrgroups", (tile,), packed, scratch, MIDDLE, overlaps=False)


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
    most = (_MOST_OFFSET // (COLUMN * stride) + 1) // LANES * LANES
    tile = min(MOST_SUMS, most, -(-width // LANES) * LANES)
    across = tiles(width, max(tile, 1)) * tile
    columns = -(-((across - 1) * stride + span) // LANES) * LANES
    places = COLUMN * np.add.outer(np.arange(rows) * columns, column * layer.columns)
    if not tile or places.max() > MOST_PLACE:
        return
    vectors = places.size // _GROUP
    packed = {
        "weights": padded.transpose(0, 1, 3, 4, 2).astype(np.int8),
        "places": places.astype(np.uint16),
        "x_zero": layer.product.x.zero_point,
        "span": span,
        "columns": columns,
    }
    count = columns_instructions(vectors, width, tile)
    scratch = COLUMN // QUAD * rows * columns + QUAD * across
    parameters = (tile, stride, vectors)
    yield Way(count, "depthwise_densecolumns", parameters, packed, scratch, MIDDLE, overlaps=False)


def _grouped(
    channels: int, channel: Numbers, weights: Numbers, places: Numbers
) -> tuple[npt.NDArray[np.uint16], Numbers]:
    """The groups (groups, 12) that weights (quads, 4) and places (quads,) make, zeros behind those of each channel that
    fill its last group, of which each has one at least; and how many words each channel has then.
    """
    counts = np.bincount(channel, minlength=channels)
    full = np.maximum(-(-counts // _GROUP), 1) * _GROUP
    at = np.arange(len(channel)) + (np.cumsum(full - counts) - (full - counts))[channel]
    more_weights, more_places = np.zeros((full.sum(), QUAD), np.uint8), np.zeros(full.sum(), np.uint16)
    more_weights[at], more_places[at] = weights.astype(np.int8).view(np.uint8), places
    low, high = more_weights.reshape(-1, 2 * QUAD, 2).astype(np.uint16).transpose(2, 0, 1)
    return np.concatenate([low | high << 8, more_places.reshape(-1, _GROUP)], axis=1), full // _GROUP * GROUP
