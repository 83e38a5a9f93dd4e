"""Choice of the tile of ``cuda.separable`` for a pair of convolutions, and the cost of two kernels: extends ``tiles``.

The fused kernel holds all channels of a block's positions in shared memory, and every block along the rows makes them
again; two kernels take a launch more, and move a map to memory and back. None of it has been held against a GPU yet;
and it leaves out that row groups of one warp, which read different channels, may meet in a bank of shared memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sparsenet.targets.cuda.layout import round_up
from sparsenet.targets.cuda.tiles import (
    BLOCK_THREADS,
    MOST_SUMS,
    REGISTERS,
    STEP_LATENCY,
    WARP,
    ConvTile,
    clocks,
)

#: Floats of shared memory that a kernel may declare, and what their number is rounded to, so that layers of about as
#: many channels share a kernel.
SHARED_FLOATS, SHARED_STEP = 12288, 2048
#: Clocks from the end of one kernel to the beginning of the next, and bytes per clock that an SM gets from beyond L1.
LAUNCH, BYTES_PER_CLOCK = 2500, 20


@dataclass(frozen=True)
class Depthwise:
    """What the model needs to know of the first convolution: channels and taps."""

    channels: int
    taps: int


@dataclass(frozen=True, order=True)
class SeparableTile(ConvTile):
    """The part of the kernel's parameters that is chosen; one lane and no splits."""

    @property
    def pixel_load(self) -> float:
        """Clocks as in ``ConvTile``, but shared memory has neither sectors nor lines."""
        return 1.0

    @property
    def step_latency(self) -> int:
        """Clocks as in ``ConvTile``, but only columns come from L2."""
        return STEP_LATENCY // 2

    def blocks(self, positions: int, groups: int, processors: int) -> tuple[int, int]:
        """Blocks along positions and row groups: one for each SM, as each of them makes the depthwise result."""
        along = -(-positions // self.pixels)
        return along, min(-(-processors // along), -(-groups // self.row_threads))

    def shared_floats(self, channels: int) -> int:
        """Floats of a block's shared memory."""
        return round_up(channels * self.pixels, SHARED_STEP)


def candidates(positions: int, outputs: int, depthwise: Depthwise, rows: int) -> Iterator[SeparableTile]:
    """Tiles for ``rows`` outputs per thread that fit."""
    for vectors in (1, 2, 4):
        for pixel_threads in (32, 16, 8):
            row_threads = BLOCK_THREADS // pixel_threads
            while row_threads > 1 and row_threads * rows >= 2 * outputs:
                row_threads //= 2
            tile = SeparableTile(1, rows, vectors, pixel_threads, 1, row_threads)
            too_wide = pixel_threads > 8 and tile.pixels >= 2 * positions
            if (
                rows * vectors <= MOST_SUMS
                and not too_wide
                and tile.shared_floats(depthwise.channels) <= SHARED_FLOATS
            ):
                yield tile


def fused_clocks(
    tile: SeparableTile, positions: int, outputs: int, depthwise: Depthwise, columns: float, processors: int
) -> float:
    """Expected clocks of both convolutions in one kernel; arguments as ``tiles.clocks``."""
    groups = -(-outputs // tile.rows)
    along, across = tile.blocks(positions, groups, processors)
    per_processor = -(-along * across // processors) * -(-tile.threads // WARP)
    resident = min(64, REGISTERS // (WARP * (40 + 2 * depthwise.taps)))
    # One channel of a warp: its pixels come by whole lines, its weights by one load for all.
    busy = depthwise.taps * (1.25 * tile.vectors + tile.lists / 8) + tile.vectors * (depthwise.taps + 4) / 4
    turns = -(-depthwise.channels // tile.row_threads)
    passes = per_processor / min(resident, per_processor)
    depth = turns * passes * max(min(resident, per_processor) * busy, STEP_LATENCY)
    return depth + clocks(tile, positions, outputs, columns, processors)


def depthwise_clocks(positions: int, depthwise: Depthwise, processors: int) -> float:
    """Expected clocks of the depthwise convolution by itself, its launch and the traffic of its result included."""
    values = depthwise.channels * positions / processors
    # Rows of a thread share about half of what they load.
    busy = values / WARP * (1.25 * depthwise.taps / 2 + depthwise.taps / 4)
    return LAUNCH + max(busy, 8 * values / BYTES_PER_CLOCK)


def ranked_fused(
    positions: int, outputs: int, depthwise: Depthwise, columns: Mapping[int, float], processors: int
) -> list[tuple[float, SeparableTile]]:
    """Expected clocks and tile, cheapest first; arguments as ``tiles.ranked``."""
    return sorted(
        (fused_clocks(tile, positions, outputs, depthwise, columns[rows], processors), tile)
        for rows in columns
        for tile in candidates(positions, outputs, depthwise, rows)
    )
