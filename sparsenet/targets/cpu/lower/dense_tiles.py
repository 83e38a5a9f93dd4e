"""Register tiles of the dense convolution kernels, by an estimate of the cycles a layer takes with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sparsenet.plan.layout import Rows
from sparsenet.targets.cpu.lower.select import pixel_tile
from sparsenet.targets.target import Target, Vector

#: Algorithms whose lanes are pixels, and output channels.
LINES, BLOCKED = "conv_dense_rows", "conv_blocked_rows"
#: Vectors of output channels, or rows of lines, that a tile is tried with.
MOST = 7
#: Where the weights of a block take more than a third of L1, so many bytes of them arrive from L2 in a cycle.
WEIGHT_BYTES_PER_CYCLE = 14
#: Cycles to begin a tile; to finish a vector of it; to transpose and finish the channels of one vector, up to a vector
#: of pixels, by how many neighbouring pixels a vector has of each.
BEGIN_CYCLES, FINISH_CYCLES, TURN_CYCLES = 40.0, 2.0, {1: 145.0, 4: 12.0}
#: Bytes per cycle at which weights arrive that do not stay in L2; they delay single-pixel tiles. Lines need a fifth.
COLD_BYTES_PER_CYCLE = 7
#: What single pixels cost beside that, measured; maps larger than L2 cost more.
PIXEL_FACTOR, LARGE_MAP_FACTOR = {1: 1.03, 4: 1.1}, 1.15
#: Channels a multiple of 256 bytes apart share a quarter of L1's sets: where windows reach over many, pixels that
#: neighbouring tiles read are gone in between (MaskCNN's 3x3 at 62 pixels: 17.6 ms against 14.1 with lines as lanes).
CROWDED_BYTES, CROWDED_TAPS, CROWDED_FACTOR = 256, 1024, 1.4


@dataclass(frozen=True)
class DenseTile:
    """One way to run a dense convolution.

    Attributes:
        algorithm: the kernel's, ``LINES`` or ``BLOCKED``.
        vector: what it computes with.
        sizes: its tile parameters.
        outputs: output channels of a tile.
        repeats: how many times each weight is stored.
        cycles: expected for the whole map.
    """

    algorithm: str
    vector: Vector
    sizes: tuple[int, ...]
    outputs: int
    repeats: int
    cycles: float


def line_tile(target: Target, layout: Rows, c_out: int, taps: int) -> DenseTile:
    """The best tile whose lanes are pixels.

    Args:
        layout: layout of the output.
        c_out: output channels of a group.
        taps: weights of an output channel.
    """
    return _line_tile(target, layout, c_out, taps)


def pixel_tiles(target: Target, layout: Rows, c_out: int, taps: int, column_step: int = 1) -> list[DenseTile]:
    """The best tiles whose lanes are output channels, or channels of four pixels.

    Args:
        layout, c_out, taps: as in ``line_tile``.
        column_step: floats between the pixels that neighbouring output pixels read.
    """
    best = [_pixel_tile(target, layout, c_out, taps, column_step, together) for together in (1, 4)]
    return [tile for tile in best if tile is not None]


@lru_cache(4096)  # networks repeat their layers
def _line_tile(*layer: Any) -> DenseTile:
    return min(_line_tiles(*layer), key=lambda tile: tile.cycles)


@lru_cache(4096)
def _pixel_tile(*layer: Any) -> DenseTile | None:
    return min(_pixel_tiles(*layer), key=lambda tile: tile.cycles, default=None)


def _step_cycles(outputs: int, pixels: int) -> float:
    """Cycles of one tap: two multiply-adds per cycle, or less than two loads; at least 8 sums in turn hide latency."""
    return (max(outputs * pixels, 1.25 * (outputs + pixels), 8) + 1.5) / 2


def _line_tiles(target: Target, layout: Rows, c_out: int, taps: int) -> Iterator[DenseTile]:
    """Tiles whose lanes are pixels."""
    registers, vector = target.registers, layout.vector.fitting(layout.width)
    for most in range(1, MOST + 1):
        tile = pixel_tile(layout, most)
        for outputs in range(1, min(c_out, 16, (registers - 1 - tile.count) // tile.count) + 1):
            count = outputs * tile.count
            tiles = -(-layout.height // tile.rows) * -(-layout.line_vectors // tile.vectors)
            # Splitting a vector in two at a cache line, as shifted pixels do, weighs on tiles of few vectors.
            step = _step_cycles(outputs, tile.count) + 0.07 * outputs
            cycles = tiles * -(-c_out // outputs) * (taps * step + BEGIN_CYCLES + FINISH_CYCLES * count)
            sizes = (outputs, tile.rows, tile.vectors)
            yield DenseTile(LINES, vector, sizes, outputs, 1, cycles)


def _pixel_tiles(
    target: Target, layout: Rows, c_out: int, taps: int, column_step: int, together: int
) -> Iterator[DenseTile]:
    """Tiles whose lanes are output channels, of ``together`` pixels each."""
    vector, item = layout.vector, layout.itemsize
    lanes = vector.lanes
    weight_bytes = c_out * taps * item * together
    if together > 1 and (
        column_step > 1 or lanes < 2 * together or weight_bytes > target.streamed_weight_bytes
    ):
        return
    for rows in range(1, min(MOST, layout.height) + 1):
        for vectors in range(1, MOST + 1):
            outputs = vectors * lanes // together
            columns = (target.registers - 1 - vectors) // vectors // rows
            pixels = min(columns * together, layout.width // together * together)
            if outputs > c_out or pixels < 1:
                continue
            across = -(-layout.width // pixels)
            pixels = -(-layout.width // (across * together)) * together
            if pixels > layout.width:
                continue
            pixel_vectors = rows * pixels // together
            step = _step_cycles(vectors, pixel_vectors)
            if taps * vectors * lanes * item > target.l1_bytes // 3:
                step = max(step, vectors * lanes * item / WEIGHT_BYTES_PER_CYCLE)
            turns = vectors * rows * -(-pixels // lanes)
            tile = taps * step + BEGIN_CYCLES + TURN_CYCLES[together] * turns
            # Rows left over are computed one by one, at a pace between that of a row and that of a tile.
            full, left = divmod(layout.height, rows)
            cycles = (
                (full + 1.2 * left / rows) * across * -(-c_out // outputs) * tile * PIXEL_FACTOR[together]
            )
            cycles += weight_bytes / COLD_BYTES_PER_CYCLE if weight_bytes > target.l2_bytes else 0
            cycles *= (
                LARGE_MAP_FACTOR
                if taps > 1024 and layout.height * layout.row_bytes > 2 * target.l2_bytes
                else 1
            )
            crowded = layout.line * item % CROWDED_BYTES == 0 and taps > CROWDED_TAPS
            cycles *= CROWDED_FACTOR if crowded else 1
            sizes = (column_step, together, rows, pixels, vectors)
            yield DenseTile(BLOCKED, vector, sizes, outputs, together, cycles)
