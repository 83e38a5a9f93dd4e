"""Choosing kernels: the register tile for a map, and dense against sparse for a layer."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.plan.layout import Rows
from sparsenet.plan.lowering.weights import zeros_in_words
from sparsenet.targets.target import SHORTEST_VECTOR, Target

NO_CHUNKS = 1 << 30


def pixel_bytes(target: Target) -> int:
    """Bytes that the pixels of one tile may fill, over all input channels of a chunk.

    In the first-level cache weights stream by, too. Of 48 KB, 40 take 3-8 % less than 64 at 50-90 % zeros.
    """
    return target.l1_bytes * 5 // 6


@dataclass(frozen=True)
class PixelTile:
    """Image rows and vectors along a line that one kernel iteration computes."""

    rows: int
    vectors: int

    @property
    def count(self) -> int:
        """Vectors in the tile."""
        return self.rows * self.vectors


def pixel_tile(layout: Rows, most: int, fixed: float = 1.0) -> PixelTile:
    """The tile of at most ``most`` vectors that computes the fewest beyond the map, larger ones first.

    What a tile costs beside its vectors, as loads of weights and ends of loops, is worth ``fixed`` of them.
    """
    best, best_cost = PixelTile(1, 1), float("inf")
    for rows in range(1, min(most, layout.height) + 1):
        for vectors in range(1, min(most // rows, layout.line_vectors) + 1):
            if rows > 1 and vectors < layout.line_vectors:
                continue  # several rows only where a whole line fits
            row_tiles = -(-layout.height // rows)
            line_tiles = -(-layout.line_vectors // vectors)
            count = rows * vectors
            cost = row_tiles * line_tiles * (count + fixed)
            if cost < best_cost - 1e-9:
                best, best_cost = PixelTile(rows, vectors), cost
    return best


def window_tile(target: Target, layout: Rows, kernel: tuple[int, int], stride: int) -> PixelTile:
    """The tile of a depthwise convolution, by the vector operations that it needs for the whole map."""
    registers = target.registers // 4
    best, best_cost = PixelTile(1, 1), float("inf")
    for vectors in range(1, min(4, layout.line_vectors) + 1):
        # Wider tiles of several rows run out of registers, a third slower; more rows of long lines gain nothing.
        most = registers if layout.line_vectors == 1 else min(4, registers // vectors) if vectors <= 2 else 1
        for rows in range(1, min(most, layout.height) + 1):
            source_rows = (rows - 1) * stride + kernel[0]
            # Products, then loading each source row and cutting the window's columns out of it, then what is fixed.
            loads, cuts = stride * vectors + 2, vectors * kernel[1]
            work = rows * vectors * kernel[0] * kernel[1] + source_rows * (loads + cuts) + 10
            cost = work * -(-layout.height // rows) * -(-layout.line_vectors // vectors)
            if cost < best_cost:
                best, best_cost = PixelTile(rows, vectors), cost
    return best


def choose_format(kernels: str, density: float, limit: float, zeros: str = "zeros") -> tuple[bool, str]:
    """Whether a layer runs sparse, and the reason in words: by ``Options.kernels``, else density against its limit.

    ``zeros``: the word for what is not there.
    """
    if kernels != "auto":
        return kernels == "sparse", f"only {kernels} kernels were asked for"
    share, needed = zeros_in_words(density, zeros), f"{100 * (1 - limit):.0f} %"
    if density < limit:
        return True, f"{share}, more than the {needed} from which sparse pays"
    return False, f"{share}, sparse pays from {needed} on"


def sparse_tile(layout: Rows, c_in: int) -> PixelTile:
    """The pixel tile of the CSR kernel for ``c_in`` input channels."""
    # Wide inputs leave L1 with many vectors per tile; narrow ones profit from more sums in flight.
    return pixel_tile(layout, 8 if c_in <= 64 else 7 if layout.line_vectors == 1 else 4)


def pattern_tile(target: Target, layout: Rows, c_out: int, taps: int) -> tuple[int, PixelTile]:
    """Output channels and pixels of a tile of the pattern-bucket kernel; ``taps``: C_in * K_h * K_w."""
    if target.registers >= 32 and target.vector_bytes == SHORTEST_VECTOR:
        outputs, most = (
            4,
            6,
        )  # pixels of short vectors stay in L1: weights are loaded as seldom as registers allow
    elif target.registers >= 32:
        # Few taps leave room in L1 for wide tiles, whose weights are loaded less often: 10-20 % faster at 64.
        wide = taps <= 64 and pixel_tile(layout, 7).count > 4
        outputs, most = (3, 7) if wide else (4, 5)
    else:
        outputs, most = (3, 4) if layout.line_vectors > 2 else (4, 2)
    return min(outputs, c_out), pixel_tile(layout, most)


def pattern_break_even(kernel: tuple[int, int], c_in: int) -> float:
    """Density below which pattern buckets are faster than the dense kernel."""
    return (0.78 if c_in < 512 else 0.68) if kernel == (1, 1) else 0.72


def pattern_tiles(target: Target, layout: Rows, c_out: int) -> list[tuple[int, PixelTile]]:
    """Tiles of the pattern-bucket kernel worth a try, as ``pattern_tile``."""
    sizes = [(4, 3), (4, 4), (4, 5), (3, 7)] if target.registers >= 32 else [(4, 2), (4, 3), (3, 4)]
    return [(min(outputs, c_out), pixel_tile(layout, vectors)) for outputs, vectors in sizes]


def chunk_taps(c_in: int, kernel: tuple[int, int], channel_bytes: int, cache_bytes: int) -> list[int]:
    """Taps at which a new chunk of input channels begins, so that a chunk's pixels stay in the cache.

    Args:
        channel_bytes: pixels of one input channel that a tile reads.
    """
    fit = max(16, cache_bytes // channel_bytes)
    count = -(-c_in // fit)
    return [round(c_in * i / count) * kernel[0] * kernel[1] for i in range(1, count)]
