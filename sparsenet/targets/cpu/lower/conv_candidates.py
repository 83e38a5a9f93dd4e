"""The ways to run one convolution: dense, CSR, pattern buckets, each with the tile that suits the map."""

from __future__ import annotations

from sparsenet.plan.candidate import Candidate
from sparsenet.plan.ref import Word
from sparsenet.plan.stage import Stage
from sparsenet.plan.weights import Weights
from sparsenet.targets.cpu.lower.conv_rows import ConvRows, PatternRows
from sparsenet.targets.cpu.lower.dense_candidates import dense_candidates
from sparsenet.targets.cpu.lower.pack import csr_stream
from sparsenet.targets.cpu.lower.row_convolution import RowConvolution
from sparsenet.targets.cpu.lower.select import (
    NO_CHUNKS,
    PixelTile,
    chunk_taps,
    pattern_break_even,
    pattern_tile,
    pattern_tiles,
    pixel_bytes,
    sparse_tile,
)
from sparsenet.targets.target import Target

#: Matrix rows of fewer nonzeros are better computed one by one than grouped by pattern.
CSR_NONZEROS = 5


def candidates(target: Target, layer: RowConvolution, tune: bool) -> list[Candidate]:
    """The ways to run ``layer``, dense ones first; more of them if they are going to be timed."""
    found = dense_candidates(target, layer, tune)
    if layer.nnz < layer.matrix.size:
        layout = layer.lines
        c_out = layer.c_out // layer.groups
        l1_bytes, usual = pixel_bytes(target), pattern_tile(target, layout, c_out, layer.matrix.shape[1])
        found.append(_pattern(layer, *usual, l1_bytes))
        if tune:
            tiles = dict.fromkeys([usual, *pattern_tiles(target, layout, c_out)])
            caches = (l1_bytes * 3 // 4, l1_bytes * 3 // 2, NO_CHUNKS)
            found += [_pattern(layer, *tile, cache) for tile in tiles for cache in caches]
        found.append(_csr(layer))
    names: dict[str, Candidate] = {}
    for candidate in found:
        names.setdefault(candidate.name, candidate)
    return list(names.values())


def _csr(layer: RowConvolution) -> Candidate:
    layout = layer.lines
    tile = sparse_tile(layout, layer.group_in)
    kernel = layout.kernel("conv_csr_rows", (tile.rows, tile.vectors), layer.epilogue.ops)

    def make(weights: Weights) -> Stage:
        row_offsets, stream = weights.once(csr_stream, layer.matrix, layer.row_taps())
        per_channel = {
            "row_offsets": (weights.constant(row_offsets), row_offsets.itemsize),
            "bias": (weights.constant(layer.bias), layer.bias.itemsize),
        }
        fixed: dict[str, Word] = {"stream": weights.constant(stream), **weights.lines(layout)}
        return ConvRows(
            layer.layer, layer.out, layer.units, layer.window, kernel, layer.epilogue, layer.c_out, 1, fixed,
            per_channel, as_line=layer.as_line, row_block=tile.rows, channel_blocks=layer.c_out,
            weight_bytes=stream.nbytes,
        )  # fmt: skip

    return Candidate("csr", kernel, CSR_NONZEROS / layer.matrix.shape[1], make)


def _pattern(layer: RowConvolution, outputs: int, tile: PixelTile, cache_bytes: int) -> Candidate:
    layout = layer.lines
    sizes = (outputs, tile.rows, tile.vectors)
    kernel = layout.kernel("conv_pattern_rows", sizes, layer.epilogue.ops)
    window_rows = layer.geo.kernel[0] + tile.rows - 1
    channel_bytes = window_rows * tile.vectors * layout.lanes * layout.itemsize
    chunks = chunk_taps(layer.group_in, layer.geo.kernel, channel_bytes, cache_bytes)

    def make(weights: Weights) -> Stage:
        whole_groups = layer.groups == 1
        return PatternRows(
            layer.layer, layer.out, layer.units, layer.window, kernel, layer.epilogue, layer.c_out,
            outputs if whole_groups else layer.c_out, weights.lines(layout), layer.matrix, layer.row_taps(),
            chunks, layer.groups,
            weights.constant(layer.bias), as_line=layer.as_line, row_block=tile.rows,
            channel_blocks=-(-layer.c_out // outputs) if whole_groups else 1,
            weight_bytes=6 * layer.nnz,
        )  # fmt: skip

    limit = pattern_break_even(layer.geo.kernel, layer.group_in)
    return Candidate("pattern", kernel, limit, make, f"in {len(chunks) + 1} chunks")
