"""Sums over the pixels of several channels at once."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from sparsenet.targets.cpu.vector_ir.llvm import I32
from sparsenet.targets.cpu.vector_ir.tile import Tile


def channel_sums(block: Tile, sums: Tile) -> Any:
    """``f(tile)``: the sum of each channel's one vector, in lane order.

    Two vectors are reduced to one at each step, so that N sums cost N - 1 additions of vectors; summing one vector
    at a time costs log2(lanes) each.

    Args:
        block: one vector of each of N ``outputs``, a power of two up to ``lanes``.
        sums: one vector of N lanes.
    """
    lanes = block.lanes

    def shuffle(b: ir.IRBuilder, x: ir.Value, y: ir.Value, numbers: list[int]) -> ir.Value:
        return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(numbers)), numbers))

    def emit(b: ir.IRBuilder, tile: ir.Value) -> list[ir.Value]:
        vectors, width = block._split(b, tile), lanes  # each channel's sum is spread over `width` lanes
        while width > 1:
            width //= 2
            # Of every group of 2 * width lanes, the lower and the upper half.
            low = [lane for lane in range(lanes) if lane // width % 2 == 0]
            high = [lane + width for lane in low]
            if len(vectors) == 1:
                x = vectors[0]
                vectors = [block._add(b, shuffle(b, x, x, low * 2), shuffle(b, x, x, high * 2))]
                continue
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [
                block._add(
                    b,
                    shuffle(b, x, y, low + [lane + lanes for lane in low]),
                    shuffle(b, x, y, high + [lane + lanes for lane in high]),
                )
                for x, y in pairs
            ]
        return [shuffle(b, vectors[0], vectors[0], list(range(sums.lanes)))]

    return sums._intrinsic([block.type], sums.type, emit)
