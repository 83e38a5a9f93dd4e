"""A convolution in integers to choose a kernel for, and the ways to run it: dense, pattern buckets, CSR.

Weights are a matrix of *quads*, four input channels each; one is zero if all four are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.graph.integer import Product
from sparsenet.graph.types import QUAD
from sparsenet.plan.candidate import Candidate
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Stage
from sparsenet.plan.weights import Weights
from sparsenet.targets.cpu.lower.conv_rows import ConvRows
from sparsenet.targets.cpu.lower.pack import csr_stream, dense_blocks
from sparsenet.targets.cpu.lower.pack_quads import in_pairs, quad_pattern, whole_quads, without_saturation
from sparsenet.targets.cpu.lower.quad_epilogue import clip_of, fixed_point
from sparsenet.targets.cpu.lower.row_convolution import RowConvolution
from sparsenet.targets.cpu.lower.select import PixelTile, pixel_tile
from sparsenet.targets.cpu.panels import PANEL_BYTES
from sparsenet.targets.family import Dot
from sparsenet.targets.target import SHORTEST_VECTOR, Target

#: Share of quads that are not zero below which pattern buckets are faster than dense weights, and CSR than both where
#: windows are single pixels.
PATTERN_LIMIT, CSR_LIMIT = 0.95, 0.04
#: The same of panels, by the instructions counted with 1×4 blocks and without.
PANEL_LIMIT = 0.4
#: The kernel of weights that are packed in a way of its own.
ALGORITHMS = {"panel": "panelconv_csr_rows"}
#: The most vectors of a panel's tile, and the fewest that are worth it.
MOST_PANEL, LEAST_PANEL = 12, 4
#: Up to so many times as many quads, products of bytes are faster than those of words: 0.6 times the instructions.
BYTES_LIMIT = 1.5


@dataclass(frozen=True)
class QuadConvolution(RowConvolution):
    """A convolution over rows of quads: ``matrix`` is int32 (whole quads of output channels, quads * K_h * K_w).

    Attributes:
        zero: the zero point of the result.
        each: other arguments of the kernels with a number for each output channel.
        product: what it computes.
    """

    zero: int
    each: Mapping[str, npt.NDArray[Any]]
    product: Product


class _Products(NamedTuple):
    """What sparse kernels multiply, and how.

    Attributes:
        dot: the instruction.
        matrix: as of the layer, or with halves of large quads in more taps.
        offsets: byte offset of each tap, shape (taps,) or (C_out', taps).
    """

    dot: Dot
    matrix: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.integer]


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
    products = _products(target, layer)
    # Halves of a few quads would double every tap of the dense kernel; patterns take them one by one.
    dense = "pattern" if products.dot == Dot.BYTES else "dense"
    ways = [("dense", dense, 1.0)]
    if layer.nnz < layer.matrix.size:
        csr_limit = CSR_LIMIT if layer.geo.kernel == (1, 1) else 0.0
        ways += [("pattern", "pattern", PATTERN_LIMIT), ("csr", "csr", csr_limit)]
    if target.dot.middle:  # what makes pixels signed takes registers of the dense kernel's
        tiles = [tile for tile in tiles if tile.count <= 4] or [pixel_tile(layer.lines, 4)]
    found = [_candidate(layer, products, *way, tile) for way in ways for tile in tiles]
    panel = _panel_tile(target, layer, products)
    if panel is not None:
        return [*found[:-1], _candidate(layer, products, "csr", "panel", PANEL_LIMIT, panel)]
    return found


def _products(target: Target, layer: QuadConvolution) -> _Products:
    """The weights as the target's fastest exact instruction takes them."""
    offsets, wide = layer.row_taps(), target.vector_bytes > SHORTEST_VECTOR
    if target.dot == Dot.WORDS and wide:
        matrix, halved_offsets = without_saturation(layer.matrix, offsets)
        if np.count_nonzero(matrix) <= BYTES_LIMIT * layer.nnz:
            return _Products(Dot.BYTES, matrix, halved_offsets)
    return _Products(target.dot, layer.matrix, offsets)


def _tile(target: Target, layer: QuadConvolution) -> PixelTile:
    """Pixels of a tile: up to four vectors, six short ones, two where there are 16 registers; L1 is no matter.

    The fewer weights there are, the more weighs what a tile costs beside its vectors.
    """
    most = 2 if target.registers < 32 else 4 if target.vector_bytes > SHORTEST_VECTOR else 6
    return pixel_tile(layer.lines, most, max(0.4, 1 - layer.density))


def _panel_tile(target: Target, layer: QuadConvolution, products: _Products) -> PixelTile | None:
    """Pixels of a tile of the panel kernel; None where its tile would be small, or other vectors have a better one."""
    if not target.dot.is_arm or layer.nnz == layer.matrix.size:
        return None
    taps = np.unique(products.offsets).size
    most = min(MOST_PANEL, PANEL_BYTES // (taps * target.vector_bytes))
    return pixel_tile(layer.lines, most) if most >= LEAST_PANEL else None


def _candidate(
    layer: QuadConvolution, products: _Products, name: str, kind: str, limit: float, tile: PixelTile
) -> Candidate:
    sizes: tuple[int, ...] = (tile.rows, tile.vectors, products.dot)
    if kind == "panel":
        sizes = (*sizes, clip_of(layer.product))
    kernel = layer.lines.kernel(ALGORITHMS.get(kind, f"conv_{kind}_rows"), sizes, layer.epilogue.ops)

    def make(weights: Weights) -> Stage:
        packed, quads = PACK[kind](layer, products, tile, weights), layer.out.rows.channels
        per_quad = packed.per_quad | {
            name: (weights.constant(whole_quads(numbers)), QUAD * numbers.itemsize)
            for name, numbers in (("bias", layer.bias), *layer.each.items())
        }
        # The dense kernel counts groups from the first output channel on: they are not shared.
        blocks = 1 if kind == "dense" and layer.groups > 1 else quads
        return ConvRows(
            layer.layer, layer.out, layer.units, layer.window, kernel, layer.epilogue, quads, quads // blocks,
            {**packed.fixed, "zero": layer.zero, **weights.lines(layer.lines)}, per_quad, as_line=layer.as_line,
            row_block=tile.rows, channel_blocks=blocks, weight_bytes=packed.nbytes,
        )  # fmt: skip

    return Candidate(name, kernel, limit, make)


def _dense(layer: QuadConvolution, _: _Products, __: PixelTile, weights: Weights) -> _Packed:
    taps = layer.taps()
    blocks = weights.once(dense_blocks, layer.matrix, QUAD, layer.groups)
    fixed: dict[str, Word] = {
        "tap_offsets": weights.constant(taps.astype(np.int32)), "taps": taps.size, "groups": layer.groups,
        "x_group": layer.group_in * layer.window.channel,
    }  # fmt: skip
    per_quad = {"weights": (weights.constant(blocks), QUAD * taps.size * blocks.itemsize)}
    return _Packed(per_quad, fixed, blocks.nbytes)


def _pattern(layer: QuadConvolution, products: _Products, _: PixelTile, weights: Weights) -> _Packed:
    offsets = products.offsets if layer.groups == 1 else products.offsets[::QUAD]
    packed = weights.once(quad_pattern, products.matrix, offsets)
    per_quad = {
        "group_offsets": (weights.constant(packed.group_offsets), packed.group_offsets.itemsize),
        "counts": (weights.constant(packed.counts), packed.counts.shape[1] * packed.counts.itemsize),
    }
    return _Packed(per_quad, {"stream": weights.constant(packed.stream)}, packed.stream.nbytes)


def _csr(_: QuadConvolution, products: _Products, __: PixelTile, weights: Weights) -> _Packed:
    row_offsets, stream = weights.once(csr_stream, products.matrix, products.offsets)
    per_quad = {"row_offsets": (weights.constant(row_offsets), QUAD * row_offsets.itemsize)}
    return _Packed(per_quad, {"stream": weights.constant(stream)}, stream.nbytes)


def _panel(layer: QuadConvolution, products: _Products, tile: PixelTile, weights: Weights) -> _Packed:
    taps, places = np.unique(products.offsets, return_inverse=True)
    tap_bytes = tile.count * layer.lines.lanes * layer.lines.itemsize
    in_panel = places.reshape(products.offsets.shape) * tap_bytes
    row_offsets, stream = weights.once(csr_stream, products.matrix, in_panel)
    stream = weights.once(in_pairs, row_offsets, stream)
    fixed: dict[str, Word] = {
        "tap_offsets": weights.constant(taps.astype(np.int32)), "taps": taps.size,
        "stream": weights.constant(stream),
    }  # fmt: skip
    multiplier = whole_quads(fixed_point(layer.product))
    per_quad = {
        name: (weights.constant(numbers), QUAD * numbers.itemsize)
        for name, numbers in (("row_offsets", row_offsets), ("multiplier", multiplier))
    }
    return _Packed(per_quad, fixed, stream.nbytes)


PACK: dict[str, Callable[[QuadConvolution, _Products, PixelTile, Weights], _Packed]] = {
    "dense": _dense,
    "pattern": _pattern,
    "csr": _csr,
    "panel": _panel,
}
