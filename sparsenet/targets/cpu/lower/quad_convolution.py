"""A convolution in integers to choose a kernel for, and the ways to run it: dense, pattern buckets, CSR.

Weights are a matrix of *quads*, four input channels each; one is zero if all four are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparsenet.graph import FloatArray
from sparsenet.graph.integer import Rounding
from sparsenet.graph.types import QUAD
from sparsenet.plan.candidate import Candidate
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Stage
from sparsenet.plan.weights import Weights
from sparsenet.targets.cpu.lower.conv_rows import ConvRows
from sparsenet.targets.cpu.lower.pack import csr_stream, dense_blocks
from sparsenet.targets.cpu.lower.pack_quads import quad_pattern
from sparsenet.targets.cpu.lower.row_convolution import RowConvolution
from sparsenet.targets.cpu.lower.select import PixelTile, pixel_tile
from sparsenet.targets.target import Target

#: Share of quads that are not zero below which pattern buckets are faster than dense weights, and CSR than both where
#: windows are single pixels.
PATTERN_LIMIT, CSR_LIMIT = 0.95, 0.04


@dataclass(frozen=True)
class QuadConvolution(RowConvolution):
    """A convolution over rows of quads: ``matrix`` is int32 (whole quads of output channels, quads * K_h * K_w).

    Attributes:
        scale: float32, a factor for each row of the matrix, as ``bias``, which is int32.
        rounding: how sums become bytes.
    """

    scale: FloatArray
    rounding: Rounding


class _Packed(NamedTuple):
    """Weights in the form that a kernel streams.

    Attributes:
        per_quad: arguments to advance by quad of output channels, and by how many bytes.
        fixed: arguments that are the same in every call.
        nbytes: of all weights.
    """

    per_quad: dict[str, tuple[Ref, int]]
    fixed: dict[str, Word]
    nbytes: int


def quad_candidates(target: Target, layer: QuadConvolution, tune: bool) -> list[Candidate]:
    """The ways to run ``layer``, dense ones first; more of them if they are going to be timed."""
    more = [pixel_tile(layer.lines, most) for most in (2, 3, 4)] if tune else []
    tiles = list(dict.fromkeys([_tile(target, layer), *more]))
    ways: dict[str, tuple[Callable[[QuadConvolution, Weights], _Packed], float]] = {"dense": (_dense, 1.0)}
    if layer.nnz < layer.matrix.size:
        ways["pattern"] = _pattern, PATTERN_LIMIT
        ways["csr"] = _csr, CSR_LIMIT if layer.geo.kernel == (1, 1) else 0.0
    return [_candidate(target, layer, name, tile, *way) for name, way in ways.items() for tile in tiles]


def _tile(target: Target, layer: QuadConvolution) -> PixelTile:
    """Pixels of a tile: four vectors, or so many fewer that those of all input channels leave room in L1."""
    most = 4 if target.registers >= 32 else 2
    rows = layer.group_in * layer.geo.kernel[0] * target.vector_bytes
    while most > 2 and rows * most > target.l1_bytes // 2:
        most -= 1
    return pixel_tile(layer.lines, most)


def _candidate(
    target: Target, layer: QuadConvolution, name: str, tile: PixelTile,
    pack: Callable[[QuadConvolution, Weights], _Packed], limit: float,
) -> Candidate:  # fmt: skip
    sizes = (tile.rows, tile.vectors, target.dot)
    kernel = layer.lines.kernel(f"conv_{name}_rows", sizes, layer.epilogue.ops)

    def make(weights: Weights) -> Stage:
        packed, rounding, quads = pack(layer, weights), layer.rounding, layer.out.rows.channels
        per_quad = packed.per_quad | {
            "bias": (weights.constant(layer.bias), QUAD * layer.bias.itemsize),
            "scale": (weights.constant(layer.scale), QUAD * layer.scale.itemsize),
        }
        bounds = {"zero": rounding.zero_point, "low": rounding.low, "high": rounding.high}
        # The dense kernel counts groups from the first output channel on: they are not shared.
        blocks = 1 if name == "dense" and layer.groups > 1 else quads
        return ConvRows(
            layer.layer, layer.out, layer.units, layer.window, kernel, layer.epilogue, quads, quads // blocks,
            {**packed.fixed, **bounds, **weights.lines(layer.lines)}, per_quad, as_line=layer.as_line,
            row_block=tile.rows, channel_blocks=blocks, weight_bytes=packed.nbytes,
        )  # fmt: skip

    return Candidate(name, kernel, limit, make)


def _dense(layer: QuadConvolution, weights: Weights) -> _Packed:
    taps = layer.taps()
    blocks = weights.once(dense_blocks, layer.matrix, QUAD, layer.groups)
    fixed: dict[str, Word] = {
        "tap_offsets": weights.constant(taps.astype(np.int32)), "taps": taps.size, "groups": layer.groups,
        "x_group": layer.group_in * layer.window.channel,
    }  # fmt: skip
    per_quad = {"weights": (weights.constant(blocks), QUAD * taps.size * blocks.itemsize)}
    return _Packed(per_quad, fixed, blocks.nbytes)


def _pattern(layer: QuadConvolution, weights: Weights) -> _Packed:
    offsets = layer.row_taps()
    packed = weights.once(quad_pattern, layer.matrix, offsets if layer.groups == 1 else offsets[::QUAD])
    per_quad = {
        "group_offsets": (weights.constant(packed.group_offsets), packed.group_offsets.itemsize),
        "counts": (weights.constant(packed.counts), packed.counts.shape[1] * packed.counts.itemsize),
    }
    return _Packed(per_quad, {"stream": weights.constant(packed.stream)}, packed.stream.nbytes)


def _csr(layer: QuadConvolution, weights: Weights) -> _Packed:
    row_offsets, stream = weights.once(csr_stream, layer.matrix, layer.row_taps())
    per_quad = {"row_offsets": (weights.constant(row_offsets), QUAD * row_offsets.itemsize)}
    return _Packed(per_quad, {"stream": weights.constant(stream)}, stream.nbytes)
