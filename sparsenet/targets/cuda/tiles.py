"""Choice of the tile of ``cuda.conv`` for a layer: the cheapest by a model of one multiprocessor.

Per clock an SM issues four warp instructions and moves 128 bytes between its L1 cache and registers; a warp that waits
for a load waits some hundred clocks, during which others run if there are any. The model counts these three for every
tile and is to be corrected by measurement: it has not been held against a GPU yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sparsenet.graph.types import F32

WARP, STEP_COLUMNS = 32, 4
#: Clocks that a load from the L2 cache, and one more behind it in L1, take; registers of one SM.
STEP_LATENCY, REGISTERS = 300, 65536
#: Sums and pixels that a thread keeps in registers: more of either, and too few threads fit on an SM.
MOST_SUMS, MOST_PIXELS = 32, 8
#: Threads of a block: enough to share what L1 holds, few enough for several blocks on an SM.
BLOCK_THREADS = 256
#: Blocks that the model wants on each SM, so that the slowest of them matters little.
BLOCKS_PER_PROCESSOR = 4


@dataclass(frozen=True, order=True)
class ConvTile:
    """Parameters of the kernel, in its order, and the floats of one load."""

    lanes: int
    rows: int
    vectors: int
    pixel_threads: int
    splits: int
    row_threads: int

    @property
    def parameters(self) -> tuple[int, ...]:
        """The tile parameters in the order of the kernel's name."""
        return self.rows, self.vectors, self.pixel_threads, self.splits, self.row_threads

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.pixel_threads * self.splits * self.row_threads

    @property
    def pixels(self) -> int:
        """Positions of a block."""
        return self.lanes * self.vectors * self.pixel_threads

    @property
    def pixel_load(self) -> float:
        """Clocks in which a warp gets one vector of each thread: a line of 128 bytes in each.

        A load moves whole sectors of 32 bytes, however few threads want them; one that straddles lines moves one more.
        """
        row_bytes = max(32, self.pixel_threads * self.lanes * F32.itemsize)
        return max(1.0, self.lists * row_bytes / 128) * (1.25 if self.lanes == 1 else 1.0)

    @property
    def lists(self) -> int:
        """Row groups that the threads of a warp work on."""
        return min(WARP, max(1, WARP // self.pixel_threads))

    @property
    def step_latency(self) -> int:
        """Clocks from a step's first load (columns, then pixels) to its last multiply-add."""
        return STEP_LATENCY

    def blocks(self, positions: int, groups: int, processors: int) -> tuple[int, int]:
        """Blocks along positions and row groups: no more of the latter than keep the GPU busy, as they share L1."""
        along = -(-positions // self.pixels)
        wanted = -(-BLOCKS_PER_PROCESSOR * processors // along)
        return along, min(wanted, -(-groups // self.row_threads))


def candidates(positions: int, outputs: int, taps: int, rows: int, in_place: bool) -> Iterator[ConvTile]:
    """Tiles worth considering for ``rows`` outputs per thread.

    Args:
        positions: positions of a channel of the output.
        in_place: whether pixels may be read four at a time.
    """
    for lanes in (4, 1) if in_place else (1,):
        for vectors in (1, 2, 4, 8):
            if rows * vectors * lanes > MOST_SUMS or vectors * lanes > MOST_PIXELS:
                continue
            for pixel_threads in (32, 16, 8, 1):
                if pixel_threads > 1 and pixel_threads * vectors * lanes >= 2 * positions:
                    continue
                for splits in (1, 4, 16, 32):
                    if splits > 1 and (splits * 4 * STEP_COLUMNS > taps or pixel_threads * splits > 64):
                        continue
                    groups = -(-outputs // rows)
                    row_threads = max(1, BLOCK_THREADS // (pixel_threads * splits))
                    while row_threads > 1 and row_threads >= 2 * groups:
                        row_threads //= 2
                    yield ConvTile(lanes, rows, vectors, pixel_threads, splits, row_threads)


def clocks(tile: ConvTile, positions: int, outputs: int, columns: float, processors: int) -> float:
    """Expected clocks of a layer.

    Args:
        columns: columns that a group of rows has, on average.
    """
    groups = -(-outputs // tile.rows)
    along, across = tile.blocks(positions, groups, processors)
    rounds = -(-groups // (across * tile.row_threads))
    steps = max(1.0, columns / STEP_COLUMNS / tile.splits)
    loads = STEP_COLUMNS * tile.vectors * tile.pixel_load + (tile.rows + 1) * max(1.0, tile.lists / 8)
    sums = tile.rows * tile.vectors * tile.lanes
    issued = STEP_COLUMNS * (sums + 3 * tile.vectors) + tile.rows + 4
    busy = max(loads, issued / 4)
    registers = 40 + sums + 4 * tile.rows + tile.vectors * (tile.lanes + 4)
    resident = min(64, REGISTERS // (WARP * registers))
    per_processor = -(-along * across // processors) * -(-tile.threads // WARP)
    # As many warps as fit run side by side; each pass takes the longer of its work and one warp's waiting.
    passes = per_processor / min(resident, per_processor)
    finish = sums * (4 + 2 * (tile.splits > 1) * tile.splits)
    return (
        rounds
        * passes
        * max(min(resident, per_processor) * (steps * busy + finish), steps * tile.step_latency + finish)
    )


def ranked(
    positions: int, outputs: int, taps: int, columns: Mapping[int, float], in_place: bool, processors: int
) -> list[tuple[float, ConvTile]]:
    """Expected clocks and tile, cheapest first; of tiles with the same sums and pixels per thread only the cheapest.

    Args:
        columns: for each number of rows to try, the columns that a group of so many has on average.
    """
    found = sorted(
        (clocks(tile, positions, outputs, columns[rows], processors), number, tile)
        for rows in columns
        for number, tile in enumerate(candidates(positions, outputs, taps, rows, in_place))
    )
    kinds: dict[tuple[int, int], tuple[float, ConvTile]] = {}
    for cost, _, tile in found:
        kinds.setdefault((tile.rows, tile.vectors * tile.lanes), (cost, tile))
    return list(kinds.values())
