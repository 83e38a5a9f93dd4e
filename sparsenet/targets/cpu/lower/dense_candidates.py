"""The ways to run a convolution with dense weights."""

from __future__ import annotations

import numpy as np

from sparsenet.plan.candidate import Candidate
from sparsenet.plan.layout import Flattened, Rows
from sparsenet.plan.ref import Word
from sparsenet.plan.stage import Stage
from sparsenet.plan.weights import Weights
from sparsenet.targets.cpu.lower.conv_rows import ConvRows
from sparsenet.targets.cpu.lower.dense_tiles import BLOCKED, DenseTile, line_tile, pixel_tiles
from sparsenet.targets.cpu.lower.pack import dense_blocks
from sparsenet.targets.cpu.lower.row_convolution import RowConvolution
from sparsenet.targets.target import Target


def dense_candidates(target: Target, layer: RowConvolution, tune: bool) -> list[Candidate]:
    """The dense kernel that is expected to be the fastest; if candidates will be timed, the others after it."""
    c_out, taps, step = layer.c_out // layer.groups, layer.matrix.shape[1], layer.window.column_step
    layout = layer.out.rows
    views: list[tuple[Rows, list[DenseTile]]] = [(layout, pixel_tiles(target, layout, c_out, taps, step))]
    if step == 1:
        views.append((layer.lines, [line_tile(target, layer.lines, c_out, taps)]))
    if layer.lines is not layout and layout.width == layer.lines.width // layout.height:
        # No halo separates the rows of this flattened map: single pixels may be taken across them.
        views.append((layer.lines, pixel_tiles(target, layer.lines, c_out, taps)))
    found = [(tile, view) for view, tiles in views for tile in tiles]
    found.sort(key=lambda pair: pair[0].cycles)
    return [_candidate(layer, *pair) for pair in (found if tune else found[:1])]


def _candidate(layer: RowConvolution, tile: DenseTile, layout: Rows) -> Candidate:
    kernel = tile.vector.kernel(tile.algorithm, tile.sizes, layer.epilogue.ops)

    def make(weights: Weights) -> Stage:
        taps = layer.taps()
        blocks = weights.once(dense_blocks, layer.matrix, tile.outputs, layer.groups, tile.repeats)
        fixed: dict[str, Word] = {
            "tap_offsets": weights.constant(taps.astype(np.int32)), "taps": taps.size, "groups": layer.groups,
            "x_group": layer.group_in * layer.window.channel,
        }  # fmt: skip
        if tile.algorithm == BLOCKED:
            # The halo between the rows of a flattened map is filled before.
            halo = 0 if isinstance(layout, Flattened) else layout.line - layout.width
            fixed |= {
                "width": layout.width, "halo": halo, "out_row": layout.row_bytes,
                "out_channel": layout.channel_bytes,
            }  # fmt: skip
        else:
            fixed |= weights.lines(layout)
        # Threads can share blocks of channels, by address, where the last one does not overlap the one before.
        even = layer.groups == 1 and layer.c_out % tile.outputs == 0
        block, count = (tile.outputs, layer.c_out // tile.outputs) if even else (layer.c_out, 1)
        per_channel = {
            "weights": (weights.constant(blocks), taps.size * tile.repeats * blocks.itemsize),
            "bias": (weights.constant(layer.bias), layer.bias.itemsize),
        }
        return ConvRows(
            layer.layer, layer.out, layout.height, layer.window, kernel, layer.epilogue, layer.c_out, block, fixed,
            per_channel, as_line=layer.as_line and layout is not layer.out.rows, row_block=kernel.parameter("rows"),
            channel_blocks=count, weight_bytes=blocks.nbytes,
        )  # fmt: skip

    return Candidate("dense", kernel, 1.0, make)
